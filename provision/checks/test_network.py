"""The pod network between nodes: source addresses, full-size packets, large transfers."""

from __future__ import annotations

import pytest

from provision.checks.walk import Walk
from provision.checks.walk_objects import ECHO_PORT, LARGE_MIB
from provision.testing.node import LabNode

pytestmark = pytest.mark.changes

ROUTES = "kubelab ssh {node} -- 'ip route; ip link; sudo nft list ruleset'"
PINGS = 3
# Arguments: addresses of pods. Prints a line for each: the address, and the caller's address that pod sees.
ASK_WHO_CALLS = f"""
for address; do
  echo "$address $(wget -q -T 10 -O - "http://$address:{ECHO_PORT}/cgi-bin/caller" 2>&1)"
done
"""
# Arguments: addresses of pods. A ping as large as the MTU shows whether a later link has a smaller MTU: the
# kernel sets "don't fragment" on it.
PING = f"""
mtu=$(cat /sys/class/net/eth0/mtu)
for address; do
  answers=$(ping -q -A -c {PINGS} -W 10 -s $((mtu - 28)) "$address" 2>&1 | grep -o '[0-9]* packets received')
  echo "$address ${{answers:-nothing}} of {PINGS} of $mtu bytes"
done
"""
# $1: the address of a pod. Prints size and checksum of what was received, and the checksum of what was sent.
DOWNLOAD = f"""
file=$(mktemp) url=http://$1:{ECHO_PORT}/large
wget -q -T 10 -O "$file" "$url"
wc -c <"$file"; md5sum <"$file"; wget -q -T 10 -O - "$url.md5"
rm "$file"
"""


@pytest.mark.look(ROUTES)
def test_pods_reach_each_other_across_nodes_by_their_own_addresses(walk: Walk, node: LabNode) -> None:
    own = walk.peer(node.name).ip
    addresses = [peer.ip for peer in walk.others(node.name)]
    answers = walk.run(node.name, ASK_WHO_CALLS, *addresses).splitlines()
    wrong = [line for line in answers if line not in {f"{address} {own}" for address in addresses}]
    assert not wrong, (
        f"a pod on {node} has the address {own}, but other pods see (pod, caller): {'; '.join(wrong)}"
    )
    assert len(answers) == len(addresses)


@pytest.mark.look(ROUTES)
def test_full_size_packets_pass_between_nodes(walk: Walk, node: LabNode) -> None:
    addresses = [peer.ip for peer in walk.others(node.name)]
    answers = walk.run(node.name, PING, *addresses).splitlines()
    lost = [line for line in answers if f" {PINGS} packets received of" not in line]
    assert not lost, f"lost pings from a pod on {node}: {'; '.join(lost)}"
    assert len(answers) == len(addresses)


@pytest.mark.look(ROUTES)
def test_a_large_transfer_from_every_node_arrives_complete(walk: Walk, node: LabNode) -> None:
    client, server = walk.others(node.name)[0], walk.peer(node.name)
    size, came, *sent = walk.run(client.node, DOWNLOAD, server.ip).splitlines()
    whole = LARGE_MIB * 2**20
    where = f"from a pod on {server.node} to one on {client.node}"
    assert int(size) == whole, f"{size} of {whole} bytes arrived {where}"
    assert sent == [came], f"the data {where} was corrupted: its checksum differs"
