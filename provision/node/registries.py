"""The registries of a node's containerd: their mirrors, and those without a certificate to trust.

containerd reads a registry's hosts.toml at each pull. Files of the user's own beside ours are left alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from provision.config.registries import authority
from provision.node.files import File, sum_of, unpack_script

FOLDER = "/etc/containerd/certs.d"
CONFIG = "/etc/containerd/config.toml"
# There until containerd reads the folder, whatever ends the work in between.
CHANGED = "/etc/kubelab/registries.changed"
# The first line of ours.
MARK = "# Written by kubelab from lab.yaml. Without this line the file is your own, and is left alone."
_OWN = "own hosts.toml: "
_READS = r"^[[:space:]]*(config_path[[:space:]]*=|\[plugins\..*\.registry[].])"
_PLUGINS = {3: "io.containerd.cri.v1.images", 2: "io.containerd.grpc.v1.cri"}

_FUNCTIONS = f"""
is_ours() {{
    first=
    if [ -f "$1" ]; then IFS= read -r first <"$1" || true; fi
    [ "$first" = {shlex.quote(MARK)} ]
}}
as_asked() {{
    [ -e "$1" ] && {{ ! is_ours "$1" || [ "$(sha256sum <"$1")" = "$2  -" ]; }}
}}
lacks_folder() {{
    grep -Eqs '^version *= *[23]' {CONFIG} && ! grep -Eq {shlex.quote(_READS)} {CONFIG}
}}
"""


def hosts_files(mirrors: Mapping[str, Sequence[str]], insecure: Collection[str]) -> dict[str, File]:
    """Return path -> file of a node with the `mirrors` (registry -> endpoints) and `insecure` registries."""
    names = dict.fromkeys((*mirrors, *insecure))
    return {
        f"{FOLDER}/{name}/hosts.toml": File(_hosts(name, mirrors.get(name, ()), insecure)) for name in names
    }


def is_ours(text: str) -> bool:
    """Return whether kubelab wrote a hosts.toml with this text."""
    return text.partition("\n")[0] == MARK


def registry_of(path: str) -> str:
    """Return the registry that a hosts.toml is for."""
    return PurePosixPath(path).parent.name


def probe_script(files: Mapping[str, File]) -> str:
    """Return a script that fails unless the node's registries are as `prepare_script` leaves them.

    It prints for `own_files` which of `files` are the user's own.
    """
    return f"{_functions(files)}\nregistries_are_as_asked\ntell_own\n"


def prepare_script(files: Mapping[str, File]) -> str:
    """Return a script that writes `files` where there are none of the user's, and removes ours of before.

    A containerd that reads no such files, as in labs of older versions, is told to, and starts again.
    """
    table = {
        version: f"\n[plugins.'{plugin}'.registry]\n  config_path = \"{FOLDER}\"\n"
        for version, plugin in _PLUGINS.items()
    }
    return f"""
{_functions(files)}
if ! registries_are_as_asked; then
    for file in {FOLDER}/*/hosts.toml; do
        if is_ours "$file"; then
            rm "$file"
            rmdir "${{file%/*}}" 2>/dev/null || true
        fi
    done
    {unpack_script(files, keep=True) if files else ""}
fi
if lacks_folder; then
    mkdir -p {PurePosixPath(CHANGED).parent}
    touch {CHANGED}
    cp -p {CONFIG} {CONFIG}.new
    if grep -q '^version *= *3' {CONFIG}; then
        printf %s {shlex.quote(table[3])} >>{CONFIG}.new
    else
        printf %s {shlex.quote(table[2])} >>{CONFIG}.new
    fi
    mv {CONFIG}.new {CONFIG}
fi
if [ -e {CHANGED} ]; then
    systemctl restart containerd
    rm {CHANGED}
fi
"""


def own_files(output: str, files: Mapping[str, File]) -> list[str]:
    """Return which of `files` the output of `probe_script` says to be the user's own."""
    said = set(re.findall(rf"^{re.escape(_OWN)}(.+)$", output, re.MULTILINE))
    return [path for path in files if path in said]


def _functions(files: Mapping[str, File]) -> str:
    """Return the shell functions that say whether a node has `files`, and which are the user's own."""
    paths = [shlex.quote(path) for path in files]
    known = f"{'|'.join(paths)}) ;;" if paths else ""
    asked = "\n".join(
        f"    as_asked {path} {sum_of(file)} || return 1"
        for path, file in zip(paths, files.values(), strict=True)
    )
    return f"""{_FUNCTIONS}
registries_are_as_asked() {{
    [ ! -e {CHANGED} ] || return 1
    ! lacks_folder || return 1
    for file in {FOLDER}/*/hosts.toml; do
        if is_ours "$file"; then case $file in {known}
        *) return 1;; esac; fi
    done
{asked}
    return 0
}}
tell_own() {{
    for file in {" ".join(paths)}; do
        if ! is_ours "$file"; then echo "{_OWN}$file"; fi
    done
}}
"""


def _hosts(registry: str, endpoints: Sequence[str], insecure: Collection[str]) -> str:
    """Return a hosts.toml: the endpoints in their order, then the registry itself."""
    tables = {endpoint: _mirror(endpoint, insecure) for endpoint in endpoints}
    lines = [MARK]
    if registry in insecure:
        # By TLS first: a server that has none fails the handshake, and the next one is asked.
        tables.setdefault(f"https://{registry}", ["skip_verify = true"])
        lines.append(f'server = "http://{registry}"')
    for url, keys in tables.items():
        lines += [f'[host."{url}"]', *(f"  {key}" for key in keys)]
    return "\n".join(lines) + "\n"


def _mirror(endpoint: str, insecure: Collection[str]) -> list[str]:
    host = authority(endpoint)
    keys = ['capabilities = ["pull", "resolve"]']
    if endpoint.partition("://")[2] != host:
        keys.append("override_path = true")
    if endpoint.startswith("https://") and host in insecure:
        keys.append("skip_verify = true")
    return keys
