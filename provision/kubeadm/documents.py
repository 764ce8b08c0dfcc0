"""kubeadm's configuration documents and its join credentials. Pure."""

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

from provision.config.addresses import API_PORT
from provision.config.fragments import GATES
from provision.config.inventory import Inventory, Node
from provision.config.kubeadm import CLUSTER_DOMAIN
from provision.config.kubernetes_versions import config_api
from provision.config.names import MACHINE_LABEL
from provision.config.schema import ClusterConfig
from provision.errors import LabError
from provision.host.facts import Acceleration
from provision.kubeadm import patches, tuning
from provision.kubeadm.tuning import Plain

API = f"kubeadm.k8s.io/{config_api()}"
SOCKET = "unix:///run/containerd/containerd.sock"
TOKEN_HOURS = 2
_TOKEN_CHARS = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_IMAGE = re.compile(r"^(?P<name>\S+):(?P<tag>[^:/\s]+)$")


def new_token() -> str:
    """Return a random bootstrap token."""

    def part(length: int) -> str:
        return "".join(secrets.choice(_TOKEN_CHARS) for _ in range(length))

    return f"{part(6)}.{part(16)}"


def is_token(text: str) -> bool:
    """Return whether `text` has the form of a bootstrap token."""
    return _TOKEN.fullmatch(text) is not None


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
    slowness: float = 1.0,
) -> str:
    """Return the YAML that `kubeadm init --config` reads on the first control plane.

    `slowness` is how much more patience than usual kubeadm is to have.
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
        "nodeRegistration": _registration(first, acceleration),
        "timeouts": tuning.timeouts(acceleration, slowness),
    }
    if tuning.patches(acceleration) or config.kubeadm.patches:
        init["patches"] = {"directory": patches.FOLDER}
    if config.cni.replaces_kube_proxy:
        init["skipPhases"] = ["addon/kube-proxy"]
    documents = [
        init,
        _cluster(config, inventory, version, images, acceleration),
        _kubelet(config, acceleration),
        _kube_proxy(config),
    ]
    return yaml.dump_all(documents, Dumper=Plain, sort_keys=False)


def join_document(
    config: ClusterConfig,
    node: Node,
    first: Node,
    token: str,
    pin: str,
    acceleration: Acceleration,
    slowness: float = 1.0,
) -> str:
    """Return the YAML that `kubeadm join --config` reads on a worker; `slowness` as for `init_documents`."""
    join: dict[str, Any] = {
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": token,
                "apiServerEndpoint": f"{first.ip}:{API_PORT}",
                "caCertHashes": [pin],
            }
        },
        "nodeRegistration": _registration(node, acceleration),
        "timeouts": tuning.timeouts(acceleration, slowness),
    }
    if config.kubeadm.patches:
        join["patches"] = {"directory": patches.FOLDER}
    return yaml.dump(join, Dumper=Plain, sort_keys=False)


def _cluster(
    config: ClusterConfig,
    inventory: Inventory,
    version: str,
    images: Sequence[str],
    acceleration: Acceleration,
) -> dict[str, Any]:
    given = config.kubeadm.arguments()
    arguments = {name: tuning.arguments(name, acceleration) | given[name] for name in given}
    if config.cni.name == "bridge":
        # The bridge CNI knows each node's pod range from the node's place in lab.yaml.
        arguments["kube-controller-manager"] |= {"allocate-node-cidrs": "false"}
    environment = _entries(tuning.environment(acceleration))
    extra = {"extraEnvs": environment} if environment else {}
    networking = {"podSubnet": str(config.network.pods), "serviceSubnet": str(config.network.services)}
    if config.kubeadm.cluster_domain != CLUSTER_DOMAIN:
        networking["dnsDomain"] = config.kubeadm.cluster_domain
    return {
        "apiVersion": API,
        "kind": "ClusterConfiguration",
        "clusterName": config.name,
        "kubernetesVersion": f"v{version}",
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": networking,
        "apiServer": {
            "certSANs": _cert_sans(config, inventory),
            "extraArgs": _entries(arguments["kube-apiserver"]),
            **extra,
        },
        "dns": _image(images, "coredns"),
        "etcd": {"local": {**_image(images, "etcd"), "extraArgs": _entries(arguments["etcd"]), **extra}},
        "controllerManager": {"extraArgs": _entries(arguments["kube-controller-manager"]), **extra},
        "scheduler": {"extraArgs": _entries(arguments["kube-scheduler"]), **extra},
    }


def cert_addresses(inventory: Inventory) -> list[str]:
    """Return what every lab has in the API server's certificate, beside what kubeadm puts there."""
    return ["127.0.0.1", *(node.ip for node in inventory.control_planes)]


def _cert_sans(config: ClusterConfig, inventory: Inventory) -> list[str]:
    return list(dict.fromkeys([*cert_addresses(inventory), *config.kubeadm.api_server_cert_sans]))


def _kubelet(config: ClusterConfig, acceleration: Acceleration) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "rotateCertificates": True,
        "resolvConf": "/etc/resolv.conf",
        "failSwapOn": True,
        # Renewed every 2 s instead of 10: a restore is done once it sees a fresh Lease.
        "nodeLeaseDurationSeconds": 8,
        **tuning.kubelet(acceleration),
        **config.kubelet,
        **_gates(config),
    }


def _kube_proxy(config: ClusterConfig) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": config.proxy_mode,
        "clusterCIDR": str(config.network.pods),
        **config.kube_proxy,
        **_gates(config),
    }


def _gates(config: ClusterConfig) -> dict[str, dict[str, bool]]:
    return {GATES: config.kubeadm.feature_gates} if config.kubeadm.feature_gates else {}


def _registration(node: Node, acceleration: Acceleration) -> dict[str, Any]:
    arguments = {"node-ip": str(ipaddress.ip_address(node.ip)), **tuning.kubelet_arguments(acceleration)}
    if node.name != node.machine:
        arguments["node-labels"] = f"{MACHINE_LABEL}={node.machine}"
    return {
        "name": node.name,
        "criSocket": SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": _entries(arguments),
    }


def _entries(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _image(images: Sequence[str], name: str) -> dict[str, str]:
    """Return the imageRepository and imageTag of the bundle's image `name`."""
    for ref in images:
        found = _IMAGE.match(ref)
        if found and found["name"].rsplit("/", 1)[-1] == name:
            return {"imageRepository": found["name"].rsplit("/", 1)[0], "imageTag": found["tag"]}
    raise LabError(f"the bundle has no image {name}", hint="make it again: kubelab bundle create")
