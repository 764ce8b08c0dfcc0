"""What a lab is: read from its machines, its network and its cluster, whatever lab.yaml says now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from provision.addons.choose import addon_of
from provision.addons.installed import found_in as addons_in
from provision.artifacts.bundle import Bundle, BundleBroken
from provision.artifacts.given import kept_bundle
from provision.cluster import kubeadm_config
from provision.cluster.health import Object
from provision.cluster.kubeconfig import checked
from provision.cluster.kubectl import Kubectl
from provision.cni.installed import KINDS, Installed, found_in
from provision.config.inventory import Inventory
from provision.config.schema import ClusterConfig
from provision.errors import Cancelled, LabError, MadeByNewer, in_one_line
from provision.extensions import ADDONS
from provision.lab.decision import Decision, read_decision
from provision.lab.settings import Settings, settings_in
from provision.providers.base import MISSING, RUNNING, Made, Provider
from provision.providers.vagrant import Machines
from provision.workspace import Workspace

# How long the API server may take to answer, on fast machines.
ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Cluster:
    """What the API server says of its cluster; `nodes` maps names to Node objects.

    `addons` maps each add-on to what would lose its data without it, asked of those that lab.yaml lacks.
    """

    made: kubeadm_config.Made
    cni: Installed
    runtimes: frozenset[str]
    nodes: Mapping[str, Object] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    addons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reality:
    """The machines and the network, the cluster if it answers, and what was written down when it was decided.

    `silent` says why the cluster was not asked, or did not answer; `has_cluster` whether kubeadm made one.
    """

    made: Made
    decision: Decision | None = None
    cluster: Cluster | None = None
    silent: str = ""
    has_cluster: bool = True

    @property
    def is_there(self) -> bool:
        """Return whether the lab has any machine."""
        return bool(self.made.machines)


def look(
    config: ClusterConfig,
    inventory: Inventory,
    workspace: Workspace,
    provider: Provider,
    machines: Machines,
    *,
    seconds: float,
    cancel: Event,
) -> Reality:
    """Ask the hypervisor, and the cluster if it answers within `seconds`; raises what the hypervisor does."""
    ids = machines.known_ids()
    if not ids:
        return Reality(Made({}))
    made, decision = provider.made(config, ids), _decision(workspace)
    state = machines.states().get(inventory.first.name, MISSING)
    if not workspace.kubeconfig.exists():
        return Reality(made, decision, silent="it is not made yet", has_cluster=False)
    if state != RUNNING:
        return Reality(made, decision, silent=f"machine {inventory.first.name} is {state}")
    try:
        kubectl = _kubectl(config, workspace, made, decision, seconds, cancel)
        objects = kubectl.items(f"{KINDS},nodes", "--all-namespaces")
        cluster = _cluster(objects, _addons(kubectl, config, objects))
    except (Cancelled, MadeByNewer):
        raise
    except LabError as error:
        return Reality(made, decision, silent=in_one_line(error))
    if cluster is None:
        return Reality(made, decision, silent="kubeadm has not finished it", has_cluster=False)
    return Reality(made, decision, cluster)


def _decision(workspace: Workspace) -> Decision | None:
    """Return what was decided; None for a file that cannot be read, which others tell and write anew."""
    try:
        return read_decision(workspace.decision)
    except MadeByNewer:
        raise
    except LabError:
        return None


def _kubectl(
    config: ClusterConfig,
    workspace: Workspace,
    made: Made,
    decision: Decision | None,
    seconds: float,
    cancel: Event,
) -> Kubectl:
    """Return the kubectl that the lab was made with: lab.yaml may ask for another version by now."""
    bundle = _bundle(config, decision) if decision is not None else None
    if bundle is None:
        raise LabError("the bundle with its kubectl is not in the cache")
    direct = {str(config.network.nodes), str(config.network.services)}
    direct |= {str(made.nodes)} if made.nodes is not None else set()
    program = bundle.root / "binaries" / "kubectl"
    return Kubectl(program, checked(workspace.kubeconfig), seconds, cancel, tuple(sorted(direct)))


def _bundle(config: ClusterConfig, decision: Decision) -> Bundle | None:
    kept = kept_bundle(decision.bundle)
    if kept is not None:
        return kept.bundle
    if config.artifacts.kind == "bundle":
        # The user's own lies where lab.yaml says.
        with contextlib.suppress(BundleBroken):
            return Bundle.open(Path(config.artifacts.location))
    return None


def _addons(kubectl: Kubectl, config: ClusterConfig, objects: Iterable[Object]) -> dict[str, tuple[str, ...]]:
    """Return the add-ons that are there, and of those that lab.yaml has no more what uses them."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(addons_in(objects), ())
    for name in found:
        if name not in config.addons and name in ADDONS:
            found[name] = tuple(addon_of(name).users(kubectl))
    return found


def _cluster(listed: Sequence[Object], addons: Mapping[str, tuple[str, ...]]) -> Cluster | None:
    made = kubeadm_config.made_with(listed)
    if made is None:
        return None
    nodes = [item for item in listed if item["kind"] == "Node"]
    infos = (node.get("status", {}).get("nodeInfo", {}) for node in nodes)
    names = (str(info.get("containerRuntimeVersion", "")).partition(":")[0] for info in infos)
    by_name = {node["metadata"]["name"]: node for node in nodes}
    runtimes = frozenset(filter(None, names))
    return Cluster(made, found_in(listed), runtimes, by_name, settings_in(listed), addons)
