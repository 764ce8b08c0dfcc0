"""Extension points: name -> "module:Class", imported only when it is used."""

from __future__ import annotations

import importlib
from typing import Any

PROVIDERS = {
    "libvirt": "provision.providers.libvirt.provider:Libvirt",
    "virtualbox": "provision.providers.virtualbox.provider:VirtualBox",
    "hosts": "provision.providers.planned:Hosts",
}
# Providers that are not here have no snapshots.
SNAPSHOTS = {
    "libvirt": "provision.providers.libvirt.snapshots:LibvirtSnapshots",
    "virtualbox": "provision.providers.virtualbox.snapshots:VirtualBoxSnapshots",
}
CNIS = {
    "calico": "provision.cni.calico:Calico",
    "cilium": "provision.cni.cilium:Cilium",
    "flannel": "provision.cni.flannel:Flannel",
    "bridge": "provision.cni.bridge:Bridge",
    "none": "provision.cni.none:NoCni",
}
# For a manifest of the user's own, whatever its name.
OWN_CNI = "provision.cni.custom:Custom"


def load(reference: str) -> Any:
    """Return the class that a "module:Class" reference names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
