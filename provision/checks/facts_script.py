"""The script that looks at a node: few programs, since each one takes long to start on an emulated CPU."""

from __future__ import annotations

from collections.abc import Sequence

from provision.node.certificates import CLIENT_PEM, SERVING_CRT
from provision.node.kubelet import HEALTHZ

UNITS = ("containerd", "kubelet")
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
CONTAINERD_CONFIG = "/etc/containerd/config.toml"
CNI_FOLDER = "/etc/cni/net.d"
BRIDGE_FILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"
BRIDGE_FILTER_6 = "/proc/sys/net/bridge/bridge-nf-call-ip6tables"
CONNECTION_TRACKING = "/proc/sys/net/netfilter/nf_conntrack_max"
IP_FORWARD = "/proc/sys/net/ipv4/ip_forward"
HOSTNAME = "/proc/sys/kernel/hostname"
MACHINE_ID = "/etc/machine-id"
# Read by one program, since to start one takes longer than to read them all.
FILES = (
    "/proc/filesystems",
    "/proc/self/mounts",
    "/proc/swaps",
    IP_FORWARD,
    BRIDGE_FILTER,
    BRIDGE_FILTER_6,
    CONNECTION_TRACKING,
    HOSTNAME,
    "/sys/class/net/*/address",
    "/etc/fstab",
    MACHINE_ID,
    CONTAINERD_CONFIG,
    KUBELET_CONFIG,
    f"{CNI_FOLDER}/*.conf",
    f"{CNI_FOLDER}/*.conflist",
    f"{CNI_FOLDER}/*.json",
    "/root/.ssh/authorized_keys*",
    "/home/*/.ssh/authorized_keys*",
    "/etc/ssh/authorized_keys*",
    "/etc/ssh/authorized_keys*/*",
)
CERTIFICATES = (
    "/etc/kubernetes/pki/*.crt",
    "/etc/kubernetes/pki/etcd/*.crt",
    "/etc/kubernetes/*.conf",
    CLIENT_PEM,
    SERVING_CRT,
)
SWAP_UNITS = " ".join(
    f"{folder}/*.swap"
    for folder in (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/run/systemd/generator*",
        "/usr/lib/systemd/system",
    )
)
ETCD_PKI = "/etc/kubernetes/pki/etcd"
# An emulated one took more than ten to answer just after a restore.
ETCD_SECONDS = 30


def _each(patterns: Sequence[str]) -> str:
    """Return shell text that makes those of the files which are there the script's arguments."""
    return f"""
set --
for file in {" ".join(patterns)}; do
    if [ -f "$file" ]; then set -- "$@" "$file"; fi
done
"""


# Of the files that hold private keys the certificates alone. A masked unit is a link to no regular file.
# etcd answers a list of its members only while most of them agree; etcdctl would take a second to start.
SCRIPT = f"""
echo "== active"
systemctl is-active {" ".join(UNITS)} 2>/dev/null || true
echo "== enabled"
systemctl is-enabled {" ".join(UNITS)} 2>/dev/null || true
echo "== healthz"
{HEALTHZ}
echo "== addresses"
ip -o -4 address show
echo "== swap units"
for unit in {SWAP_UNITS}; do
    if [ -f "$unit" ]; then echo "$unit"; fi
done
echo "== files"
{_each(FILES)}
awk 'FNR == 1 {{print "-- " FILENAME}} {{print}}' "$@"
echo "== certificates"
{_each(CERTIFICATES)}
if [ $# -gt 0 ]; then
    awk 'FNR == 1 {{print "-- " FILENAME}} /BEGIN CERTIFICATE/,/END CERTIFICATE/ {{print}}
        /client-certificate-data:/ {{print "data " $2}}' "$@"
fi
echo "== etcd"
if [ -f /etc/kubernetes/manifests/etcd.yaml ]; then
    curl --silent --show-error --noproxy '*' --max-time {ETCD_SECONDS} --write-out '\\n' \\
        --cacert {ETCD_PKI}/ca.crt --cert {ETCD_PKI}/healthcheck-client.crt \\
        --key {ETCD_PKI}/healthcheck-client.key --data '{{"linearizable": true}}' \\
        https://127.0.0.1:2379/v3/cluster/member/list 2>&1 || true
fi
"""
