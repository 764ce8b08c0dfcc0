"""kubeadm's configuration documents, its static-pod patches and its join credentials. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provision.config import ClusterConfig
from provision.errors import LabError
from provision.host import Acceleration
from provision.inventory import Inventory, Node
from provision.kubernetes_versions import config_api

API = f"kubeadm.k8s.io/{config_api()}"
SOCKET = "unix:///run/containerd/containerd.sock"
PATCHES = "/etc/kubernetes/patches"
TOKEN_HOURS = 2
API_PORT = 6443
# While everything starts at once the CPU goes first to what the others wait for.
CPU_SHARES = {
    "kube-apiserver": "800m",
    "etcd": "300m",
    "kube-controller-manager": "50m",
    "kube-scheduler": "25m",
}
_TOKEN_CHARS = string.ascii_lowercase + string.digits
_IMAGE = re.compile(r"^(?P<name>\S+):(?P<tag>[^:/\s]+)$")

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


class _Plain(yaml.SafeDumper):
    """Writes a value that occurs twice twice: people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def new_token() -> str:
    """Return a random bootstrap token."""

    def part(length: int) -> str:
        return "".join(secrets.choice(_TOKEN_CHARS) for _ in range(length))

    return f"{part(6)}.{part(16)}"


def ca_hash(certificate_pem: bytes) -> str:
    """Return the pin of a CA: sha256 of its public key in the form that kubeadm compares."""
    key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"


def init_documents(
    config: ClusterConfig,
    inventory: Inventory,
    version: str,
    images: Sequence[str],
    acceleration: Acceleration,
    token: str,
) -> str:
    """Return the YAML that `kubeadm init --config` reads on the first control plane.

    Raises LabError when `images` lack one that kubeadm must be told.
    """
    first = inventory.first
    init: dict[str, Any] = {
        "apiVersion": API,
        "kind": "InitConfiguration",
        "bootstrapTokens": [
            {
                "token": token,
                "ttl": f"{TOKEN_HOURS}h0m0s",
                "usages": ["signing", "authentication"],
                "groups": ["system:bootstrappers:kubeadm:default-node-token"],
            }
        ],
        "localAPIEndpoint": {"advertiseAddress": first.ip, "bindPort": API_PORT},
        "nodeRegistration": _registration(first),
        "timeouts": _timeouts(acceleration),
    }
    if patches(acceleration):
        init["patches"] = {"directory": PATCHES}
    if config.cni.replaces_kube_proxy:
        init["skipPhases"] = ["addon/kube-proxy"]
    documents = [
        init,
        _cluster(config, inventory, version, images, acceleration),
        _kubelet(acceleration),
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": str(config.network.pods),
        },
    ]
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False)


def join_document(node: Node, first: Node, token: str, pin: str, acceleration: Acceleration) -> str:
    """Return the YAML that `kubeadm join --config` reads on a worker."""
    join = {
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": token,
                "apiServerEndpoint": f"{first.ip}:{API_PORT}",
                "caCertHashes": [pin],
            }
        },
        "nodeRegistration": _registration(node),
        "timeouts": _timeouts(acceleration),
    }
    return yaml.dump(join, Dumper=_Plain, sort_keys=False)


def patches(acceleration: Acceleration) -> dict[str, str]:
    """Return file name -> YAML of the patches that give the static pods time to answer.

    Figures from a run under emulation in which no container restarted once init was over.
    """
    if acceleration.factor <= 1:
        return {}
    liveness = {"timeoutSeconds": 60, "periodSeconds": 30, "failureThreshold": 20}
    startup = {"timeoutSeconds": 60, "periodSeconds": 5, "failureThreshold": 240}
    files = {}
    for name, share in CPU_SHARES.items():
        container: dict[str, Any] = {"name": name, "livenessProbe": liveness, "startupProbe": startup}
        container["resources"] = {"requests": {"cpu": share}}
        if name == "kube-apiserver":
            container["readinessProbe"] = {"timeoutSeconds": 60, "periodSeconds": 5, "failureThreshold": 20}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "kube-system"}}
        files[f"{name}+strategic.yaml"] = yaml.dump(
            {**pod, "spec": {"containers": [container]}}, Dumper=_Plain
        )
    return files


def _cluster(
    config: ClusterConfig,
    inventory: Inventory,
    version: str,
    images: Sequence[str],
    acceleration: Acceleration,
) -> dict[str, Any]:
    slow = acceleration.factor > 1
    leader = {"lease-duration": "120s", "renew-deadline": "90s", "retry-period": "2s"}
    elect = _arguments({f"leader-elect-{key}": value for key, value in leader.items()}) if slow else []
    manager = list(elect)
    if config.cni.name == "bridge":
        # The bridge CNI knows each node's pod range from the node's place in lab.yaml.
        manager += _arguments({"allocate-node-cidrs": "false"})
    etcd = _arguments({"heartbeat-interval": "500", "election-timeout": "5000"}) if slow else []
    # A collector that runs a quarter as often: while everything starts it takes much of an emulated CPU.
    environment = {"extraEnvs": _arguments({"GOGC": "400"})} if slow else {}
    return {
        "apiVersion": API,
        "kind": "ClusterConfiguration",
        "clusterName": config.name,
        "kubernetesVersion": f"v{version}",
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "podSubnet": str(config.network.pods),
            "serviceSubnet": str(config.network.services),
        },
        "apiServer": {
            "certSANs": ["127.0.0.1", *(node.ip for node in inventory.control_planes)],
            **environment,
        },
        "dns": _image(images, "coredns"),
        "etcd": {"local": {**_image(images, "etcd"), "extraArgs": etcd, **environment}},
        "controllerManager": {"extraArgs": manager, **environment},
        "scheduler": {"extraArgs": elect, **environment},
    }


def _kubelet(acceleration: Acceleration) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "rotateCertificates": True,
        "resolvConf": "/etc/resolv.conf",
        "failSwapOn": True,
        # Renewed every 2 s instead of 10: a restore is done once it sees a fresh Lease.
        "nodeLeaseDurationSeconds": 8,
    }
    if acceleration.factor > 1:
        # Each period is work for an emulated CPU; the values still notice a change within seconds.
        document |= {"runtimeRequestTimeout": "10m", "nodeStatusUpdateFrequency": "20s"}
    return document


def _registration(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "criSocket": SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": _arguments({"node-ip": str(ipaddress.ip_address(node.ip))}),
    }


def _timeouts(acceleration: Acceleration) -> dict[str, str]:
    return {
        name: f"{min(int(seconds * acceleration.factor), _LONGEST_TIMEOUT)}s"
        for name, seconds in _TIMEOUTS.items()
    }


def _arguments(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _image(images: Sequence[str], name: str) -> dict[str, str]:
    """Return the imageRepository and imageTag of the bundle's image `name`."""
    for ref in images:
        found = _IMAGE.match(ref)
        if found and found["name"].rsplit("/", 1)[-1] == name:
            return {"imageRepository": found["name"].rsplit("/", 1)[0], "imageTag": found["tag"]}
    raise LabError(f"the bundle has no image {name}", hint="make it again: kubelab bundle create")
