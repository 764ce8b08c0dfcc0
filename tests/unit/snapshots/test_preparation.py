"""What a node does before it is saved, run by a real shell in folders of the test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provision.errors import SnapshotError
from provision.node.certificates import certificates
from provision.node.sections import sections
from provision.node.tokens import tokens
from provision.snapshots.preparation import PREPARE, prepare
from provision.ssh.host_keys import UUID_FILE
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.credentials import CLIENT, KEY_DATA, PKI, SERVING, at, certificate, kubeconfig, token
from tests.fakes.node.sandbox import Sandbox
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import DAY

KEEPER = "/usr/lib/kubelab/lab-clock.pl"
TOKEN = "/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected/kube-api-access-x/token"
PRIVATE = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"


def make_node(name: str, root: Path) -> Sandbox:
    """Return a node of our box whose tools write down that they were started."""
    node = Sandbox(name, root)
    for tool in ("awk", "cut", "date"):
        node.program(tool, f'echo {tool} >> calls\nexec {shutil.which(tool)} "$@"')
    node.program("perl", "printf 'perl %s\\n' \"${1#$root} $2\" >> calls\necho kept")
    node.write(UUID_FILE, f"{id_of(name).upper()}\n")
    node.write(KEEPER)
    node.write(CLIENT, certificate(300) + PRIVATE)
    node.write(SERVING, certificate(310))
    return node


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, Sandbox]:
    made = {name: make_node(name, tmp_path / name) for name in ("lab-cp1", "lab-w1", "lab-w2")}
    first = made["lab-cp1"]
    first.write(f"{PKI}/ca.crt", certificate(3000))
    first.write(f"{PKI}/apiserver.crt", certificate(200))
    first.write(f"{PKI}/etcd/server.crt", certificate(210))
    first.write("/etc/kubernetes/admin.conf", kubeconfig(220))
    return made


@pytest.fixture
def lab(tmp_path: Path, nodes: dict[str, Sandbox]) -> Lab:
    return make_lab(tmp_path / "lab", changes={"connect": lambda node: nodes[node.name]})


@pytest.fixture
def ids(nodes: dict[str, Sandbox]) -> dict[str, str]:
    return {name: id_of(name) for name in nodes}


def test_a_node_says_who_it_is_and_what_ends_when_and_no_secret(nodes: dict[str, Sandbox]) -> None:
    first = nodes["lab-cp1"]
    first.write(TOKEN.format("one"), f"head.{token('uid-1', 60)}.signature")
    first.write(TOKEN.format("two"), f"head.{token('uid-2', 70)}.signature")
    said = first.run(PREPARE).stdout
    parts = sections(said)
    assert parts["machine"] == [id_of("lab-cp1").upper()]
    ends = {
        path.removeprefix(str(first.root)): end for path, end in certificates(parts["certificates"]).items()
    }
    assert ends == {
        f"{PKI}/ca.crt": at(3000),
        f"{PKI}/apiserver.crt": at(200),
        f"{PKI}/etcd/server.crt": at(210),
        "/etc/kubernetes/admin.conf": at(220),
        CLIENT: at(300),
        SERVING: at(310),
    }
    assert [found.uid for found in tokens(parts["tokens"])] == ["uid-1", "uid-2"]
    assert parts["clock"] == ["kept"]
    assert not [word for word in ("PRIVATE", KEY_DATA, "signature") if word in said]


def test_the_clock_is_held_last_of_all(lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str]) -> None:
    nodes["lab-w1"].write(TOKEN.format("one"), f"head.{token('uid-1', DAY)}.signature")
    prepare(lab.ctx, ids)
    for node in nodes.values():
        assert node.calls[0] == "date"
        assert node.calls[-1] == f"perl {KEEPER} hold"
    assert nodes["lab-w1"].calls[-3:-1] == ["awk", "cut"]


def test_a_box_that_brings_nothing_is_asked_all_the_same(
    lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str]
) -> None:
    node = nodes["lab-w1"]
    node.path(KEEPER).unlink()
    (node.bin / "perl").unlink()
    assert prepare(lab.ctx, ids) is None
    assert node.calls[-1] == "awk"


def test_the_first_end_is_that_of_all_nodes(lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str]) -> None:
    assert prepare(lab.ctx, ids) == at(200)
    nodes["lab-w2"].write(TOKEN.format("one"), f"head.{token('uid-1', 100 * DAY)}.signature")
    assert prepare(lab.ctx, ids) == at(100)
    nodes["lab-w1"].write(CLIENT, certificate(50) + PRIVATE)
    assert prepare(lab.ctx, ids) == at(50)


def test_a_token_that_was_caught_half_written_says_nothing(
    lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str]
) -> None:
    nodes["lab-w1"].write(TOKEN.format("one"), "head.e30")
    assert prepare(lab.ctx, ids) == at(200)


def test_a_node_without_anything_that_ends_leaves_it_unknown(
    lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str]
) -> None:
    nodes["lab-w1"].path(CLIENT).unlink()
    nodes["lab-w1"].path(SERVING).unlink()
    assert prepare(lab.ctx, ids) is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (CLIENT, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
        (SERVING, "-----BEGIN CERTIFICATE-----\n"),
        ("/etc/kubernetes/kubelet.conf", "client-certificate-data: AAAA\n"),
        ("/etc/kubernetes/kubelet.conf", "client-certificate-data: A\n"),
        # Past the last year that a date can have, past what a clock can count, and no time at all.
        (TOKEN.format("one"), f"head.{token('uid-1', 1e12)}.signature"),
        (TOKEN.format("one"), f"head.{token('uid-1', 1e30)}.signature"),
        (TOKEN.format("one"), f"head.{token('uid-1', float('inf'))}.signature"),
        (TOKEN.format("one"), f"head.{token('uid-1', float('nan'))}.signature"),
    ],
)
def test_an_end_that_cannot_be_read_keeps_nobody_from_saving_and_leaves_it_unknown(
    lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str], path: str, text: str
) -> None:
    nodes["lab-w1"].write(path, text)
    assert prepare(lab.ctx, ids) is None


def test_another_machine_under_a_nodes_name_is_refused(
    lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str]
) -> None:
    nodes["lab-w1"].write(UUID_FILE, "ANOTHER\n")
    with pytest.raises(SnapshotError, match="lab-w1's address has the id another") as caught:
        prepare(lab.ctx, ids)
    assert "kubelab status" in caught.value.hint


@pytest.mark.parametrize(
    "hold", ["echo 'no such clock' >&2; exit 2", "echo; exit 2", "true", "echo kept; echo more"]
)
def test_a_clock_that_cannot_be_held_or_is_not_kept_leaves_it_unknown(
    lab: Lab, nodes: dict[str, Sandbox], ids: dict[str, str], hold: str
) -> None:
    nodes["lab-w1"].program("perl", hold)
    assert prepare(lab.ctx, ids) is None
