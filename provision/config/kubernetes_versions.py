"""The supported Kubernetes minors, and everything that differs between them."""

from __future__ import annotations

from dataclasses import dataclass


def numbers(version: str) -> tuple[int, ...]:
    """Return what versions are sorted by: "v1.36.3" -> (1, 36, 3)."""
    return tuple(int(part) for part in version.removeprefix("v").split("."))


@dataclass(frozen=True)
class Minor:
    """One minor: `images` are those its kubeadm of `patch` lists beside Kubernetes' own.

    `config_apis` are what its kubeadm reads, the oldest first. `containerd` is the oldest that its kubelet
    works with; `cgroup_v1` says whether the kubelet starts by itself on a host with cgroup v1.
    `crictl` is a release of cri-tools, whose minors follow those of Kubernetes.
    """

    patch: str
    config_apis: tuple[str, ...]
    etcd: str
    coredns: str
    pause: str
    crictl: str
    containerd: tuple[int, int]
    cgroup_v1: bool

    @property
    def images(self) -> tuple[str, ...]:
        """Return the references of the images that have a version of their own."""
        return (
            f"registry.k8s.io/etcd:{self.etcd}",
            f"registry.k8s.io/coredns/coredns:{self.coredns}",
            f"registry.k8s.io/pause:{self.pause}",
        )


# The kubelet asks containerd 1.7 for its cgroup driver in vain and takes it from its own configuration, which
# it gives up in 1.38.
MINORS = {
    "1.35": Minor(
        "1.35.4", ("v1beta3", "v1beta4"), "3.6.6-0", "v1.13.1", "3.10.1", "v1.35.0", (1, 7), cgroup_v1=False
    ),
    "1.36": Minor(
        "1.36.3", ("v1beta3", "v1beta4"), "3.6.8-0", "v1.14.2", "3.10.2", "v1.36.0", (1, 7), cgroup_v1=False
    ),
    "1.37": Minor("1.37.1", ("v1beta4",), "3.7.0-0", "v1.14.6", "3.10.2", "v1.37.0", (1, 7), cgroup_v1=False),
}

# What may stand for a minor: the newest that can be built here, and the newest that is known.
WORDS = {"stable": "1.36", "latest": max(MINORS, key=numbers)}


def wanted(kubernetes: str) -> str:
    """Return the minor or exact version that a lab.yaml asks for: "stable" -> "1.36"."""
    return WORDS.get(kubernetes, kubernetes)


def fits(version: str, kubernetes: str) -> bool:
    """Return whether a lab that has this version is what lab.yaml asks for; what a word meant is kept."""
    return kubernetes in WORDS or f"{version}.".startswith(f"{kubernetes}.")


def minor_of(version: str) -> str:
    """Return the minor of a version: "1.36.3" -> "1.36"."""
    return ".".join(version.removeprefix("v").split(".")[:2])


def config_api() -> str:
    """Return the newest version of kubeadm's configuration that every minor here reads."""
    shared = set.intersection(*(set(minor.config_apis) for minor in MINORS.values()))
    return max(shared)
