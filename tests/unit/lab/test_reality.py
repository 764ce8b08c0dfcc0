"""What is read of a lab's add-ons, and when the cluster is asked who uses them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from provision.addons.installed import NAME
from provision.lab.reality import look
from tests.fakes.lab import Lab, make_lab

KUBEADM = {
    "kind": "ConfigMap",
    "metadata": {"namespace": "kube-system", "name": "kubeadm-config"},
    "data": {"ClusterConfiguration": "kubernetesVersion: v1.36.3\n"},
}
RECORD = {"digest": "x", "workloads": [], "objects": []}
ADDONS = {
    "kind": "ConfigMap",
    "metadata": {"namespace": "kube-system", "name": NAME},
    "data": {"storage": json.dumps(RECORD), "gone": json.dumps(RECORD)},
}
VOLUME = {
    "metadata": {"name": "v", "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}},
    "spec": {"claimRef": {"namespace": "default", "name": "data"}},
    "status": {"phase": "Bound"},
}


def running(tmp_path: Path, *addons: str) -> Lab:
    lab = make_lab(tmp_path, addons=list(addons), artifacts={"bundle": str(tmp_path / "bundle")})
    for node in lab.ctx.inventory.nodes:
        lab.machines.make(node.name)
    lab.ctx.workspace.kubeconfig.write_text("{}")
    lab.ctx.decision.write(lab.ctx.workspace.decision)
    lab.kubectl.answer("get configmaps,*", json.dumps({"items": [KUBEADM, ADDONS]}))
    lab.kubectl.answer("get persistentvolumes *", json.dumps({"items": [VOLUME]}))
    return lab


@pytest.mark.parametrize(("addons", "users", "questions"), [([], ("default/data",), 2), (["storage"], (), 1)])
def test_who_uses_an_addon_is_asked_only_where_it_is_to_go(
    tmp_path: Path, addons: list[str], users: tuple[str, ...], questions: int
) -> None:
    lab = running(tmp_path, *addons)
    ctx = lab.ctx
    found = look(
        ctx.config,
        ctx.inventory,
        ctx.workspace,
        ctx.provider,
        ctx.machines,
        seconds=5,
        cancel=threading.Event(),
    )
    assert found.cluster is not None, found.silent
    # Of one whose Python package is gone nothing is known.
    assert found.cluster.addons == {"storage": users, "gone": ()}
    assert len(lab.kubectl.calls) == questions
