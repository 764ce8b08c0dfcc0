"""Every node's certificates, and the bootstrap tokens."""

from __future__ import annotations

import datetime as dt

import pytest

from provision.checks.facts import AllFacts, Validity
from provision.node.certificates import CLIENT_PEM, MARGIN
from provision.testing.kubectl import LabKubectl
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

# Only names and dates: the rest of a token's Secret gives access to the cluster.
TOKENS = (
    "get",
    "secrets",
    "--namespace=kube-system",
    "--field-selector=type=bootstrap.kubernetes.io/token",
    '--output=jsonpath={range .items[*]}{.metadata.name} {.data.expiration}{"\\n"}{end}',
)


@pytest.mark.look(
    "kubelab reset renews them; on a control plane: kubelab ssh {node} -- sudo kubeadm certs renew all"
)
def test_every_certificate_is_valid_and_has_days_left(node: LabNode, facts: AllFacts) -> None:
    found = facts[node.name].certificates
    assert CLIENT_PEM in found, f"the kubelet on {node.name} has no certificate"
    now = dt.datetime.now(dt.UTC)
    faults = [text for path, validity in found.items() if (text := _fault(path, validity, now))]
    assert not faults, f"{node.name}: {'; '.join(faults)}"


@pytest.mark.look("kubelab kubectl -- -n kube-system get secrets; kubeadm token list on the control plane")
def test_every_bootstrap_token_expires(kubectl: LabKubectl) -> None:
    lines = [line.split() for line in kubectl.text(*TOKENS).splitlines()]
    eternal = ", ".join(words[0] for words in lines if len(words) == 1)
    assert not eternal, f"{eternal} never expires: anyone who knows it can join a node at any time"


def _fault(path: str, validity: Validity, now: dt.datetime) -> str:
    if validity.begin > now:
        return f"{path} is valid only from {validity.begin:%Y-%m-%d %H:%M} on"
    if validity.end < now:
        return f"{path} expired on {validity.end:%Y-%m-%d %H:%M}"
    if validity.end < now + MARGIN:
        return f"{path} expires in {(validity.end - now).total_seconds() / 3600:.0f} hours"
    return ""
