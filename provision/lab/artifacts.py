"""Where a lab takes Kubernetes from, with what its CNI wants."""

from __future__ import annotations

from provision.artifacts import choose
from provision.artifacts.choose import Artifacts
from provision.cni.choose import wanted_of
from provision.config.schema import ClusterConfig


def artifacts_of(config: ClusterConfig) -> Artifacts:
    """Return where the lab of `config` takes Kubernetes from; raises as `choose` does."""
    return choose.choose(config, wanted_of(config.cni))


def needs_skopeo(config: ClusterConfig) -> bool:
    """Return whether the lab's bundle is still to be made, of images from a registry."""
    return choose.needs_skopeo(config, wanted_of(config.cni))
