"""lab.yaml against a lab that is there, from the command line, with stubs of `virsh` and `kubectl`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.artifacts.bundle import write_index
from provision.cli import group
from provision.config.inventory import inventory_of
from provision.lab.decision import Decision
from provision.lab.opening import SoftwareOf
from provision.providers.vagrantfile import network_xml
from provision.workspace import WRITTEN_BY, Workspace
from tests.fakes.checks.objects import node_object
from tests.fakes.cluster.kubectl import StubKubectl
from tests.fakes.config import make_config
from tests.fakes.providers.virsh import Host, install

KEY = "a" * 64
LAB = "name: lab\nprovider: libvirt\ncni: bridge\nnetwork: {nodes: 198.18.7.0/24}\n"
GIB = 1024 * 1024
CLUSTER = """
kubernetesVersion: v1.36.3
networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
controllerManager: {extraArgs: [{name: allocate-node-cidrs, value: 'false'}]}
"""
BOX = "kubelab-1.36.3-0123456789ab"
ASKED = "get configmaps,daemonsets,deployments,nodes --all-namespaces *"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A hypervisor with a lab that runs: one control plane and two workers, as LAB says."""
    host = install(tmp_path / "bin", monkeypatch)
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    Path("lab.yaml").write_text(LAB)
    Path("Vagrantfile").write_text(f"# {WRITTEN_BY}\n# name: 'lab-cp1'\n")
    config = make_config(network={"nodes": "198.18.7.0/24"})
    network = {"xml": network_xml(config, inventory_of(config)), "active": True}
    disk = {"size": 1, "gib": 12, "backing": f"{BOX}_vagrant_box_image_1.0.0_box.img"}
    volumes = {f"{node.name}.img": disk for node in inventory_of(config).nodes}
    host.write({**host.state, "networks": {"kubelab-lab": network}, "volumes": volumes, "pools": ["default"]})
    space = Workspace(folder, "lab")
    space.prepare()
    for node in inventory_of(config).nodes:
        file = space.machine_id_file(node.name, "libvirt")
        file.parent.mkdir(parents=True)
        source, vcpu = str(folder / "Vagrantfile"), f"<vcpu>{node.cpus}</vcpu>"
        more = {"network": "kubelab-lab", "source": source, "memory": node.memory * 1024, "vcpu": vcpu}
        file.write_text(host.domain(node.name, **more))
    decision = Decision(kubernetes="1.36.3", artifacts="source", bundle=KEY, cni="bridge")
    decision.write(space.decision)
    yield host
    assert host.state["unknown"] == []


@pytest.fixture
def kubectl(host: Host, tmp_path: Path) -> StubKubectl:
    """The lab's cluster, which answers."""
    bundle = tmp_path / "cache/bundles" / KEY
    bundle.mkdir(parents=True)
    write_index(bundle, kubernetes="1.36.3", source="source", recipe=KEY, entries=[])
    stub = StubKubectl(bundle)
    maps = {
        "kubeadm-config": {"ClusterConfiguration": CLUSTER},
        "kubelet-config": {"kubelet": "cgroupDriver: systemd"},
        "kube-proxy": {"config.conf": "mode: nftables"},
    }
    objects: list[dict[str, Any]] = [
        *(
            {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"}, "data": text}
            for name, text in maps.items()
        ),
        {"kind": "Deployment", "metadata": {"name": "coredns", "namespace": "kube-system"}},
        node_object(inventory_of(make_config()).first),
    ]
    stub.answer(ASKED, json.dumps({"items": objects}))
    Path(".kubelab/lab/kubeconfig").write_text("{}")
    return stub


def kubelab(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def edit(old: str, new: str) -> None:
    """Write lab.yaml with a change, or with a further line for an empty `old`."""
    assert old in LAB
    Path("lab.yaml").write_text(LAB.replace(old, new) if old else LAB + new)


def data(told: Result) -> dict[str, Any]:
    events = [json.loads(line) for line in told.stdout.splitlines()]
    found: dict[str, Any] = next(event["data"] for event in events if event["event"] == "result")
    return found


def written() -> dict[str, bytes]:
    """Return every file of the lab but the run log and the lock."""
    files = (file for file in Path().rglob("*") if file.is_file())
    return {
        str(file): file.read_bytes() for file in files if file.name not in ("run.log", "lock", "lab.yaml")
    }


EDITS = {
    "controlPlanes.disk": ("", "controlPlanes: {disk: 13GiB}\n"),
    "packages": ("", "packages: [tree]\n"),
    "network.nodes": ("198.18.7.0/24", "198.18.8.0/24"),
    "network.pods": ("/24}", "/24, pods: 10.245.0.0/16}"),
    "network.services": ("/24}", "/24, services: 10.112.0.0/12}"),
    "network.mtu": ("/24}", "/24, mtu: 1400}"),
    "kubernetes": ("", 'kubernetes: "1.35"\n'),
    "cni": ("cni: bridge", "cni: flannel"),
    "provider": ("libvirt", "virtualbox"),
    "name": ("name: lab", "name: other"),
}


@pytest.mark.parametrize("key", EDITS)
@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["up", "dry"])
def test_up_refuses_what_the_lab_cannot_follow_before_it_writes_or_fetches_anything(
    kubectl: StubKubectl, key: str, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(_: object) -> None:
        raise AssertionError("a site may have been asked")

    monkeypatch.setattr(SoftwareOf, "chosen", chosen)
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*EDITS[key])
    before = written()
    told = kubelab("up", "--json", *more)
    assert told.exit_code == 2
    error = json.loads(told.stdout.splitlines()[-1])
    assert error["message"].startswith(f"{key}: the lab has ")
    assert "kubelab destroy" in error["hint"]
    assert written() == before


def test_a_dry_run_tells_what_up_will_bring_into_the_lab(
    kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit("", "workers: {count: 3, cpus: 2, memory: 2GiB}\n")
    told = kubelab("up", "--dry-run", "--from", "decision", "--until", "decision")
    assert told.exit_code == 0
    assert "workers.count: the lab has 2, lab.yaml says 3" in told.stdout


FEWER = ("", "workers: {count: 1}\n")


def test_fewer_workers_need_a_yes_where_nobody_can_be_asked(
    kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(_: object) -> None:
        raise AssertionError("a site may have been asked")

    monkeypatch.setattr(SoftwareOf, "chosen", chosen)
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*FEWER)
    before = written()
    told = kubelab("up", "--json")
    assert told.exit_code == 2
    error = json.loads(told.stdout.splitlines()[-1])
    assert error["message"].startswith(
        "workers.count: the lab has 2, lab.yaml says 1: lab-w2 would be removed"
    )
    assert error["hint"].startswith("kubelab up --yes does so")
    assert written() == before
    assert kubelab("up").exit_code == 2


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("", 130)])
def test_on_a_terminal_fewer_workers_are_asked_for(
    kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("provision.commands.consent._is_terminal", lambda: True)
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*FEWER)
    before = written()
    told = CliRunner().invoke(group, ["up"], input=answer)
    assert "Remove lab-w2? All that is on it is lost" in told.stdout
    # click's own runner has an exit code of its own for a question without an answer.
    assert told.exit_code == (1 if code == 130 else code)
    assert written() == before


def test_a_dry_run_shows_who_leaves_and_does_not_ask(
    kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*FEWER)
    told = kubelab("up", "--dry-run", "--from", "leave", "--until", "leave")
    assert told.exit_code == 0
    assert "workers.count: the lab has 2 (lab-w2), lab.yaml says 1" in told.stdout
    assert "drain and remove lab-w2" in told.stdout


ANEW = ("", "workers: {disk: 13GiB}\n")


def test_no_worker_is_made_anew_unasked(kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*ANEW)
    before = written()
    told = kubelab("up", "--json")
    assert told.exit_code == 2
    error = json.loads(told.stdout.splitlines()[-1])
    assert error["message"].startswith(
        "workers.disk: the lab has 12GiB, lab.yaml says 13GiB: lab-w1, lab-w2 would be made anew"
    )
    assert error["hint"].startswith("kubelab up --yes does so")
    assert written() == before


def test_on_a_terminal_it_is_asked_for(kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.commands.consent._is_terminal", lambda: True)
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*ANEW)
    before = written()
    told = CliRunner().invoke(group, ["up"], input="n\n")
    assert "Make lab-w1, lab-w2 anew? All that is on it is lost" in told.stdout
    assert told.exit_code == 1
    assert written() == before


def test_a_dry_run_shows_who_is_made_anew(kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit(*ANEW)
    told = kubelab("up", "--dry-run", "--from", "anew", "--until", "anew", "--json")
    (step,) = data(told)["steps"]
    assert step["plan"] == "drain and remove lab-w2, lab-w1, one after the other, and make each anew"


def test_diff_says_who_is_made_anew(kubectl: StubKubectl) -> None:
    edit(*ANEW)
    (difference,) = data(kubelab("diff", "--json"))["differences"]
    assert (difference["key"], difference["answer"]) == ("workers.disk", "anew")
    assert difference["machines"] == ["lab-w1", "lab-w2"]


def test_diff_shows_who_leaves(kubectl: StubKubectl) -> None:
    edit(*FEWER)
    (difference,) = data(kubelab("diff", "--json"))["differences"]
    assert (difference["key"], difference["answer"], difference["machines"]) == (
        "workers.count",
        "applied",
        ["lab-w2"],
    )


@pytest.mark.parametrize("key", EDITS)
def test_diff_says_the_same_and_that_up_refuses_it(kubectl: StubKubectl, key: str) -> None:
    edit(*EDITS[key])
    told = kubelab("diff", "--json")
    assert told.exit_code == 1
    (difference,) = data(told)["differences"]
    assert (difference["key"], difference["answer"]) == (key, "refused")


def test_a_lab_as_lab_yaml_says_has_no_difference_and_is_asked_little(
    host: Host, kubectl: StubKubectl
) -> None:
    told = kubelab("diff", "--json")
    # No node is reached by SSH here.
    of_pools = {"controlPlanes.provision", "workers.provision"}
    nodes_say = {"proxy", "registryMirrors", "dns", "timeZone"} | of_pools
    assert set(data(told)["unknown"]) - {"kubeadm.patches", "kubelet", "kubeProxy"} == nodes_say
    assert (data(told)["differences"], told.exit_code) == ([], 0)
    assert len(kubectl.calls) == 1
    assert "the lab lab is as lab.yaml says" in kubelab("diff").stdout


SIZES = {
    "workers.memory": "workers: {memory: 3GiB}\n",
    "controlPlanes.cpus": "controlPlanes: {cpus: 3}\n",
}


@pytest.mark.parametrize("key", SIZES)
def test_up_restarts_no_machine_unasked(
    kubectl: StubKubectl, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit("", SIZES[key])
    before = written()
    told = kubelab("up", "--json")
    assert told.exit_code == 2
    error = json.loads(told.stdout.splitlines()[-1])
    assert error["message"].startswith(f"{key}: the lab has ")
    assert "kubelab up --restart" in error["hint"]
    assert written() == before


def test_a_dry_run_says_which_machines_up_would_restart(
    kubectl: StubKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.lab.opening.check_host", lambda *_: None)
    edit("", SIZES["workers.memory"])
    told = kubelab("up", "--dry-run", "--from", "sizes", "--until", "sizes", "--json")
    assert told.exit_code == 0
    (step,) = data(told)["steps"]
    assert step["plan"] == "restart lab-w1, lab-w2 one after the other (workers.memory 2GiB -> 3GiB)"


@pytest.mark.parametrize("key", SIZES)
def test_diff_says_that_up_restarts_for_it(kubectl: StubKubectl, key: str) -> None:
    edit("", SIZES[key])
    (difference,) = data(kubelab("diff", "--json"))["differences"]
    assert (difference["key"], difference["answer"]) == (key, "restarts")


def test_diff_shows_both_values_in_a_table(kubectl: StubKubectl) -> None:
    edit("", "workers: {count: 3, memory: 3GiB}\n")
    told = kubelab("diff")
    assert told.exit_code == 1
    lines = [line.split() for line in told.stdout.splitlines()]
    assert ["workers.count", "2", "3", "applies", "it"] in lines
    assert ["workers.memory", "2GiB", "3GiB", "restarts", "them", "for", "it", "lab-w1,", "lab-w2"] in lines


def test_a_lab_that_is_off_is_compared_as_far_as_it_goes(host: Host, kubectl: StubKubectl) -> None:
    domains = {name: {**each, "state": "shutoff"} for name, each in host.state["domains"].items()}
    host.write({**host.state, "domains": domains})
    edit("", 'kubernetes: "1.35"\nworkers: {cpus: 4}\n')
    told = data(kubelab("diff", "--json"))
    assert [each["key"] for each in told["differences"]] == ["kubernetes", "workers.cpus"]
    assert told["kept"] == ["kubernetes", "cni"]
    assert "machine lab-cp1 is stopped" in told["unknown"]["network.pods"]
    assert kubectl.calls == []


def test_an_api_server_that_does_not_answer_is_told(host: Host, kubectl: StubKubectl) -> None:
    kubectl.answer(ASKED, stderr="The connection to the server was refused", code=1)
    told = data(kubelab("diff", "--json"))
    assert (told["differences"], told["kept"]) == ([], ["kubernetes", "cni"])
    assert "was refused" in told["unknown"]["network.services"]


def test_a_bundle_that_is_gone_from_the_cache_is_told(host: Host) -> None:
    Path(".kubelab/lab/kubeconfig").write_text("{}")
    assert "not in the cache" in data(kubelab("diff", "--json"))["unknown"]["network.pods"]


def test_a_wrong_file_ends_with_2(host: Host) -> None:
    edit("", "workers: {cpus: many}\n")
    assert kubelab("diff").exit_code == 2


def test_a_copied_folder_is_not_compared_with_anothers_machines(host: Host, tmp_path: Path) -> None:
    domains = {
        name: {**each, "source": str(tmp_path / "bin/Vagrantfile")}
        for name, each in host.state["domains"].items()
    }
    host.write({**host.state, "domains": domains})
    (tmp_path / "bin/Vagrantfile").write_text("theirs")
    edit("", "workers: {cpus: 4}\n")
    told = kubelab("diff")
    assert told.exit_code == 2
    assert "a lab called lab is there already" in told.stderr
