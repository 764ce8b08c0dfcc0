"""Services: reached from nodes, from pods and from the host."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from provision.checks.walk import RULES_SECONDS, START_SECONDS, Walk
from provision.checks.walk_objects import ECHO, ECHO_PORT, service
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

RULES = "kubelab ssh {node} -- sudo nft list ruleset; the logs of kube-proxy in kube-system"
# Offset in the service range, and port, of the Services that every kubeadm cluster has.
KUBERNETES, KUBE_DNS = (1, 443), (10, 53)
LOAD_BALANCERS = ("ipaddresspools.metallb.io", "ciliumloadbalancerippools.cilium.io")
# $1: seconds, $2: how many different answers are expected, $3: the URL.
ASK_FOR_ALL = """
seen=$(mktemp) end=$(($(date +%s) + $1))
while [ "$(sort -u "$seen" | wc -l)" -lt "$2" ] && [ "$(date +%s)" -lt "$end" ]; do
  wget -q -T 10 -O - "$3" >>"$seen"
done 2>/dev/null
sort -u "$seen"
"""


@pytest.mark.quick
@pytest.mark.look(RULES)
def test_cluster_ips_answer_on_every_node(lab: LabUnderTest, node: LabNode) -> None:
    script, deaf = "timeout %s bash -c %s", []
    for place, port in (KUBERNETES, KUBE_DNS):
        address: IPv4Address = lab.config.network.services[place]
        seconds = str(int(lab.scaled(RULES_SECONDS)))
        if not node.run(script, seconds, f"exec 3<>/dev/tcp/{address}/{port}").succeeded:
            deaf.append(f"{address}:{port}")
    assert not deaf, f"{node} cannot connect to {' and '.join(deaf)}"


@pytest.mark.changes
@pytest.mark.look(RULES)
def test_a_cluster_ip_reaches_all_its_pods_from_every_node(walk: Walk, node: LabNode) -> None:
    names = sorted(peer.node for peer in walk.peers())
    url = f"http://{walk.service(ECHO)['clusterIP']}/"
    seconds = int(walk.lab.scaled(RULES_SECONDS))
    answers = walk.run(node.name, ASK_FOR_ALL, seconds, len(names), url).split()
    assert answers == names, (
        f"from a pod on {node}, {url} reaches the pods on {answers}, not those on {names}"
    )


@pytest.mark.changes
@pytest.mark.look(RULES)
def test_a_node_port_answers_the_host_on_every_node(walk: Walk, node: LabNode) -> None:
    names = [peer.node for peer in walk.peers()]
    answer = walk.fetch(f"http://{node.ip}:{walk.service(ECHO)['ports'][0]['nodePort']}/")
    assert answer in names, f"the NodePort of {node} answers {answer!r}, not the name of a node"


@pytest.mark.changes
@pytest.mark.look("kubelab kubectl -- get services -A; kubelab kubectl -- get pods -A")
def test_a_load_balancer_gives_an_address_that_answers_the_host(walk: Walk) -> None:
    if "loadbalancer" not in walk.lab.config.addons and not walk.defines(*LOAD_BALANCERS):
        pytest.skip("lab.yaml does not have the add-on loadbalancer, and no other is installed")
    names = [peer.node for peer in walk.peers()]
    name = "balanced"
    walk.kubectl.apply(
        service(walk.site, name, ECHO_PORT, {"type": "LoadBalancer", "selector": {"app": ECHO}})
    )
    balanced = walk.wait_for(
        "service",
        name,
        until=lambda found: found["status"]["loadBalancer"]["ingress"],
        what="an address from the load balancer",
    )
    (ingress, *_) = balanced["status"]["loadBalancer"]["ingress"]
    # A node has to begin to answer for the address, too.
    answer = walk.fetch(f"http://{ingress.get('ip') or ingress['hostname']}/", START_SECONDS)
    assert answer in names, f"the load balancer's address answers {answer!r}, not the name of a node"
