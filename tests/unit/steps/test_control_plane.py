from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provision.cluster.health import KUBE_SYSTEM
from provision.cluster.leaders import NODE_LEASES
from provision.errors import CommandFailed, StepFailed, WaitTimeout
from provision.kubeadm.unit import CODE, CONFIG, KUBELET_CONF, LOG, TOKEN
from provision.steps.control_plane import FINALIZED, ControlPlaneStep
from tests.fakes.node.credentials import kubeconfig
from tests.fakes.steps import Cluster, make_cluster

UP = [ControlPlaneStep.id]
PKI = "/etc/kubernetes/pki"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return make_cluster(tmp_path, workers={"count": 1})


def up(cluster: Cluster) -> list[str]:
    return cluster.lab.run(ControlPlaneStep())


def initialise(cluster: Cluster) -> None:
    """Leave what an init that ended well leaves, but for what the API server keeps."""
    cluster.first.write(f"{PKI}/ca.crt", "a certificate")
    cluster.first.write("/etc/kubernetes/admin.conf", kubeconfig(365))
    cluster.first.write(KUBELET_CONF, FINALIZED)


def test_an_empty_node_is_initialised_once(cluster: Cluster) -> None:
    assert up(cluster) == UP
    assert cluster.first.verbs == ["init"]
    assert up(cluster) == []
    assert cluster.first.verbs == ["init"]


@pytest.mark.parametrize("remnant", [f"{PKI}/ca.key", KUBELET_CONF])
def test_what_an_unfinished_init_left_is_removed_first(cluster: Cluster, remnant: str) -> None:
    cluster.first.write(remnant, "from before")
    assert up(cluster) == UP
    assert cluster.first.verbs == ["reset", "init"]


def test_an_init_at_work_is_waited_for(cluster: Cluster) -> None:
    initialise(cluster)
    cluster.first.path(KUBELET_CONF).unlink()
    cluster.first.write("/active")
    cluster.first.path(CODE).parent.mkdir(parents=True)
    last_phase = f"echo {FINALIZED} > {cluster.first.path(KUBELET_CONF)}"
    cluster.first.on_pause(f"{last_phase}; rm active; echo 0 > {cluster.first.path(CODE)}")
    cluster.api.set("ready", "addons")
    assert up(cluster) == UP
    assert cluster.first.verbs == []


def test_an_init_at_work_that_fails_is_an_error_with_its_last_lines(cluster: Cluster) -> None:
    cluster.first.write("/active")
    cluster.first.write(LOG, "etcd did not start\n")
    cluster.first.path(CODE).parent.mkdir(parents=True)
    cluster.first.on_pause(f"rm active; echo 1 > {cluster.first.path(CODE)}")
    with pytest.raises(StepFailed) as caught:
        up(cluster)
    assert isinstance(caught.value.cause, CommandFailed)
    assert "etcd did not start" in caught.value.details
    assert cluster.first.verbs == []


def test_an_init_that_failed_in_passing_starts_over_at_once_with_the_same_token(cluster: Cluster) -> None:
    # A worker that waits for this control plane has read its token already.
    node = cluster.first
    works = (node.bin / "kubeadm").read_text().partition("calls\n")[2]
    slow = "echo 'error: error execution phase addon/coredns: etcdserver: leader changed'; exit 1"
    node.kubeadm(
        f"if [ $1 = init ]; then cp run/kubelab/token token$(ls | grep -c token); fi\n"
        f"if [ $1 = init ] && [ ! -e token1 ]; then mkdir -p {node.path(PKI)}; {slow}; fi\n{works}"
    )
    assert up(cluster) == UP
    assert node.verbs == ["init", "reset", "init"]
    assert node.path("/token0").read_text() == node.path("/token1").read_text()
    (told,) = [event["text"] for event in cluster.lab.report.of("info")]
    assert told.startswith("lab-cp1: kubeadm init is tried again: ")
    assert told.endswith("etcdserver: leader changed")


def test_after_a_failure_the_next_up_starts_over(cluster: Cluster) -> None:
    works = (cluster.first.bin / "kubeadm").read_text()
    cluster.first.kubeadm("mkdir -p etc/kubernetes/pki; echo no room; exit 1")
    with pytest.raises(StepFailed) as caught:
        up(cluster)
    assert "no room" in caught.value.details
    (cluster.first.bin / "kubeadm").write_text(works)
    assert up(cluster) == UP
    assert cluster.first.verbs == ["init", "reset", "init"]


def test_a_cluster_without_its_addons_gets_only_them(cluster: Cluster) -> None:
    initialise(cluster)
    cluster.api.set("ready")
    assert up(cluster) == UP
    assert cluster.first.verbs == ["init phase addon"]


def test_where_cilium_does_its_work_kube_proxy_is_neither_asked_for_nor_made(tmp_path: Path) -> None:
    cilium = {"name": "cilium", "values": {"kubeProxyReplacement": True}}
    cluster = make_cluster(tmp_path, workers={"count": 1}, cni=cilium)
    initialise(cluster)
    cluster.api.set("ready")
    assert up(cluster) == UP
    phases = [call for call in cluster.first.calls if call.startswith("kubeadm init phase addon")]
    assert ["coredns" in call and "all" not in call.split() for call in phases] == [True]
    assert not [call for call in cluster.lab.kubectl.calls if "kube-proxy" in call]


def test_a_slow_api_server_is_waited_for_and_its_cluster_never_reset(cluster: Cluster) -> None:
    initialise(cluster)
    clock = cluster.lab.ctx.fake_clock
    clock.on_sleep = lambda: cluster.api.set("ready", "addons") if clock.time > 20 else None
    assert up(cluster) == UP
    assert cluster.first.verbs == []


def test_the_lease_of_a_leader_that_is_gone_is_not_waited_out(cluster: Cluster) -> None:
    # On a busy host the controller manager was elected, and ended before its cluster was healthy.
    manager, clock = "kube-controller-manager", cluster.lab.ctx.fake_clock
    cluster.api.renew("lab-cp1", namespace=NODE_LEASES)
    cluster.api.renew("kube-scheduler", seconds_ago=20)
    cluster.api.renew(manager, seconds_ago=56)
    clock.on_sleep = lambda: None if manager in cluster.api.leaders else cluster.api.renew(manager)
    assert up(cluster) == UP
    assert clock.time < 10
    deleted = [call.split()[-1] for call in cluster.api.calls if call.startswith("delete leases")]
    assert deleted == [manager]


def test_a_leader_that_never_comes_is_an_error(cluster: Cluster) -> None:
    (cluster.api.root / "leases" / KUBE_SYSTEM / "kube-scheduler").unlink()
    cluster.lab.ctx.fake_clock.speed = 30
    with pytest.raises(StepFailed) as caught:
        up(cluster)
    assert isinstance(caught.value.cause, WaitTimeout)
    assert "schedulers" in caught.value.message
    assert "get leases,pods" in caught.value.hint


def test_a_silent_api_server_is_an_error_and_its_cluster_never_reset(cluster: Cluster) -> None:
    initialise(cluster)
    cluster.lab.ctx.fake_clock.speed = 30
    for _ in range(2):
        with pytest.raises(StepFailed) as caught:
            up(cluster)
        assert isinstance(caught.value.cause, WaitTimeout)
    assert cluster.first.verbs == []
    assert cluster.first.path(f"{PKI}/ca.crt").exists()


def test_a_cluster_that_answers_is_left_alone(cluster: Cluster) -> None:
    initialise(cluster)
    cluster.api.reached()
    assert up(cluster) == []
    assert cluster.first.calls == []


def test_an_answer_from_an_earlier_cluster_is_not_taken_for_this_one(cluster: Cluster) -> None:
    # The machine was made anew, and something still answers to the kubeconfig of the old one.
    cluster.api.reached()
    assert up(cluster) == UP
    assert cluster.first.verbs == ["init"]


def test_the_kubeconfig_is_the_labs_own_and_private(cluster: Cluster) -> None:
    up(cluster)
    file = cluster.lab.ctx.workspace.kubeconfig
    document = yaml.safe_load(file.read_text())
    (entry,) = document["contexts"]
    assert document["current-context"] == entry["name"] == "lab"
    assert entry["context"] == {"cluster": "lab", "user": "lab-admin"}
    assert [document[section][0]["name"] for section in ("clusters", "users")] == ["lab", "lab-admin"]
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    assert set(cluster) == {"server", "certificate-authority-data"}
    assert cluster["server"] == "https://192.168.60.11:6443"
    assert set(user) == {"client-certificate-data", "client-key-data"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_that_root_on_the_node_changed_runs_nothing_on_the_host(
    cluster: Cluster, tmp_path: Path
) -> None:
    document = yaml.safe_load(kubeconfig(365))
    mark = tmp_path / "ran"
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(mark)]}
    document["users"][0]["user"] |= {"exec": program, "tokenFile": "/etc/shadow"}
    document["clusters"][0]["cluster"] |= {"server": "https://203.0.113.1", "proxy-url": "http://203.0.113.2"}
    (cluster.first.root / "admin.conf").write_text(yaml.safe_dump(document))
    up(cluster)
    text = cluster.lab.ctx.workspace.kubeconfig.read_text()
    made = yaml.safe_load(text)
    assert set(made["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert made["clusters"][0]["cluster"]["server"] == "https://192.168.60.11:6443"
    assert not [word for word in ("touch", "shadow", "203.0.113") if word in text]


def test_a_kubeconfig_without_credentials_is_an_error_that_names_its_node(cluster: Cluster) -> None:
    (cluster.first.root / "admin.conf").write_text("users: []\n")
    with pytest.raises(StepFailed) as caught:
        up(cluster)
    assert caught.value.message.startswith("lab-cp1: /etc/kubernetes/admin.conf is not as kubeadm writes it")
    assert "kubelab destroy" in caught.value.hint
    assert not cluster.lab.ctx.workspace.kubeconfig.exists()


def test_the_token_is_in_private_files_and_nowhere_else(cluster: Cluster) -> None:
    up(cluster)
    token = cluster.first.path(TOKEN).read_text()
    documents = cluster.first.path(CONFIG).read_text()
    assert f"token: {token}" in documents
    assert [cluster.first.path(path).stat().st_mode & 0o777 for path in (TOKEN, CONFIG)] == [0o600, 0o600]
    assert "init" in cluster.argvs()
    assert token not in cluster.argvs()
    assert token not in str(cluster.lab.report.events)


def test_a_token_is_made_at_every_init(cluster: Cluster) -> None:
    up(cluster)
    before = cluster.first.path(TOKEN).read_text()
    cluster.first.path(KUBELET_CONF).unlink()
    up(cluster)
    assert cluster.first.path(TOKEN).read_text() != before
