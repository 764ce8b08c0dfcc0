"""The names of machines, which follow from the lab's name, and those that nodes have of their own.

Whose a machine, a disk or a snapshot is, is proved by the machine's name: an own name is the node's alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import BeforeValidator

from provision.config import values

# A label of a Node that is not called as its machine: once that is gone, nothing else tells whose it was.
MACHINE_LABEL = "kubelab/machine"
ALLOWED = "up to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends, and no number, such as w1-k8s"
# A resolver takes a number, also one like 0x1f, for an address; localhost is every node's own.
_OWN = re.compile(r"(?!(0x[0-9a-f]*|[0-9]+|localhost)\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def machine_names(lab: str) -> re.Pattern[str]:
    """Return the pattern of a lab's machine names, including nodes that were removed from lab.yaml."""
    return re.compile(rf"{re.escape(lab)}-(cp|w)\d+")


def worker_names(lab: str) -> re.Pattern[str]:
    """Return the pattern of the machine names of a lab's workers, including those removed from lab.yaml."""
    return re.compile(rf"{re.escape(lab)}-w\d+")


def lab_of_machine(name: str) -> str | None:
    """Return the lab whose machine is called so, None for a name that no machine of a lab has."""
    found = re.fullmatch(r"(?P<lab>.+)-(?:cp|w)\d+", name)
    return found["lab"] if found else None


def own() -> BeforeValidator:
    """Return the validator of a name that a node has of its own: it is a hostname and a Node's name."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not _OWN.fullmatch(value):
            raise values.refusal(value, ALLOWED)
        return value

    return BeforeValidator(check)


def wrong_names(lab: str, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return key and message for every own name (machine -> name) that is, or may become, another node's."""
    machines, problems = machine_names(lab), []
    taken: dict[str, str] = {}
    for machine, name in names.items():
        if name in taken:
            problems.append((machine, f"{name} is the name of {taken[name]}; allowed: a name of its own"))
        elif name != machine and machines.fullmatch(name):
            what = f"{name} is what a machine of this lab is called"
            problems.append((machine, f"{what}; allowed: {machine}, or a name of another form"))
        taken.setdefault(name, machine)
    return [(f"nodes.{machine}.name", why) for machine, why in problems]


def either(machines: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Return by which names lab.yaml may mean nodes: their own (machine -> name), and those of machines."""
    return list(dict.fromkeys([*(names.get(machine, machine) for machine in machines), *machines]))
