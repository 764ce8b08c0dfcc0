"""What each CNI leaves on a node, and the script that removes it where another CNI is wanted."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from provision.cni.bridge import CONFLIST, NETWORK_SCRIPT

MEMBER = "/etc/kubernetes/kubelet.conf"
CONF = "/etc/cni/net.d"


@dataclass(frozen=True)
class Leftovers:
    """Files, the first of which tells that the CNI was there; network links; commands that undo the rest."""

    files: tuple[str, ...]
    links: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


LEFTOVERS = {
    "bridge": Leftovers(
        (CONFLIST, NETWORK_SCRIPT, "/var/lib/cni/networks/kubelab"),
        ("cni0",),
        ("systemctl stop lab-network", "nft delete table ip kubelab"),
    ),
    "calico": Leftovers(
        (f"{CONF}/10-calico.conflist", f"{CONF}/calico-kubeconfig", "/var/lib/calico"),
        ("vxlan.calico", "tunl0"),
    ),
    "cilium": Leftovers(
        (f"{CONF}/05-cilium.conflist", "/var/run/cilium"), ("cilium_vxlan", "cilium_host", "cilium_net")
    ),
    "flannel": Leftovers(
        (f"{CONF}/10-flannel.conflist", "/run/flannel", "/var/lib/cni/networks/cbr0"), ("flannel.1", "cni0")
    ),
}


def removal_script(wanted: str) -> str:
    """Return a script that removes what CNIs other than `wanted` left on a node that is in no cluster."""
    parts = []
    for name, left in LEFTOVERS.items():
        if name == wanted:
            continue
        undo = [*left.commands, *(f"ip link delete {link}" for link in left.links)]
        lines = "".join(f"    {command} 2>/dev/null || true\n" for command in undo)
        parts.append(f"if [ -e {left.files[0]} ]; then\n{lines}    rm -rf {shlex.join(left.files)}\nfi\n")
    return f"if [ ! -e {MEMBER} ]; then\n{''.join(parts)}fi\n"


def probe_script(wanted: str) -> str:
    """Return a script that fails where `removal_script` has something to do."""
    signs = " && ".join(f"[ ! -e {left.files[0]} ]" for name, left in LEFTOVERS.items() if name != wanted)
    return f"[ -e {MEMBER} ] || {{ {signs}; }}"
