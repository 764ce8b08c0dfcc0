"""The patches that kubeadm puts over what it makes: kubelab's own, and those of the user beside them."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml

from provision.config.inventory import Node
from provision.config.loader import Loader
from provision.config.schema import ClusterConfig
from provision.config.values import show
from provision.errors import ConfigError
from provision.host.facts import Acceleration
from provision.kubeadm import tuning
from provision.kubeadm.tuning import CORE_DNS, Plain
from provision.node.files import File

KEY = "kubeadm.patches"
TARGETS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubeletconfiguration")
NAMES = (
    f"TARGET[SUFFIX][+TYPE].yaml or .json, where TARGET is {', '.join((*TARGETS, CORE_DNS))},"
    " SUFFIX is of letters, digits, `-` and `_`, and TYPE is strategic, merge or json"
)
# On CoreDNS, which kubeadm makes with the patches: by it a living cluster tells which it was made with.
ANNOTATION = "kubelab/patches"
MARK = f"{CORE_DNS}-kubelab+strategic.yaml"
LARGEST_KIB = 256
FOLDER = "/etc/kubernetes/patches"
# The names of the user's patches on a node, a line each: those that lab.yaml has no more are removed by it.
LIST = "/etc/kubelab/patches"
_NAME = re.compile(
    rf"({'|'.join((*TARGETS, CORE_DNS))})[-A-Za-z0-9_]*(\+(?P<type>strategic|merge|json))?\.(yaml|json)"
)


def patch_files(config: ClusterConfig, node: Node, acceleration: Acceleration) -> dict[str, File]:
    """Return path -> file of a node's patches; those of the kubelet count for every node.

    Raises ConfigError as `read_patches` does.
    """
    given = read_patches(config)
    found = all_patches(config, acceleration) if node.is_control_plane else given
    files = {f"{FOLDER}/{name}": File(text) for name, text in found.items()}
    listed = "".join(f"{name}\n" for name in found if name in given or name == MARK)
    return files | ({LIST: File(listed)} if given else {})


def forget_script() -> str:
    """Return a script to run before a node's files are written: it removes the user's patches."""
    return f"""
if [ -e {LIST} ]; then
    while IFS= read -r name; do rm -f "{FOLDER}/$name"; done < {LIST}
    rm {LIST}
fi
"""


def probe_script(files: Mapping[str, File]) -> str:
    """Return a script that fails where patches of the user are left that are not wanted any more."""
    return "" if LIST in files else f"test ! -e {LIST}"


def all_patches(config: ClusterConfig, acceleration: Acceleration) -> dict[str, str]:
    """Return file name -> text of the patches of a control plane; raises ConfigError as `read_patches`."""
    own = tuning.patches(acceleration)
    given = read_patches(config)
    return own | given | ({MARK: _mark(digest(given))} if given else {})


def read_patches(config: ClusterConfig) -> dict[str, str]:
    """Return file name -> text of the user's patches; raises ConfigError for what kubeadm would not take."""
    if not config.kubeadm.patches:
        return {}
    folder = Path(config.kubeadm.patches)
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        found = {path.name: _read(path) for path in files}
    except OSError as error:
        raise _refusal(f"{error.filename or folder} cannot be read: {error.strerror}") from None
    if not found:
        raise _refusal(f"{folder} has no file in it")
    return found


def digest(patches: dict[str, str]) -> str:
    """Return what stands for the user's patches in a cluster; an empty text for none."""
    return hashlib.sha256(json.dumps(patches, sort_keys=True).encode()).hexdigest()[:16] if patches else ""


def _mark(value: str) -> str:
    metadata = {"name": "coredns", "namespace": "kube-system", "annotations": {ANNOTATION: value}}
    return yaml.dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}, Dumper=Plain)


def _read(path: Path) -> str:
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise _refusal(f"{show(path.name)} is no patch by its name; allowed: {NAMES}")
    if path.name == MARK or path.name in tuning.OWN_PATCHES:
        raise _refusal(f"{path.name} is the name of a patch of kubelab; allowed: a SUFFIX after its target")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_KIB * 1024:
        raise _refusal(f"{path} is not a regular file of {LARGEST_KIB} KiB at most")
    try:
        text = path.read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, Loader) if document is not None]
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _refusal(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    form: type = list if named["type"] == "json" else dict
    if not documents or not all(isinstance(document, form) for document in documents):
        wanted = "a list of operations" if form is list else "a mapping"
        raise _refusal(f"{path} is not {wanted}, as a patch of its type is")
    return text


def _refusal(message: str) -> ConfigError:
    return ConfigError(message, key=KEY)
