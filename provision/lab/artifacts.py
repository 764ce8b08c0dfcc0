"""Where a lab takes Kubernetes from, with what its CNI wants."""

from __future__ import annotations

from provision.artifacts import choose
from provision.artifacts.choose import Artifacts
from provision.cni.choose import wanted_of
from provision.config.schema import ClusterConfig


def artifacts_of(config: ClusterConfig) -> Artifacts:
    """Return where the lab of `config` takes Kubernetes from; raises as `choose` does."""
    return choose.choose(config, wanted_of(config.cni))


def tools_of(config: ClusterConfig) -> list[str]:
    """Return the programs that only some labs need, and this one does: "go" or "skopeo", and "helm"."""
    builder = choose.builder_of(config, wanted_of(config.cni))
    helm = ["helm"] if config.cni.name == "cilium" and not config.cni.is_own else []
    return ([builder] if builder else []) + helm
