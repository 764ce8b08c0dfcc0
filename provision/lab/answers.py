"""What becomes of a key of lab.yaml that is edited while the lab is there. The table is in docs/lab-yaml.md.

There is no third way: what is neither applied nor refused would be a file that lies.
"""

from __future__ import annotations

from typing import Literal

# `up` applies it, or refuses it before anything is written, or applies a larger number and refuses a smaller,
# or applies both, the smaller one after it asked.
Answer = Literal["applied", "refused", "grows", "both ways"]

ANSWERS: dict[str, Answer] = {
    "name": "refused",
    # The steps of `up` know how to make a cluster, not how to upgrade one.
    "kubernetes": "refused",
    "provider": "refused",
    "runtime": "refused",
    "cni": "refused",
    "cni.name": "refused",
    "cni.version": "refused",
    "cni.values": "refused",
    # A changed manifest is applied again; the digest and the images are asked of the bundle.
    "cni.manifest": "applied",
    "cni.sha256": "applied",
    "cni.images": "applied",
    "controlPlanes": "refused",
    "controlPlanes.count": "grows",
    "controlPlanes.cpus": "refused",
    "controlPlanes.memory": "refused",
    "controlPlanes.disk": "refused",
    "workers": "refused",
    "workers.count": "both ways",
    "workers.cpus": "refused",
    "workers.memory": "refused",
    "workers.disk": "refused",
    "network": "refused",
    "network.nodes": "refused",
    "network.pods": "refused",
    "network.services": "refused",
    "network.mtu": "refused",
    # Only what is made from now on comes from there.
    "artifacts": "applied",
    "proxy": "applied",
    "proxy.http": "applied",
    "proxy.https": "applied",
    "proxy.noProxy": "applied",
}
