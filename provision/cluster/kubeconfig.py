"""The lab's kubeconfig: made of what the control plane has, and merged into the user's own."""

from __future__ import annotations

import base64
import functools
import os
from pathlib import Path
from typing import Any

import yaml

from provision.cluster.admin_conf import Credentials, read_credentials
from provision.config.addresses import API_PORT
from provision.config.inventory import Node
from provision.config.loader import LabLoader, Loader
from provision.errors import ConfigError, LabError
from provision.host.files import PRIVATE, home_dir, write_atomic, write_output
from provision.host.records import read_small
from provision.node.runner import Runner

SECTIONS = ("clusters", "users", "contexts")
TOP_KEYS = {"apiVersion", "kind", "preferences", "current-context", *SECTIONS}
# What kubelab writes into an entry. Contexts are the user's to change, who may set a namespace there.
WRITTEN = {
    "cluster": {"server", "certificate-authority-data"},
    "user": {"client-certificate-data", "client-key-data"},
}
DAMAGED = "remove that file, then: kubelab up"


def fetch_kubeconfig(runner: Runner, lab: str, node: Node, target: Path) -> None:
    """Write the kubeconfig of the lab `lab` to `target`, with the credentials that its control plane has."""
    document = kubeconfig(lab, node.ip, read_credentials(runner))
    write_atomic(target, yaml.safe_dump(document), mode=PRIVATE)


def kubeconfig(lab: str, address: str, credentials: Credentials) -> dict[str, Any]:
    """Return the kubeconfig of a lab whose API server is at `address`."""
    user = f"{lab}-admin"
    cluster = {
        "server": f"https://{address}:{API_PORT}",
        "certificate-authority-data": _base64(credentials.authority),
    }
    identity = {
        "client-certificate-data": _base64(credentials.certificate),
        "client-key-data": _base64(credentials.key),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": lab, "cluster": cluster}],
        "users": [{"name": user, "user": identity}],
        "contexts": [{"name": lab, "context": {"cluster": lab, "user": user}}],
        "current-context": lab,
    }


def checked(file: Path) -> Path:
    """Return the kubeconfig in a lab's folder, or an empty one for a file that cannot be read.

    It may name programs and files of this host, and that folder may have come from somebody else: raises
    LabError for one with what kubelab does not write.
    """
    try:
        strange = _strange_names(read_small(file))
    except FileNotFoundError:
        return file
    except (ValueError, yaml.YAMLError, RecursionError):
        # kubectl may read it in another way.
        return Path(os.devnull)
    if strange:
        raise LabError(f"{file} has what kubelab does not write there: {strange}", hint=DAMAGED)
    return file


# Asked before every call of kubectl, hundreds of times by one command.
@functools.lru_cache(maxsize=4)
def _strange_names(content: bytes) -> str:
    """Return the keys of a kubeconfig that kubelab does not write; raises YAMLError, RecursionError."""
    document = yaml.load(content, LabLoader)
    strange = set(document) - TOP_KEYS if isinstance(document, dict) else set()
    for section, part in (("clusters", "cluster"), ("users", "user")):
        entries = document.get(section) if isinstance(document, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            strange |= _keys(entry) - {"name", part}
            strange |= _keys(entry.get(part) if isinstance(entry, dict) else None) - WRITTEN[part]
    return ", ".join(sorted(map(str, strange)))


def default_path() -> Path:
    """Return the file kubectl reads first: that of $KUBECONFIG, or ~/.kube/config."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else home_dir() / ".kube" / "config"


def files_of_user() -> list[Path]:
    """Return the files in which kubectl may find a context: those of $KUBECONFIG, and ~/.kube/config."""
    named = [Path(name) for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return list(dict.fromkeys([*named, home_dir() / ".kube" / "config"]))


def merge_into(target: Path, lab: Path) -> None:
    """Put the lab's cluster, user and context into `target`, replacing those of the same names.

    The lab's context becomes the current one. Raises ConfigError if `target` is no kubeconfig, LabError if
    the lab's own is damaged.
    """
    document = _users_own(target)
    addition = read_kubeconfig(lab)
    for section in SECTIONS:
        names = {entry["name"] for entry in addition[section]}
        kept = [entry for entry in document.get(section) or [] if entry["name"] not in names]
        document[section] = kept + addition[section]
    document["current-context"] = addition["current-context"]
    write_output(target, yaml.safe_dump(document, sort_keys=False), mode=PRIVATE)


def take_out(target: Path, lab: Path) -> bool:
    """Take out of `target` what `merge_into` put there of the lab; return whether anything was.

    The cluster is known by its authority: an entry of the same name may be of another one. Raises ConfigError
    if `target` is no kubeconfig.
    """
    try:
        own = read_kubeconfig(lab)
    except (LabError, OSError):
        # Without it nothing can be known as the lab's.
        return False
    document, authorities = _users_own(target), _authorities(own)
    if not authorities & _authorities(document):
        return False
    for section in SECTIONS:
        names = {entry["name"] for entry in own[section]}
        document[section] = [entry for entry in document.get(section) or [] if entry["name"] not in names]
    if document.get("current-context") == own["current-context"]:
        document["current-context"] = ""
    write_output(target, yaml.safe_dump(document, sort_keys=False), mode=PRIVATE)
    return True


def read_kubeconfig(file: Path) -> dict[str, Any]:
    """Return the kubeconfig of a lab, which has an entry in each section; raises LabError."""
    checked(file)
    try:
        document = _parse(file.read_bytes())
        if all(document.get(part) for part in (*SECTIONS, "current-context")):
            return document
        why = f"it has no {', '.join(SECTIONS)} and current-context"
    except ValueError as error:
        why = str(error)
    raise LabError(f"{file} is damaged: {why}", hint=DAMAGED)


def _authorities(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the name and the certificate authority of each cluster that has one."""
    clusters = [(entry["name"], entry.get("cluster")) for entry in document.get("clusters") or []]
    key = "certificate-authority-data"
    return {(name, str(about[key])) for name, about in clusters if isinstance(about, dict) and about.get(key)}


def _keys(value: object) -> set[object]:
    return set(value) if isinstance(value, dict) else set()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _users_own(path: Path) -> dict[str, Any]:
    content = path.read_bytes() if path.is_file() else b""
    try:
        if not content.strip():
            return {"apiVersion": "v1", "kind": "Config", "preferences": {}}
        return _parse(content)
    except ValueError as error:
        raise ConfigError(
            f"{path} is not a kubeconfig: {error}", hint="mend it, or name another file with --into"
        ) from error


def _parse(content: bytes) -> dict[str, Any]:
    """Return the document, whose sections are lists of mappings with a name; raises ValueError."""
    try:
        document = yaml.load(content, Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{line}{getattr(error, 'problem', None) or error}") from error
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    if not isinstance(document, dict) or document.get("kind") != "Config":
        raise ValueError("its `kind` is not Config")
    for section in SECTIONS:
        entries = document.get(section) or []
        named = isinstance(entries, list) and all(
            isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries
        )
        if not named:
            raise ValueError(f"`{section}` is not a list of mappings with a `name`")
    return document
