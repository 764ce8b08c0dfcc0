"""The schema of lab.yaml: a frozen ClusterConfig. Every error names its key and what is allowed."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from provision.config import fragments, kubeadm, marks, names, registries, values
from provision.config.addons import Addons
from provision.config.addresses import (
    MOST_WORKERS,
    Role,
    nodes_prefix,
    offset_of,
    pods_prefix,
    refused_addresses,
)
from provision.config.artifacts import ArtifactsConfig
from provision.config.cni import CniConfig
from provision.config.document import explain, read_document
from provision.config.lab_file import read_lab_file
from provision.config.packages import debian_packages
from provision.config.ports import PortConfig, Ports, wrong_ports
from provision.config.proxy import ProxyConfig
from provision.config.resolvers import resolvers
from provision.config.suggest import did_you_mean
from provision.config.tasks import Task, tasks
from provision.config.time_zone import UTC, zone_name
from provision.extensions import PROVIDERS
from provision.templates import data

# As in compose files.
OWN_KEYS = "x-"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _without_the_users_own(cls, value: object) -> object:
        """Leave out the keys that begin with `x-`, which are for anchors of YAML."""
        if not isinstance(value, dict):
            return value
        return {key: kept for key, kept in value.items() if not str(key).startswith(OWN_KEYS)}


Labels = Annotated[dict[str, str], marks.labels()]
Taints = Annotated[tuple[str, ...], marks.taints()]
Tasks = Annotated[tuple[Task, ...], tasks()]


class NodePool(_Model):
    """A number of equal nodes. Memory is in MiB, disk in GiB; a taint is a text: "gpu=yes:NoSchedule".

    `disks` are the sizes of further, empty disks.
    """

    count: int
    cpus: int
    memory: int
    disk: Annotated[int, values.disk()] = 12
    disks: Annotated[tuple[int, ...], values.disks()] = ()
    labels: Labels = {}
    taints: Taints = ()
    provision: Tasks = ()


class ControlPlanes(NodePool):
    """The control planes: an odd number, as etcd needs a majority."""

    count: Annotated[int, values.whole("1, 3, 5 or 7", *values.CONTROL_PLANE_COUNTS)] = 1
    cpus: Annotated[int, values.cpus(values.CONTROL_PLANE_CPUS)] = 2
    memory: Annotated[int, values.memory(values.CONTROL_PLANE_MIB)] = 3072
    taints: Taints = (marks.CONTROL_PLANE_TAINT,)


class Workers(NodePool):
    """The workers."""

    count: Annotated[int, values.whole(f"0 to {MOST_WORKERS}", *range(MOST_WORKERS + 1))] = 2
    cpus: Annotated[int, values.cpus(values.WORKER_CPUS)] = 2
    memory: Annotated[int, values.memory(values.WORKER_MIB)] = 2048


class NodeConfig(_Model):
    """What one node has that the others of its pool do not; None is as the pool has it.

    Its labels, scripts and files are added to those of the pool, its taints and disks stand in place of them.
    Without an `address` of its own, it has that of its place in the pool. Without a `name` of its own, it is
    called as its machine is, which keeps that name in any case.
    """

    name: Annotated[str | None, names.own()] = None
    cpus: Annotated[int | None, values.cpus(values.WORKER_CPUS)] = None
    memory: Annotated[int | None, values.memory(values.WORKER_MIB)] = None
    disk: Annotated[int | None, values.disk()] = None
    disks: Annotated[tuple[int, ...] | None, values.disks()] = None
    labels: Labels = {}
    taints: Annotated[tuple[str, ...] | None, marks.taints()] = None
    provision: Tasks = ()
    address: Annotated[IPv4Address | None, values.address()] = None


_FIRST = offset_of("control-plane", 1)
_OF_A_NODE = "NODE: {name, cpus, memory, disk, disks, labels, taints, provision, address}"


class Network(_Model):
    """The three ranges of a cluster, none of which overlaps another.

    `mtu` is what a packet between nodes may hold, in bytes. `bridge` is the bridge of the host that each node
    has a second card on; without one it is empty.
    """

    nodes: Annotated[IPv4Network, values.network(nodes_prefix(_FIRST))] = IPv4Network("192.168.60.0/24")
    pods: Annotated[IPv4Network, values.network(pods_prefix(_FIRST))] = IPv4Network("10.244.0.0/16")
    services: Annotated[
        IPv4Network, values.network(values.SERVICE_PREFIXES[-1], values.SERVICE_PREFIXES[0])
    ] = IPv4Network("10.96.0.0/12")
    mtu: Annotated[int, values.mtu()] = values.LARGEST_MTU
    bridge: Annotated[str, values.bridge()] = ""

    def ranges(self) -> dict[str, IPv4Network]:
        """Return key -> range."""
        return {"nodes": self.nodes, "pods": self.pods, "services": self.services}

    @model_validator(mode="after")
    def _apart(self) -> Network:
        problems = [
            (
                key,
                f"{network} overlaps network.{other_key} ({other}); allowed: a range that overlaps no other",
            )
            for (other_key, other), (key, network) in itertools.combinations(self.ranges().items(), 2)
            if network.overlaps(other)
        ]
        if problems:
            raise values.Problems(problems)
        return self


Arguments = dict[str, str]


class Kubeadm(_Model):
    """What kubeadm is told beside what kubelab tells it; `patches` is the absolute path of a folder."""

    api_server_extra_args: Annotated[Arguments, kubeadm.arguments("kube-apiserver")] = {}
    controller_manager_extra_args: Annotated[Arguments, kubeadm.arguments("kube-controller-manager")] = {}
    scheduler_extra_args: Annotated[Arguments, kubeadm.arguments("kube-scheduler")] = {}
    etcd_extra_args: Annotated[Arguments, kubeadm.arguments("etcd")] = {}
    # Spelt as kubeadm spells it.
    api_server_cert_sans: Annotated[tuple[str, ...], kubeadm.names()] = Field(
        default=(), alias="apiServerCertSANs"
    )
    feature_gates: Annotated[dict[str, bool], kubeadm.feature_gates()] = {}
    cluster_domain: Annotated[str, kubeadm.domain()] = kubeadm.CLUSTER_DOMAIN
    patches: Annotated[str, kubeadm.folder()] = ""

    def arguments(self) -> dict[str, Arguments]:
        """Return component -> its further arguments, the feature gates among them."""
        given = {
            "kube-apiserver": self.api_server_extra_args,
            "kube-controller-manager": self.controller_manager_extra_args,
            "kube-scheduler": self.scheduler_extra_args,
            "etcd": self.etcd_extra_args,
        }
        text = ",".join(f"{gate}={str(on).lower()}" for gate, on in self.feature_gates.items())
        gates = {kubeadm.FEATURE_GATES: text} if text else {}
        return {name: found | (gates if name in kubeadm.GATED else {}) for name, found in given.items()}


def _runtime(value: object) -> object:
    if value == "cri-o":
        raise ValueError("cri-o is not packaged for the nodes' Debian 13; allowed: containerd")
    if value != "containerd":
        raise values.refusal(value, "containerd")
    return value


class ClusterConfig(_Model):
    """A lab as its lab.yaml describes it.

    `kubernetes` is "stable", "latest", a minor ("1.36") or an exact version ("1.36.3").
    """

    name: Annotated[str, values.name()]
    kubernetes: Annotated[str, values.kubernetes()] = "1.36"
    provider: Annotated[str, values.one_of("auto", PROVIDERS)] = "auto"
    runtime: Annotated[str, BeforeValidator(_runtime)] = "containerd"
    packages: Annotated[tuple[str, ...], debian_packages()] = ()
    time_zone: Annotated[str, zone_name()] = UTC
    cni: CniConfig = CniConfig(name="auto")
    control_planes: ControlPlanes = ControlPlanes()
    workers: Workers = Workers()
    nodes: Annotated[dict[str, NodeConfig], values.mapping(_OF_A_NODE)] = {}
    network: Network = Network()
    artifacts: ArtifactsConfig = ArtifactsConfig.model_validate("auto")
    proxy: ProxyConfig = ProxyConfig.model_validate("none")
    registry_mirrors: Annotated[dict[str, tuple[str, ...]], registries.mirrors()] = {}
    insecure_registries: Annotated[tuple[str, ...], registries.insecure()] = ()
    dns: Annotated[tuple[IPv4Address, ...], resolvers()] = ()
    ports: Ports = ()
    addons: Addons = ()
    kubeadm: Kubeadm = Kubeadm()
    kubelet: Annotated[dict[str, Any], fragments.kubelet()] = {}
    kube_proxy: Annotated[dict[str, Any], fragments.kube_proxy()] = {}

    @property
    def proxy_mode(self) -> str:
        """Return by which rules of the kernel kube-proxy implements Services."""
        return str(self.kube_proxy.get("mode", fragments.DEFAULT_MODE))

    @model_validator(mode="after")
    def _kube_proxy_is_there(self) -> ClusterConfig:
        if self.kube_proxy and self.cni.replaces_kube_proxy:
            why = "is for kube-proxy, which cni.values.kubeProxyReplacement leaves out"
            raise values.Problems([("kubeProxy", f"{why}; allowed: one of the two")])
        return self

    @model_validator(mode="after")
    def _nodes_are_there(self) -> ClusterConfig:
        planes = _machines(self.name, "cp", self.control_planes)
        machines = [*planes, *_machines(self.name, "w", self.workers)]
        own = {machine: node.name for machine, node in self.nodes.items() if node.name is not None}
        problems = []
        for machine, node in self.nodes.items():
            if machine not in machines:
                near = did_you_mean(machine, machines)
                problems.append(
                    (f"nodes.{machine}", f"is no node of this lab{near}; allowed: {', '.join(machines)}")
                )
            elif machine in planes:
                problems += _too_small(machine, node)
        problems += names.wrong_names(self.name, own)
        problems += wrong_ports(self.ports, names.either(machines, own))
        if problems:
            raise values.Problems(problems)
        return self

    @model_validator(mode="after")
    def _resolvers_are_outside(self) -> ClusterConfig:
        inside = {key: self.network.ranges()[key] for key in ("pods", "services")}
        problems = [
            (f"dns.{place}", f"{address} is in network.{key}, which CoreDNS serves; allowed: one outside")
            for place, address in enumerate(self.dns)
            for key, network in inside.items()
            if address in network
        ]
        if problems:
            raise values.Problems(problems)
        return self

    @model_validator(mode="after")
    def _disks_can_be_made(self) -> ClusterConfig:
        if self.provider != "virtualbox":
            return self
        having = {"controlPlanes": self.control_planes.disks, "workers": self.workers.disks}
        having |= {f"nodes.{name}": node.disks or () for name, node in self.nodes.items()}
        problems = [
            (
                f"{key}.disks",
                "VirtualBox's machines get no further disks yet; allowed: [], or provider: libvirt",
            )
            for key, disks in having.items()
            if disks
        ]
        if problems:
            raise values.Problems(problems)
        return self

    @model_validator(mode="after")
    def _room_for_every_node(self) -> ClusterConfig:
        last = offset_of("control-plane", self.control_planes.count)
        if self.workers.count:
            last = offset_of("worker", self.workers.count)
        needs = {"nodes": nodes_prefix(last), "pods": pods_prefix(last)}
        problems = [
            (f"network.{key}", f"{network} has no room for every node; allowed: /{needs[key]} or wider")
            for key, network in self.network.ranges().items()
            if key in needs and network.prefixlen > needs[key]
        ]
        if problems:
            raise values.Problems(problems)
        return self

    @model_validator(mode="after")
    def _addresses_are_free(self) -> ClusterConfig:
        pools: tuple[tuple[Role, list[str]], ...] = (
            ("control-plane", _machines(self.name, "cp", self.control_planes)),
            ("worker", _machines(self.name, "w", self.workers)),
        )
        offsets = {
            machine: offset_of(role, index)
            for role, machines in pools
            for index, machine in enumerate(machines, 1)
        }
        own = {name: node.address for name, node in self.nodes.items() if node.address is not None}
        problems = refused_addresses(self.network.nodes, offsets, own)
        if problems:
            raise values.Problems([(f"nodes.{name}.address", why) for name, why in problems.items()])
        return self


def _machines(lab: str, kind: str, pool: NodePool) -> list[str]:
    return [f"{lab}-{kind}{index}" for index in range(1, pool.count + 1)]


def _too_small(name: str, node: NodeConfig) -> list[tuple[str, str]]:
    """Return what of a control plane's own is less than kubeadm demands."""
    least = {
        "cpus": (node.cpus, values.CONTROL_PLANE_CPUS),
        "memory": (node.memory, values.CONTROL_PLANE_MIB),
    }
    return [
        (f"nodes.{name}.{key}", f"{given} is too little for a control plane; allowed: at least {low}")
        for key, (given, low) in least.items()
        if given is not None and given < low
    ]


_SECTIONS: dict[str, type[BaseModel]] = {
    "": ClusterConfig,
    "controlPlanes": ControlPlanes,
    "workers": Workers,
    "nodes": NodeConfig,
    "network": Network,
    "cni": CniConfig,
    "proxy": ProxyConfig,
    "ports": PortConfig,
    "kubeadm": Kubeadm,
}


def load_config(path: Path) -> ClusterConfig:
    """Return the lab that the file describes; where it is a link, paths in it are relative to its target.

    Raises one ConfigError that lists every problem found.
    """
    return parse_config(read_lab_file(path), path, path.resolve().parent)


def parse_config(
    content: bytes | str, path: Path = Path("lab.yaml"), folder: Path | None = None
) -> ClusterConfig:
    """Return the lab that YAML text describes; paths in it are relative to `folder`, or to that of `path`.

    Raises one ConfigError that lists every problem found.
    """
    document = read_document(content, path)
    try:
        return ClusterConfig.model_validate(document, context={"folder": folder or path.parent})
    except ValidationError as error:
        raise explain(error, _SECTIONS) from None


def sample() -> str:
    """Return the commented lab.yaml that `kubelab init` writes."""
    return data("templates/lab.yaml").read_text(encoding="utf-8")
