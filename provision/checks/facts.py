"""What every node says of itself, asked once: one script a node, all nodes at the same time."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cryptography import x509

from provision.checks.facts_script import SCRIPT, UNITS
from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import Cancelled, LabError
from provision.lab.context import Context
from provision.node.sections import sections


@dataclass(frozen=True)
class Unit:
    """A unit of systemd: `active` such as "active" or "failed", `enabled` such as "enabled"."""

    active: str
    enabled: str


@dataclass(frozen=True)
class Address:
    """An IPv4 address, and the card that has it."""

    card: str
    address: str
    mac: str


@dataclass(frozen=True)
class Validity:
    """From when until when all certificates of a file are good."""

    begin: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class NodeFacts:
    """What one node said. `files` maps path to text, and lacks what is not there or empty.

    `healthy` is what the kubelet says of itself, `etcd` what etcd answered, on a control plane.
    """

    files: Mapping[str, str]
    units: Mapping[str, Unit]
    healthy: bool
    addresses: tuple[Address, ...]
    swap_units: tuple[str, ...]
    certificates: Mapping[str, Validity]
    etcd: str

    def file(self, path: str) -> str:
        """Return a file's text, an empty one if there is none."""
        return self.files.get(path, "")

    def below(self, *folders: str) -> dict[str, str]:
        """Return the files whose paths begin with one of `folders`."""
        return {path: text for path, text in self.files.items() if path.startswith(folders)}


class AllFacts(dict[str, NodeFacts]):
    """Node name -> its facts; those of a node that did not answer raise its LabError."""

    def __init__(self, known: Mapping[str, NodeFacts], failed: Mapping[str, LabError]) -> None:
        super().__init__(known)
        self.failed = failed

    def __missing__(self, name: str) -> NoReturn:
        raise self.failed[name]


def gather(ctx: Context) -> AllFacts:
    """Ask all nodes at once; one that does not answer keeps no other from doing so."""
    deadline = ctx.scaled(60)

    def ask(node: Node) -> NodeFacts | LabError:
        try:
            return parse(ctx.connect(node).run(SCRIPT, deadline=deadline, what="look at the node").stdout)
        except Cancelled:
            raise
        except LabError as error:
            return error

    answers = on_all(ctx.inventory.nodes, ask, ctx.cancel)
    return AllFacts(
        {name: answer for name, answer in answers.items() if isinstance(answer, NodeFacts)},
        {name: answer for name, answer in answers.items() if isinstance(answer, LabError)},
    )


def parse(text: str) -> NodeFacts:
    """Return the facts that the script's output tells."""
    parts = sections(text)
    files = _files(parts["files"])
    active, enabled = ([*parts[name], *[""] * len(UNITS)] for name in ("active", "enabled"))
    return NodeFacts(
        files=files,
        units={unit: Unit(active[place], enabled[place]) for place, unit in enumerate(UNITS)},
        healthy=any(" 200 " in line for line in parts["healthz"]),
        addresses=tuple(_address(line, files) for line in parts["addresses"]),
        swap_units=tuple(parts["swap units"]),
        certificates={path: _validity(held) for path, held in _files(parts["certificates"]).items()},
        etcd="\n".join(parts["etcd"]),
    )


def _files(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    path = ""
    for line in lines:
        if line.startswith("-- /"):
            path = line[3:]
        else:
            found[path] = f"{found.get(path, '')}{line}\n"
    return found


def _address(line: str, files: Mapping[str, str]) -> Address:
    _, card, _, address, *_ = line.split()
    return Address(card, address.partition("/")[0], files.get(f"/sys/class/net/{card}/address", "").strip())


def _validity(text: str) -> Validity:
    # A kubeconfig holds its certificate encoded once more.
    lines = (
        base64.b64decode(line[5:]).decode() if line.startswith("data ") else line
        for line in text.splitlines()
    )
    found = x509.load_pem_x509_certificates("\n".join(lines).encode())
    begin = max(certificate.not_valid_before_utc for certificate in found)
    return Validity(begin, min(certificate.not_valid_after_utc for certificate in found))
