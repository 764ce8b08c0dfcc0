"""DNS: names of Services and pods, resolved by pods on every node."""

from __future__ import annotations

import pytest

from provision.checks.walk import RULES_SECONDS, Walk
from provision.checks.walk_objects import ECHO, HEADLESS
from provision.testing.node import LabNode

pytestmark = pytest.mark.changes

COREDNS = "kubelab kubectl -- logs -n kube-system -l k8s-app=kube-dns; kubelab kubectl -- get pods -A -o wide"
# $1: seconds, then NAME=ADDRESS. Prints what does not resolve, and nothing when all is well.
RESOLVE = """
set -f
end=$(($(date +%s) + $1)); shift
for pair; do
  name=${pair%=*}
  until answer=$(nslookup -type=a "$name" 2>&1); echo "$answer" | grep -qx "Address: ${pair##*=}"; do
    [ "$(date +%s)" -ge "$end" ] && echo "$pair:" $answer && break
    sleep 0.5
  done
done
true
"""


@pytest.mark.look(COREDNS)
def test_service_names_resolve_on_every_node(walk: Walk, node: LabNode) -> None:
    address = walk.service(ECHO)["clusterIP"]
    kubernetes = walk.lab.config.network.services[1]
    _check(
        walk,
        node,
        {
            ECHO: address,
            f"{ECHO}.{walk.namespace}.svc.{walk.domain}": address,
            f"kubernetes.default.svc.{walk.domain}": str(kubernetes),
        },
    )


@pytest.mark.look(COREDNS)
def test_pod_names_resolve_on_every_node(walk: Walk, node: LabNode) -> None:
    _check(
        walk,
        node,
        {f"{peer.node}.{HEADLESS}.{walk.namespace}.svc.{walk.domain}": peer.ip for peer in walk.peers()},
    )


def _check(walk: Walk, node: LabNode, addresses: dict[str, str]) -> None:
    pairs = [f"{name}={address}" for name, address in addresses.items()]
    problems = walk.run(node.name, RESOLVE, int(walk.lab.scaled(RULES_SECONDS)), *pairs)
    assert not problems, f"these names do not resolve in a pod on {node}:\n{problems}"
