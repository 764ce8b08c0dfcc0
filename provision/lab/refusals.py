"""What cannot be made, told before anything is: it follows from lab.yaml and from what this host has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.config.document import config_error
from provision.config.fragments import DEFAULT_MODE
from provision.config.inventory import Inventory, bridge_name
from provision.config.names import machine_names, worker_names
from provision.config.schema import ClusterConfig
from provision.config.values import NONE
from provision.errors import ConfigDrift, ConfigError
from provision.host.bridges import bridges
from provision.lab import ownership
from provision.lab.context import Context
from provision.lab.differences import WORKERS, Comparison, Difference, compare_names, tell
from provision.lab.reality import Reality
from provision.lab.software import Software
from provision.node import tasks
from provision.providers.base import STOPPED, LabMachine, Provider
from provision.providers.vagrant import Machines
from provision.relay.taken import not_to_be_had
from provision.report.base import Reporter
from provision.workspace import Workspace

# Vagrant's plugin refuses these: they belong to libvirt's networks and to Docker's.
NOT_FOR_CARDS = ("docker", "virbr")
WAYS = "let lab.yaml say what the lab has, or start over: kubelab destroy, then kubelab up"
# `destroy` finds the lab by these keys.
SET_BACK = "set it back; to start over: kubelab destroy, then change lab.yaml, then kubelab up"


def refuse_without_box(provider: Provider) -> None:
    """Raise ConfigError for a provider whose machines have nothing to start from."""
    if not provider.builds_boxes:
        raise ConfigError(
            f"a box for {provider.name} is not there yet",
            key="provider",
            hint="kubelab render writes its Vagrantfile; provider: libvirt makes clusters",
        )


def refuse_impossible(
    config: ClusterConfig, inventory: Inventory, folder: Path, provider: Provider, machines: Machines
) -> None:
    """Raise ConfigError where a lab of `folder` cannot be made, whatever is tried.

    Whose the machines are was asked before. Raises MissingTool where the hypervisor cannot be asked.
    """
    tasks.check(config)
    taken = provider.taken(config, inventory, machines.ids())
    if taken:
        raise ConfigError(
            f"this host has other machines called {', '.join(taken)}",
            key="name",
            hint="choose another name: its nodes are called NAME-cp1, NAME-w1 and so on",
        )
    refuse_unknown_machines(config, inventory, folder, provider, machines, workers_leave=True)
    provider.refuse_network(config, inventory)


def refuse_missing_bridge(config: ClusterConfig) -> None:
    """Raise ConfigError where the host has no such bridge, or one that machines get no second card on."""
    wanted, own = config.network.bridge, bridge_name(config.name)
    there = [name for name in bridges() if name != own and not name.startswith(NOT_FOR_CARDS)]
    if wanted and config.provider == "libvirt" and wanted not in there:
        allowed = ", ".join([NONE, *there])
        raise ConfigError(
            f"{wanted} is no bridge of this host that machines get a card on; allowed: {allowed}",
            key="network.bridge",
            hint="make the bridge, with a card of this host in it; or leave the key out",
        )


def refuse_taken_ports(config: ClusterConfig, workspace: Workspace) -> None:
    """Raise ConfigError for ports of the host that cannot be listened on; the lab's own are not taken."""
    problems = not_to_be_had(config.ports, workspace.relay)
    if problems:
        raise config_error(problems)


def refuse_mode(software: Software) -> None:
    """Raise ConfigError for a mode of kube-proxy that needs programs which its image lacks."""
    mode = software.config.proxy_mode
    if mode == DEFAULT_MODE:
        return
    bundle = software.find_bundle()
    if (bundle.source if bundle is not None else software.decision.artifacts) == "source":
        raise ConfigError(
            f"{mode} needs programs that the image of kube-proxy does not have where it is built from source",
            key="kubeProxy.mode",
            hint=f"use {DEFAULT_MODE}, or artifacts: release",
        )


def refuse_drift(differences: Sequence[Difference], hint: str = WAYS) -> None:
    """Raise one ConfigDrift for all of `differences` that cannot be brought into the lab that is there."""
    refused = [difference for difference in differences if difference.refused]
    if refused:
        first, *others = refused
        lines = [first.text, *(f"{other.key}: {other.text}" for other in others)]
        raise ConfigDrift("\n".join(lines), key=first.key, hint=hint)


def refuse_or_tell(comparison: Comparison, report: Reporter) -> None:
    """Raise ConfigDrift where lab.yaml asks for what the lab cannot follow, else tell what it will follow."""
    refuse_drift(comparison.differences)
    tell(comparison, report)


def refuse_other_names(ctx: Context) -> None:
    """Raise ConfigDrift where lab.yaml has other names for nodes than their machines were made with.

    Whoever prepares a node would rename it, and its kubelet has a certificate for the name it joined by.
    """
    made = ctx.provider.made(ctx.config, ctx.machines.known_ids())
    refuse_drift(compare_names(ctx.inventory, Reality(made)).differences)


def refuse_anothers_machines(ctx: Context) -> None:
    """Raise ConfigError where the lab's machines are those of another folder; ask before any is changed."""
    refuse_another_lab(ctx.config, ctx.workspace.root, ctx.provider, ctx.machines)


def refuse_another_lab(config: ClusterConfig, folder: Path, provider: Provider, machines: Machines) -> None:
    """Raise ConfigError where another folder made a lab of the same name: it is not ours to touch."""
    for machine in ownership.others(config, folder, provider, machines):
        message, hint = _told(config, folder, machine)
        raise ConfigError(message, key="name", hint=hint)


def refuse_unknown_machines(
    config: ClusterConfig,
    inventory: Inventory,
    folder: Path,
    provider: Provider,
    machines: Machines,
    *,
    workers_leave: bool = False,
) -> None:
    """Raise ConfigDrift where a machine is there of a node that lab.yaml has no more, or without its id.

    A machine that a killed `vagrant up` left half made is none of these: Vagrant keeps the id before it
    starts a machine. Nor is one of a worker, where `workers_leave`: it is still to be removed.
    """
    wanted, workers = {node.machine for node in inventory.nodes}, worker_names(config.name)
    found = ownership.strays(config, folder, provider, machines)
    if workers_leave:
        found = [each for each in found if each.name in wanted or not workers.fullmatch(each.name)]
    removed = sorted(machine.name for machine in found if machine.name not in wanted)
    if removed:
        left = all(map(workers.fullmatch, removed))
        raise ConfigDrift(
            f"{', '.join(removed)} is there, and lab.yaml has it no more",
            key=WORKERS if left else "controlPlanes.count",
            hint="kubelab up, from its first step, removes it; or set the count back" if left else WAYS,
        )
    states = provider.states([machine.id for machine in found])
    lost = sorted(machine.name for machine in found if states.get(machine.id, STOPPED) != STOPPED)
    if lost:
        raise ConfigDrift(
            f"{', '.join(lost)} runs and was made from this folder, but the folder has lost its id",
            key="name",
            hint=f"bring back {folder / '.vagrant'}, or start over: kubelab destroy, then kubelab up",
        )


def _told(config: ClusterConfig, folder: Path, machine: LabMachine) -> tuple[str, str]:
    """Return why a machine is not the lab's in `folder`, and what to do."""
    if machine_names(config.name).fullmatch(machine.name) is None:
        return (
            f"an id in {folder / '.vagrant'} is that of {machine.name}, which has no name of this lab",
            "if you renamed it, name it as before; else remove its folder from .vagrant/machines",
        )
    if machine.source is None:
        return (
            f"this host has a machine {machine.name} on this lab's network, made by something else",
            "choose another name",
        )
    return (
        f"a lab called {config.name} is there already: {machine.name} was made from {machine.source}",
        "choose another name, or run kubelab destroy in that folder",
    )
