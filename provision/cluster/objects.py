"""Kubernetes objects that are put into a cluster together, in an order in which each finds what it needs."""

from __future__ import annotations

from collections.abc import Sequence

from provision.cluster.health import Object
from provision.cluster.kubectl import Kubectl

# Objects that others are made of or live in are there first.
FIRST = ("Namespace", "CustomResourceDefinition")
# Some hundred objects, a few of them CRDs that keep an API server busy: times the deadline of one request.
TURNS = 6


def write_all(kubectl: Kubectl, documents: Sequence[Object], *, validate: bool = False) -> None:
    """Make all of `documents`; kinds that they define themselves are waited for. Raises ToolFailed."""
    first = [item for item in documents if item["kind"] in FIRST]
    rest = [item for item in documents if item["kind"] not in FIRST]
    for group in filter(None, (first, rest)):
        kubectl.write(group, validate=validate, deadline=kubectl.deadline * TURNS)
        definitions = [item for item in group if item["kind"] == "CustomResourceDefinition"]
        if any(item["kind"] in defined_by(definitions) for item in rest):
            names = [f"crd/{item['metadata']['name']}" for item in definitions]
            patience = f"--timeout={int(kubectl.deadline)}s"
            kubectl("wait", "--for=condition=Established", patience, *names)


def defined_by(documents: Sequence[Object]) -> set[str]:
    """Return the kinds that the CustomResourceDefinitions among `documents` make."""
    return {item["spec"]["names"]["kind"] for item in documents if item["kind"] == "CustomResourceDefinition"}
