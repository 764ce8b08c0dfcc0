"""What kubeadm's components are told where the CPU is emulated: to have patience, and to do less. Pure.

Figures from runs under emulation in which no container restarted once init was over.
"""

from __future__ import annotations

from typing import Any

import yaml

from provision.host.facts import Acceleration
from provision.node.emulation import GO_DEBUG

# kubeadm's defaults in seconds (kubeadm's constants), scaled by the acceleration's factor.
_TIMEOUTS = {
    "controlPlaneComponentHealthCheck": 240,
    "kubeletHealthCheck": 240,
    "kubernetesAPICall": 60,
    "etcdAPICall": 120,
    "tlsBootstrap": 300,
    "discovery": 300,
}
_LONGEST_TIMEOUT = 1800
# Seconds in which etcd must answer the API server, or /readyz fails: its own default.
_ETCD_ANSWER = 2
# While everything starts at once the CPU goes first to what the others wait for.
CPU_SHARES = {
    "kube-apiserver": "800m",
    "etcd": "300m",
    "kube-controller-manager": "50m",
    "kube-scheduler": "25m",
}
CORE_DNS = "corednsdeployment"
# The file names of all patches that kubelab may have.
OWN_PATCHES = tuple(f"{target}+strategic.yaml" for target in (*CPU_SHARES, CORE_DNS))
_LEADER = {"lease-duration": "120s", "renew-deadline": "90s", "retry-period": "2s"}


def timeouts(acceleration: Acceleration, slowness: float = 1.0) -> dict[str, str]:
    """Return kubeadm's own `timeouts`, as durations such as "240s"; `slowness` as for `init_documents`."""
    return {
        name: f"{min(int(seconds * acceleration.factor * slowness), _LONGEST_TIMEOUT)}s"
        for name, seconds in _TIMEOUTS.items()
    }


def arguments(component: str, acceleration: Acceleration) -> dict[str, str]:
    """Return the arguments of a component of the control plane, such as "kube-scheduler"."""
    if acceleration.factor <= 1:
        return {}
    elect = {f"leader-elect-{key}": value for key, value in _LEADER.items()}
    asked = f"{int(_ETCD_ANSWER * acceleration.factor)}s"
    return {
        "kube-apiserver": {"etcd-healthcheck-timeout": asked, "etcd-readycheck-timeout": asked},
        "etcd": {"heartbeat-interval": "500", "election-timeout": "5000"},
        "kube-controller-manager": elect,
        "kube-scheduler": elect,
    }[component]


def environment(acceleration: Acceleration) -> dict[str, str]:
    """Return the environment of every component of the control plane."""
    if acceleration.factor <= 1:
        return {}
    # A collector that runs a quarter as often: while everything starts it takes much of an emulated CPU.
    return {"GOGC": "400", "GODEBUG": GO_DEBUG}


def kubelet_arguments(acceleration: Acceleration) -> dict[str, str]:
    """Return the kubelet's arguments that have no key in KubeletConfiguration."""
    # Every ten seconds it would read the figures of every container: a sixth of its work when all is quiet.
    return {"housekeeping-interval": "60s"} if acceleration.factor > 1 else {}


def kubelet(acceleration: Acceleration) -> dict[str, Any]:
    """Return keys of KubeletConfiguration."""
    if acceleration.factor <= 1:
        return {}
    # Each period is work for an emulated CPU; the values still notice a change within seconds.
    return {"runtimeRequestTimeout": "10m", "nodeStatusUpdateFrequency": "20s"}


def patches(acceleration: Acceleration) -> dict[str, str]:
    """Return file name -> YAML of the patches that give the static pods and CoreDNS time to answer."""
    if acceleration.factor <= 1:
        return {}
    # A container that is slow to answer is slower still after a restart.
    liveness = {"timeoutSeconds": 60, "periodSeconds": 30, "failureThreshold": 20}
    startup = {"timeoutSeconds": 60, "periodSeconds": 5, "failureThreshold": 240}
    readiness = {"timeoutSeconds": 60, "periodSeconds": 5, "failureThreshold": 20}
    files = {}
    for name, share in CPU_SHARES.items():
        container: dict[str, Any] = {"name": name, "livenessProbe": liveness, "startupProbe": startup}
        container["resources"] = {"requests": {"cpu": share}}
        # kubeadm asks every second, over TLS, and gives up after three; it never asks the controller manager.
        if name != "kube-controller-manager":
            container["readinessProbe"] = readiness
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "kube-system"}}
        files[name] = {**pod, "spec": {"containers": [container]}}
    files[CORE_DNS] = _coredns({"livenessProbe": liveness, "readinessProbe": readiness})
    return {f"{target}+strategic.yaml": yaml.dump(patch, Dumper=Plain) for target, patch in files.items()}


def _coredns(probes: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "coredns", "namespace": "kube-system"}
    pod = {"spec": {"containers": [{"name": "coredns", **probes}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": pod}}


class Plain(yaml.SafeDumper):
    """Writes a value that occurs twice twice: people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
