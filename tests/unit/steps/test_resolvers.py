from __future__ import annotations

import json
from pathlib import Path

from provision.steps.resolvers import ResolversStep
from tests.fakes.lab import Lab, make_lab

GET, PATCH = "get deployment/coredns *", "patch deployment/coredns *"


def made(root: Path, started_with: str | None, **keys: object) -> Lab:
    """Return a lab whose CoreDNS has that annotation on its pods."""
    lab = make_lab(root, **keys)
    lab.ctx.workspace.kubeconfig.write_text("{}")
    lab.kubectl.answer(PATCH)
    answer(lab, started_with)
    return lab


def deployment(annotation: str | None) -> dict[str, object]:
    metadata = {"labels": {"k8s-app": "kube-dns"}}
    if annotation is not None:
        metadata["annotations"] = {"kubelab/dns": annotation, "users/own": "x"}
    return {"kind": "Deployment", "spec": {"template": {"metadata": metadata}}}


def answer(lab: Lab, annotation: str | None) -> None:
    lab.kubectl.answer(GET, json.dumps(deployment(annotation)))


def patches(lab: Lab) -> list[object]:
    found = [call.partition("--patch=")[2] for call in lab.kubectl.calls if call.startswith("patch")]
    return [json.loads(text)["spec"]["template"]["metadata"]["annotations"] for text in found]


def test_a_lab_without_resolvers_of_its_own_is_left_alone(tmp_path: Path) -> None:
    lab = made(tmp_path, None)
    assert lab.run(ResolversStep()) == []
    assert patches(lab) == []


def test_coredns_starts_again_with_other_resolvers_and_once(tmp_path: Path) -> None:
    lab = made(tmp_path, None, dns=["10.1.2.3", "9.9.9.9"])
    assert not ResolversStep().is_done(lab.ctx)
    ResolversStep().apply(lab.ctx)
    assert patches(lab) == [{"kubelab/dns": "10.1.2.3,9.9.9.9"}]
    (told,) = [event["text"] for event in lab.report.of("info")]
    assert "CoreDNS starts again" in told
    answer(lab, "10.1.2.3,9.9.9.9")
    assert ResolversStep().is_done(lab.ctx)


def test_the_order_of_resolvers_counts(tmp_path: Path) -> None:
    assert not ResolversStep().is_done(made(tmp_path, "9.9.9.9,10.1.2.3", dns=["10.1.2.3", "9.9.9.9"]).ctx)


def test_what_is_set_back_is_taken_away(tmp_path: Path) -> None:
    lab = made(tmp_path, "10.1.2.3")
    assert not ResolversStep().is_done(lab.ctx)
    ResolversStep().apply(lab.ctx)
    assert patches(lab) == [{"kubelab/dns": None}]


def test_before_there_is_a_cluster_nothing_is_asked(tmp_path: Path) -> None:
    assert ResolversStep().is_done(make_lab(tmp_path / "as-ever").ctx)
    lab = make_lab(tmp_path / "own", dns=["10.1.2.3"])
    assert not ResolversStep().is_done(lab.ctx)
    assert lab.kubectl.calls == []


def test_a_cluster_that_does_not_answer_is_not_done(tmp_path: Path) -> None:
    lab = made(tmp_path, None)
    lab.kubectl.answer(GET, stderr="connection refused", code=1)
    assert not ResolversStep().is_done(lab.ctx)
