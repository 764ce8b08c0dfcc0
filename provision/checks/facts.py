"""The facts of every node, gathered once: one script per node, all nodes in parallel.

The script starts few programs, since each one takes long to start on an emulated CPU.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cryptography import x509

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import Cancelled, LabError
from provision.lab.context import Context
from provision.node.certificates import CLIENT_PEM, SERVING_CRT
from provision.node.images import LIST_PINNED
from provision.node.kube_proxy import PROXY_MODE
from provision.node.kubelet import HEALTHZ
from provision.node.registries import CONFIG, FOLDER
from provision.node.resolvers import RESOLV_CONF
from provision.node.sections import sections
from provision.node.tasks import FOLDER as TASKS
from provision.node.time_zone import LINK, zone_of

UNITS = ("containerd", "kubelet")
CONTAINERD_CONFIG = CONFIG
REGISTRIES = FOLDER
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
CNI_FOLDER = "/etc/cni/net.d"
BRIDGE_FILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"
BRIDGE_FILTER_6 = "/proc/sys/net/bridge/bridge-nf-call-ip6tables"
CONNECTION_TRACKING = "/proc/sys/net/netfilter/nf_conntrack_max"
IP_FORWARD = "/proc/sys/net/ipv4/ip_forward"
HOSTNAME = "/proc/sys/kernel/hostname"
MACHINE_ID = "/etc/machine-id"
BLOCK_DEVICES = "/sys/block"
# All read by one program: starting a program takes longer than reading all the files.
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
    f"{BLOCK_DEVICES}/vd*/serial",
    f"{BLOCK_DEVICES}/vd*/size",
    "/etc/fstab",
    MACHINE_ID,
    CONTAINERD_CONFIG,
    f"{REGISTRIES}/*/hosts.toml",
    RESOLV_CONF,
    f"{TASKS}/*",
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
    """Return shell text that sets the positional parameters to those of the files that exist."""
    return f"""
set --
for file in {" ".join(patterns)}; do
    if [ -f "$file" ]; then set -- "$@" "$file"; fi
done
"""


# Of files with private keys only the certificates are read. A masked unit is a link to no regular file.
# A linearizable member list needs etcd's quorum. curl is used because etcdctl takes a second to start.
SCRIPT = f"""
echo "== active"
systemctl is-active {" ".join(UNITS)} 2>/dev/null || true
echo "== enabled"
systemctl is-enabled {" ".join(UNITS)} 2>/dev/null || true
echo "== healthz"
{HEALTHZ}
echo "== proxy mode"
{PROXY_MODE}
echo "== pinned images"
{LIST_PINNED} 2>/dev/null || true
echo "== time zone"
readlink {LINK} || true
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


def packages_script(packages: Sequence[str]) -> str:
    """Return the script that looks for Debian packages; for none it starts no program."""
    if not packages:
        return ""
    shown = "'${db:Status-Status} ${Package}\\n'"
    return f"""
echo "== packages"
dpkg-query --show --showformat={shown} {" ".join(packages)} 2>/dev/null || true
"""


@dataclass(frozen=True)
class Unit:
    """A unit of systemd: `active` such as "active" or "failed", `enabled` such as "enabled"."""

    active: str
    enabled: str


@dataclass(frozen=True)
class Address:
    """An IPv4 address and its network interface."""

    card: str
    address: str
    mac: str


@dataclass(frozen=True)
class Validity:
    """From when until when all certificates of a file are valid."""

    begin: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class NodeFacts:
    """The facts of one node. `files` maps path to text, without missing and empty files.

    `healthy`: the kubelet's health endpoint answers 200. `etcd` is etcd's answer, on a control plane.
    `proxy_mode` is what kube-proxy says, such as "nftables"; empty where it does not answer. `packages` are
    those of lab.yaml that are installed.
    """

    files: Mapping[str, str]
    units: Mapping[str, Unit]
    healthy: bool
    addresses: tuple[Address, ...]
    swap_units: tuple[str, ...]
    certificates: Mapping[str, Validity]
    etcd: str
    pinned_images: frozenset[str]
    proxy_mode: str
    time_zone: str
    packages: frozenset[str]

    def file(self, path: str) -> str:
        """Return a file's text; an empty string if there is no such file."""
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
    """Ask all nodes in parallel; a node that does not answer does not affect the others."""
    deadline = ctx.scaled(60)
    script = SCRIPT + packages_script(ctx.config.packages)

    def ask(node: Node) -> NodeFacts | LabError:
        try:
            return parse(ctx.connect(node).run(script, deadline=deadline, what="look at the node").stdout)
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
    """Return the facts in the script's output."""
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
        pinned_images=frozenset(parts["pinned images"]),
        proxy_mode="".join(parts["proxy mode"][-1:]).strip(),
        time_zone=zone_of("".join(parts["time zone"])),
        packages=frozenset(map(_installed, parts.get("packages", []))) - {""},
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


def _installed(line: str) -> str:
    """Return the package of a line of dpkg-query; an empty text where it is not installed whole."""
    status, _, package = line.partition(" ")
    return package if status == "installed" else ""


def _address(line: str, files: Mapping[str, str]) -> Address:
    _, card, _, address, *_ = line.split()
    return Address(card, address.partition("/")[0], files.get(f"/sys/class/net/{card}/address", "").strip())


def _validity(text: str) -> Validity:
    # A kubeconfig holds its certificate base64-encoded.
    lines = (
        base64.b64decode(line[5:]).decode() if line.startswith("data ") else line
        for line in text.splitlines()
    )
    found = x509.load_pem_x509_certificates("\n".join(lines).encode())
    begin = max(certificate.not_valid_before_utc for certificate in found)
    return Validity(begin, min(certificate.not_valid_after_utc for certificate in found))
