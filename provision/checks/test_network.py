"""The pod network between nodes: addresses as they are, packets as large as they may be."""

from __future__ import annotations

import pytest

from provision.checks.walk import Walk
from provision.checks.walk_objects import ECHO_PORT, LARGE_MIB
from provision.testing.node import LabNode

pytestmark = pytest.mark.changes

ROUTES = "kubelab ssh {node} -- 'ip route; ip link; sudo nft list ruleset'"
PINGS = 3
# Arguments: addresses of pods. Prints a line for each: the address, and who the pod there says is calling.
ASK_WHO_CALLS = f"""
for address; do
  echo "$address $(wget -q -T 10 -O - "http://$address:{ECHO_PORT}/cgi-bin/caller" 2>&1)"
done
"""
# Arguments: addresses of pods. The kernel lets nobody cut up a ping that fits the first link, however small
# the next one is.
PING = f"""
mtu=$(cat /sys/class/net/eth0/mtu)
for address; do
  answers=$(ping -q -A -c {PINGS} -W 10 -s $((mtu - 28)) "$address" 2>&1 | grep -o '[0-9]* packets received')
  echo "$address ${{answers:-nothing}} of {PINGS} of $mtu bytes"
done
"""
# $1: the address of a pod. Prints the size and the checksum of what came, and the checksum of what was sent.
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
    assert not wrong, f"a pod on {node} calls as {own}, which others say is: {'; '.join(wrong)}"
    assert len(answers) == len(addresses)


@pytest.mark.look(ROUTES)
def test_full_size_packets_pass_between_nodes(walk: Walk, node: LabNode) -> None:
    addresses = [peer.ip for peer in walk.others(node.name)]
    answers = walk.run(node.name, PING, *addresses).splitlines()
    lost = [line for line in answers if f" {PINGS} packets received of" not in line]
    assert not lost, f"pings from a pod on {node}: {'; '.join(lost)}"
    assert len(answers) == len(addresses)


@pytest.mark.look(ROUTES)
def test_a_large_transfer_from_every_node_arrives_whole(walk: Walk, node: LabNode) -> None:
    client, server = walk.others(node.name)[0], walk.peer(node.name)
    size, came, *sent = walk.run(client.node, DOWNLOAD, server.ip).splitlines()
    whole = LARGE_MIB * 2**20
    where = f"from a pod on {server.node} to one on {client.node}"
    assert int(size) == whole, f"{size} of {whole} bytes came {where}"
    assert sent == [came], f"{whole} bytes came changed {where}"
