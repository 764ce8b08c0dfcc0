"""The lab's kubeconfig: fetched from the control plane, and merged into the user's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from provision.errors import ConfigError
from provision.host.files import PRIVATE, write_atomic
from provision.node.runner import Runner

ADMIN_CONF = "/etc/kubernetes/admin.conf"
SECTIONS = ("clusters", "users", "contexts")


def fetch_kubeconfig(runner: Runner, lab: str, target: Path) -> None:
    """Write the admin kubeconfig of a control plane to `target`, its names changed to the lab's."""
    document = yaml.safe_load(runner.get(ADMIN_CONF).decode())
    document["clusters"][0]["name"] = lab
    document["users"][0]["name"] = f"{lab}-admin"
    context = {"name": lab, "context": {"cluster": lab, "user": f"{lab}-admin"}}
    document |= {"contexts": [context], "current-context": lab}
    write_atomic(target, yaml.safe_dump(document), mode=PRIVATE)


def default_path() -> Path:
    """Return the file kubectl reads first: that of $KUBECONFIG, or ~/.kube/config."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def merge_into(target: Path, lab: Path) -> None:
    """Put the lab's cluster, user and context into `target`, replacing those of the same names.

    The lab's context becomes the current one. Raises ConfigError if `target` is no kubeconfig.
    """
    # A link, such as one into a folder of dotfiles, stays a link.
    target = target.resolve()
    document = _read(target)
    addition = yaml.safe_load(lab.read_text())
    for section in SECTIONS:
        names = {entry["name"] for entry in addition[section]}
        kept = [entry for entry in document.get(section) or [] if entry.get("name") not in names]
        document[section] = kept + addition[section]
    document["current-context"] = addition["current-context"]
    write_atomic(target, yaml.safe_dump(document, sort_keys=False), mode=PRIVATE)


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text() if path.is_file() else ""
    try:
        document = yaml.safe_load(text) or {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict) or document.get("kind") != "Config":
        raise ConfigError(f"{path} is not a kubeconfig", hint="name another file with --into")
    return document
