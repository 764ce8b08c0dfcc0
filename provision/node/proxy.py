"""The proxy of a node: for containerd, for apt, and for programs that root starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from provision.config.proxy import ProxyConfig
from provision.node.files import PRIVATE, File, same_files_script

# The addresses stand here alone, and in apt's own form beside it, for root's eyes: one may hold a password.
ENVIRONMENT = "/etc/kubelab/proxy.env"
APT = "/etc/apt/apt.conf.d/90kubelab-proxy"
CONTAINERD = "/etc/systemd/system/containerd.service.d/20-kubelab-proxy.conf"
PROFILE = "/etc/profile.d/kubelab-proxy.sh"
# There until containerd has what the files say, whatever ends the work in between.
CHANGED = "/etc/kubelab/proxy.changed"
FILES = (ENVIRONMENT, APT, CONTAINERD, PROFILE)

_CONTAINERD = f"[Service]\nEnvironmentFile=-{ENVIRONMENT}\n"
_PROFILE = f"if [ -r {ENVIRONMENT} ]; then set -a; . {ENVIRONMENT}; set +a; fi\n"


def proxy_files(proxy: ProxyConfig, inside: Iterable[object]) -> dict[str, File]:
    """Return path -> file of a node with that proxy; `inside` are names and ranges of the lab.

    Without a proxy there are none.
    """
    if not proxy:
        return {}
    addresses = {"http": proxy.http.get_secret_value(), "https": proxy.https.get_secret_value()}
    named = {scheme: address for scheme, address in addresses.items() if address}
    exempt = ",".join(dict.fromkeys((*map(str, inside), *proxy.no_proxy)))
    words = {f"{scheme}_proxy": address for scheme, address in named.items()} | {"no_proxy": exempt}
    # Programs look at one or the other.
    environment = "".join(f'{name}="{value}"\n{name.upper()}="{value}"\n' for name, value in words.items())
    apt = "".join(f'Acquire::{scheme}::Proxy "{address}";\n' for scheme, address in named.items())
    return {
        ENVIRONMENT: File(environment, PRIVATE),
        APT: File(apt, PRIVATE),
        CONTAINERD: File(_CONTAINERD),
        PROFILE: File(_PROFILE),
    }


def before_script(files: Mapping[str, File]) -> str:
    """Return a script to run before `files` are written: it notes a change, and clears what is left."""
    if ENVIRONMENT not in files:
        return f"if [ -e {ENVIRONMENT} ]; then touch {CHANGED}; rm -f {' '.join(FILES)}; fi\n"
    same = same_files_script({ENVIRONMENT: files[ENVIRONMENT]})
    return f"mkdir -p {PurePosixPath(CHANGED).parent}\nif {same.rstrip()}\nthen :; else touch {CHANGED}; fi\n"


def after_script() -> str:
    """Return a script to run after the files are written: containerd starts again where its proxy changed."""
    return f"""
if [ -e {CHANGED} ]; then
    systemctl daemon-reload
    systemctl restart containerd
    rm {CHANGED}
fi
"""


def probe_script(files: Mapping[str, File]) -> str:
    """Return a script that fails where a proxy is left that is not wanted, or containerd has another."""
    unwanted = "" if ENVIRONMENT in files else f"test ! -e {ENVIRONMENT}\n"
    return f"test ! -e {CHANGED}\n{unwanted}"
