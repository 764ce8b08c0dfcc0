"""A NetworkPolicy, if the pod network enforces them."""

from __future__ import annotations

from typing import Any

import pytest

from provision.checks.walk import RULES_SECONDS, START_SECONDS, Walk
from provision.checks.walk_objects import ECHO, ECHO_PORT, server

pytestmark = pytest.mark.changes

GUARDED = "guarded"
# CRDs by which a pod network that the user installed is recognised.
ENFORCERS = ("globalnetworkpolicies.crd.projectcalico.org", "ciliumnetworkpolicies.cilium.io")
# $1: seconds, $2: the expected exit code, 0 or 1, $3: the URL.
ASK_UNTIL = """
end=$(($(date +%s) + $1))
while :; do
  if wget -q -T 2 -O /dev/null "$3" 2>/dev/null; then code=0; else code=1; fi
  [ $code = "$2" ] && echo as expected && break
  [ "$(date +%s)" -ge "$end" ] && break
  sleep 0.5
done
"""


@pytest.mark.look("kubelab kubectl -- get networkpolicies -A; the logs of the pod network's pods")
def test_a_network_policy_is_enforced(walk: Walk) -> None:
    cni = walk.lab.context.cni
    if not cni.enforces_policies and not walk.defines(*ENFORCERS):
        pytest.skip(f"the pod network ({cni.name}) does not enforce NetworkPolicies")
    walk.kubectl.apply(server(walk.site, GUARDED, walk.home.name, app=GUARDED))
    address = walk.ready_pod(GUARDED, START_SECONDS)["status"]["podIP"]
    client = walk.others(walk.home.name)[0] if len(walk.site.nodes) > 1 else walk.peer(walk.home.name)

    def reaches(expected: bool) -> bool:
        wanted = (int(walk.lab.scaled(RULES_SECONDS)), 0 if expected else 1)
        return bool(walk.run(client.node, ASK_UNTIL, *wanted, f"http://{address}:{ECHO_PORT}/"))

    assert reaches(True), "without a policy the pod does not answer"
    walk.kubectl.apply(_policy(walk))
    assert reaches(False), "a policy that denies all does not block the client"
    walk.kubectl.apply(_policy(walk, {"podSelector": {"matchLabels": {"app": ECHO}}}))
    assert reaches(True), "a policy that allows the client blocks it"


def _policy(walk: Walk, *friends: dict[str, Any]) -> dict[str, Any]:
    """Return a policy that lets only `friends` reach the guarded pod."""
    spec = {
        "podSelector": {"matchLabels": {"app": GUARDED}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [friend]} for friend in friends],
    }
    metadata = {"name": GUARDED, "namespace": walk.namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
