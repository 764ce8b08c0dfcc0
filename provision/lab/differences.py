"""Where lab.yaml and the lab differ. Pure: what the lab is was read before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from provision.box.recipe import mark_in, packages_mark
from provision.cluster import marks
from provision.cluster.health import internal_ips
from provision.cluster.kubeadm_config import Made
from provision.cni.choose import cni_of
from provision.cni.custom import Custom
from provision.cni.installed import change_of
from provision.config.addresses import offset_of
from provision.config.cni import CniConfig
from provision.config.inventory import Inventory, Node
from provision.config.kubernetes_versions import fits
from provision.config.schema import ClusterConfig
from provision.config.values import NONE
from provision.extensions import CNIS
from provision.kubeadm.documents import cert_addresses
from provision.lab import settings
from provision.lab.answers import ANSWERS, answer_to, row_of
from provision.lab.reality import Reality
from provision.providers import base as machines
from provision.report.base import Reporter

MIB_A_GIB = 1024
SHOWN = 4
UNSAID = "the lab does not say it"
WORKERS = "workers.count"
PACKAGES = "packages"
# Of CPUs, MiB or GiB; of further disks the GiB of each.
Amount = int | tuple[int, ...]
# What only the cluster knows.
OF_CLUSTER = (
    *("kubernetes", "runtime", "cni", "network.pods", "network.services"),
    *("addons", "kubeadm", settings.KUBELET, settings.KUBE_PROXY),
)


@dataclass(frozen=True)
class Difference:
    """A key by which lab.yaml asks for something else than the lab has.

    `machines` are those that differ, by the names of their nodes.
    """

    key: str
    lab: str
    file: str
    refused: bool
    machines: tuple[str, ...] = ()

    @property
    def restarts(self) -> bool:
        """Return whether `up` applies it by restarting the machines."""
        return answer_to(self.key) == "restarts"

    @property
    def anew(self) -> bool:
        """Return whether `up` applies it by making the machines anew, which are workers."""
        return not self.refused and answer_to(self.key) == "anew"

    @property
    def text(self) -> str:
        """Return both values in words."""
        names = ", ".join(self.machines[:SHOWN]) + (", ..." if self.machines[SHOWN:] else "")
        where = f" ({names})" if names else ""
        return f"the lab has {self.lab}{where}, lab.yaml says {self.file}"


@dataclass(frozen=True)
class Comparison:
    """All differences, in the order of lab.yaml's keys; `unknown` is key -> why it could not be compared.

    `kept` are the keys that were compared with what `up` wrote down, as the cluster did not answer.
    """

    differences: list[Difference] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    silent: str = ""
    is_there: bool = True


def compare(config: ClusterConfig, inventory: Inventory, reality: Reality) -> Comparison:
    """Compare lab.yaml, its open values undecided, with what the lab is."""
    found = Comparison(silent=reality.silent, is_there=reality.is_there)
    found.differences.extend(_counts(config, inventory, reality))
    if reality.is_there:
        sizes = compare_sizes(config, inventory, reality.made)
        found.differences.extend(sizes.differences)
        found.unknown.update(sizes.unknown)
        _compare_network(found, config, inventory, reality)
        found.differences.extend(_bridge(config, inventory, reality))
        names = compare_names(inventory, reality)
        found.differences.extend(names.differences)
        found.unknown.update(names.unknown)
        _compare_packages(found, config, inventory, reality)
        _compare_cluster(found, config, inventory, reality)
        _tell_silence(found, reality)
        found.differences.extend(_artifacts(config, reality))
    order = list(ANSWERS)
    found.differences.sort(key=lambda difference: order.index(row_of(difference.key)))
    return found


def compare_sizes(config: ClusterConfig, inventory: Inventory, made: machines.Made) -> Comparison:
    """Compare the sizes of the machines that there are with those of lab.yaml."""
    found = Comparison()
    for name in ("cpus", "memory", "disk", "disks"):
        # Key, value of the machine and of lab.yaml -> the machines for which it is so.
        values: dict[tuple[str, Amount | None, Amount], list[str]] = {}
        for node in inventory.nodes:
            size = made.machines.get(node.machine)
            if size is not None:
                value, wanted = getattr(size, name), getattr(node, name)
                values.setdefault((key_of(config, node, name), value, wanted), []).append(node.name)
        for (key, value, wanted), which in values.items():
            if value is None:
                found.unknown[key] = f"the hypervisor does not say it of {', '.join(which)}"
            elif value != wanted:
                texts = _in_words(name, value), _in_words(name, wanted)
                planes = {node.name for node in inventory.control_planes}
                kept = answer_to(key) == "refused" or (answer_to(key) == "anew" and bool(planes & {*which}))
                found.differences.append(Difference(key, *texts, kept, tuple(which)))
    return found


def key_of(config: ClusterConfig, node: Node, name: str) -> str:
    """Return the key of lab.yaml that says `name` of a node: that of the node itself, or of its pool."""
    own = config.nodes.get(node.machine)
    if own is not None and name in own.model_fields_set:
        return f"nodes.{node.machine}.{name}"
    return f"{'controlPlanes' if node.is_control_plane else 'workers'}.{name}"


def tell(comparison: Comparison, report: Reporter) -> None:
    """Tell what `up` will bring into a lab that is there, and what could not be compared with it."""
    if comparison.is_there:
        for difference in comparison.differences:
            by = "; it is applied by restarting them" if difference.restarts else ""
            by = "; it is applied by making them anew" if difference.anew else by
            report.info(f"{difference.key}: {difference.text}{by}")
        tell_rest(comparison, report)


def tell_rest(comparison: Comparison, report: Reporter) -> None:
    """Tell what was compared with what `up` kept, and what was not compared."""
    if comparison.kept:
        keys = ", ".join(comparison.kept)
        report.info(f"the cluster was not asked ({comparison.silent}): {keys} compared with what `up` kept")
    for why in dict.fromkeys(comparison.unknown.values()):
        keys = ", ".join(key for key, reason in comparison.unknown.items() if reason == why)
        report.info(f"not compared with the lab: {keys} ({why})")


def _difference(key: str, lab: object, file: object, machines: Sequence[str] = ()) -> Difference:
    return Difference(key, str(lab), str(file), answer_to(key) == "refused", tuple(machines))


def _counts(config: ClusterConfig, inventory: Inventory, reality: Reality) -> Iterator[Difference]:
    """Yield where machines are missing, which `up` makes, or are too many, of which it removes workers."""
    for key, begin in (("controlPlanes", f"{config.name}-cp"), ("workers", f"{config.name}-w")):
        wanted = {node.machine for node in inventory.nodes if node.machine.startswith(begin)}
        there = {name for name in reality.made.machines if name.startswith(begin)}
        if wanted != there:
            hostnames = reality.made.hostnames
            removed = tuple(hostnames.get(name, name) for name in sorted(there - wanted, key=by_number))
            answer = ANSWERS[f"{key}.count"]
            refused = answer == "refused" or (bool(removed) and answer == "grows")
            yield Difference(f"{key}.count", str(len(there)), str(len(wanted)), refused, removed)


def by_number(name: str) -> tuple[int, str]:
    """Return what sorts the machines of one kind by their numbers: lab-w2 before lab-w10."""
    return len(name), name


def _in_words(name: str, value: Amount) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{gib}GiB' for gib in value)}]"
    if name == "memory":
        return f"{value // MIB_A_GIB}GiB" if value % MIB_A_GIB == 0 else f"{value}MiB"
    return f"{value}GiB" if name == "disk" else str(value)


def _compare_network(
    found: Comparison, config: ClusterConfig, inventory: Inventory, reality: Reality
) -> None:
    pairs = {
        "network.nodes": (reality.made.nodes, config.network.nodes),
        "network.mtu": (reality.made.mtu, config.network.mtu),
    }
    for key, (lab, file) in pairs.items():
        if lab is None:
            found.unknown[key] = UNSAID
        elif lab != file:
            found.differences.append(_difference(key, lab, file))
    # In another range all have other addresses, which is told already.
    if reality.made.nodes in (None, config.network.nodes):
        found.differences.extend(_addresses(inventory, reality))


def _addresses(inventory: Inventory, reality: Reality) -> Iterator[Difference]:
    """Yield where machines that are there have other addresses: as the network has them, else the cluster."""
    nodes = reality.cluster.nodes if reality.cluster is not None else {}
    for node in inventory.nodes:
        if node.machine in reality.made.machines:
            item = nodes.get(_name_in_lab(node, reality) or node.name)
            said = internal_ips(item) if item is not None else []
            address = reality.made.addresses.get(node.machine) or next(iter(said), "")
            if address and address != node.ip:
                yield _difference(f"nodes.{node.machine}.address", address, node.ip)


def compare_names(inventory: Inventory, reality: Reality) -> Comparison:
    """Compare the names of the nodes of machines that are there with those of lab.yaml."""
    found = Comparison()
    for node in inventory.nodes:
        if node.machine in reality.made.machines:
            key, lab = f"nodes.{node.machine}.name", _name_in_lab(node, reality)
            if not lab and node.name != node.machine:
                found.unknown[key] = UNSAID
            elif lab and lab != node.name:
                found.differences.append(_difference(key, lab, node.name))
    return found


def _name_in_lab(node: Node, reality: Reality) -> str:
    """Return the name of a machine's node: as the machine was made, else that of the Node at its address.

    It is empty where neither says it.
    """
    if node.machine in reality.made.hostnames:
        return reality.made.hostnames[node.machine]
    nodes = reality.cluster.nodes if reality.cluster is not None else {}
    address = reality.made.addresses.get(node.machine, node.ip)
    return next((name for name, item in nodes.items() if address in internal_ips(item)), "")


def _bridge(config: ClusterConfig, inventory: Inventory, reality: Reality) -> Iterator[Difference]:
    """Yield where machines have their second card on another bridge, or only one of the two has any."""
    wanted = config.network.bridge
    # Bridge -> the machines that have it.
    found: dict[str, list[str]] = {}
    for name, size in reality.made.machines.items():
        if size.bridge != wanted:
            found.setdefault(size.bridge, []).append(inventory.name_of(name))
    for bridge, which in found.items():
        yield _difference("network.bridge", bridge or NONE, wanted or NONE, which)


def _compare_packages(
    found: Comparison, config: ClusterConfig, inventory: Inventory, reality: Reality
) -> None:
    """Note where machines were made of boxes with other packages, by the names of the boxes."""
    wanted = packages_mark(config.packages)
    # What a box says of its packages -> the machines for which it is so.
    marks_of: dict[str | None, list[str]] = {}
    for name, size in reality.made.machines.items():
        mark = mark_in(size.box) if size.box else None
        marks_of.setdefault(mark, []).append(inventory.name_of(name))
    for mark, which in marks_of.items():
        if mark is None:
            found.unknown[PACKAGES] = f"the hypervisor does not say it of {', '.join(which)}"
        elif mark != wanted:
            file = ", ".join(config.packages) or NONE
            found.differences.append(_difference(PACKAGES, _packages(mark, reality), file, which))


def _packages(mark: str, reality: Reality) -> str:
    """Return the packages that a mark stands for in words: the names, where they were written down."""
    kept = reality.decision.packages if reality.decision is not None else ()
    if not mark:
        return NONE
    return ", ".join(kept) if mark == packages_mark(kept) else "others"


def _compare_cluster(
    found: Comparison, config: ClusterConfig, inventory: Inventory, reality: Reality
) -> None:
    made, wanted = _made(reality), config.kubernetes
    if made.kubernetes and not fits(made.kubernetes, wanted):
        found.differences.append(_difference("kubernetes", made.kubernetes, wanted))
    for key, lab, file in (
        ("network.pods", made.pods, str(config.network.pods)),
        ("network.services", made.services, str(config.network.services)),
    ):
        if lab and lab != file:
            found.differences.append(_difference(key, lab, file))
    for runtime in sorted(reality.cluster.runtimes if reality.cluster is not None else ()):
        if runtime != config.runtime:
            found.differences.append(_difference("runtime", runtime, config.runtime))
    found.differences.extend(_cni(config, reality))
    found.differences.extend(_addons(config, reality))
    found.differences.extend(_marks(config, inventory, reality))
    if reality.cluster is not None:
        asked, own = reality.cluster.settings, _own_addresses(inventory, reality)
        found.differences.extend(_difference(*change) for change in settings.changes(config, asked, own))
        found.unknown.update(dict.fromkeys(asked.unsaid(config), UNSAID))


def _own_addresses(inventory: Inventory, reality: Reality) -> list[str]:
    """Return what kubelab itself puts into the API server's certificate, of the lab and of lab.yaml."""
    addresses = cert_addresses(inventory)
    if reality.made.nodes is not None:
        planes = range(1, len(inventory.control_planes) + 1)
        addresses += [str(reality.made.nodes[offset_of("control-plane", index)]) for index in planes]
    return addresses


def _marks(config: ClusterConfig, inventory: Inventory, reality: Reality) -> Iterator[Difference]:
    """Yield where Nodes have other labels or taints."""
    nodes = reality.cluster.nodes if reality.cluster is not None else {}
    # Key, and both texts -> the nodes for which it is so.
    found: dict[tuple[str, str, str], list[str]] = {}
    for node in inventory.nodes:
        if node.name in nodes:
            lab, file = marks.seen(nodes[node.name], node), marks.wanted(node)
            for name, texts in (
                ("labels", (lab.labels_text, file.labels_text)),
                ("taints", (lab.taints_text, file.taints_text)),
            ):
                if texts[0] != texts[1]:
                    found.setdefault((key_of(config, node, name), *texts), []).append(node.name)
    for (key, in_lab, in_file), which in found.items():
        yield _difference(key, in_lab, in_file, which)


def _made(reality: Reality) -> Made:
    """Return what the cluster says it was made with; where it is silent, what was decided for it."""
    decision = reality.decision
    if reality.cluster is not None:
        return reality.cluster.made
    return Made() if decision is None else Made(decision.kubernetes, decision.pods, decision.services)


def _tell_silence(found: Comparison, reality: Reality) -> None:
    """Note what a cluster does not say, and of one that is silent with what else each key was compared."""
    if not reality.has_cluster:
        return
    made, decision = _made(reality), reality.decision
    known = {"kubernetes": made.kubernetes, "network.pods": made.pods, "network.services": made.services}
    if reality.cluster is not None:
        found.unknown.update({key: UNSAID for key, value in known.items() if not value})
        return
    known["cni"] = decision.cni if decision is not None else ""
    for key in OF_CLUSTER:
        if known.get(key):
            found.kept.append(key)
        else:
            found.unknown[key] = f"the cluster was not asked: {reality.silent}"


def _cni(config: ClusterConfig, reality: Reality) -> Iterator[Difference]:
    wanted, decision = config.cni, reality.decision
    if wanted.name == "auto":
        if decision is None:
            return
        if decision.cni not in CNIS:
            yield _difference("cni", decision.cni, wanted.name)
            return
        wanted = CniConfig(name=decision.cni)
    if reality.cluster is None:
        # Whoever asked for none may have brought one.
        if reality.has_cluster and decision is not None and decision.cni not in (wanted.name, "none"):
            yield _difference("cni", decision.cni, wanted.name)
        return
    change = change_of(wanted, reality.cluster.cni)
    if change is not None:
        yield _difference(change.key, change.cluster, change.wanted)
        return
    record, own = reality.cluster.cni.record, cni_of(wanted) if wanted.is_own else None
    if isinstance(own, Custom) and record is not None and record.digest != own.digest():
        yield _difference("cni.manifest", "another one", wanted.manifest)


def _addons(config: ClusterConfig, reality: Reality) -> Iterator[Difference]:
    """Yield where the cluster has other add-ons; one that is in use is not taken away."""
    there = reality.cluster.addons if reality.cluster is not None else dict.fromkeys(config.addons, ())
    if set(there) == set(config.addons):
        return
    used = {name: users for name, users in there.items() if users and name not in config.addons}
    texts = [f"{name} (used by {', '.join(used[name])})" if name in used else name for name in there]
    lab, file = (", ".join(names) or NONE for names in (texts, config.addons))
    yield Difference("addons", lab, file, refused=bool(used))


def _artifacts(config: ClusterConfig, reality: Reality) -> Iterator[Difference]:
    """Yield where the bundle came from, if lab.yaml names another place for what is made from now on."""
    decision = reality.decision
    if decision is not None and config.artifacts.kind not in ("auto", decision.artifacts):
        yield _difference("artifacts", decision.artifacts, config.artifacts.kind)
