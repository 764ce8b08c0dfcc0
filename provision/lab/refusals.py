"""What cannot be made, told before anything is: it follows from lab.yaml and from what this host has."""

from __future__ import annotations

from pathlib import Path

from provision.config.inventory import Inventory
from provision.config.schema import ClusterConfig
from provision.errors import ConfigDrift, ConfigError
from provision.providers.base import Provider
from provision.providers.vagrant import Machines


def refuse_impossible(
    config: ClusterConfig, inventory: Inventory, folder: Path, provider: Provider, machines: Machines
) -> None:
    """Raise ConfigError where a lab of `folder` cannot be made, whatever is tried.

    Raises MissingTool where the hypervisor cannot be asked.
    """
    if not provider.builds_boxes:
        raise ConfigError(
            f"a box for {provider.name} is not there yet",
            key="provider",
            hint="kubelab render writes its Vagrantfile; provider: libvirt makes clusters",
        )
    refuse_another_lab(config, folder, provider)
    taken = provider.taken(config, inventory, machines.ids())
    if taken:
        raise ConfigError(
            f"this host has other machines called {', '.join(taken)}",
            key="name",
            hint="choose another name: its nodes are called NAME-cp1, NAME-w1 and so on",
        )
    refuse_removed_nodes(config, inventory, provider, machines)
    provider.refuse_network(config, inventory)


def refuse_another_lab(config: ClusterConfig, folder: Path, provider: Provider) -> None:
    """Raise ConfigError where another folder made a lab of the same name: it is not ours to touch."""
    for machine, vagrantfile in provider.elsewhere(config, folder).items():
        raise ConfigError(
            f"a lab called {config.name} is there already: {machine} was made from {vagrantfile}",
            key="name",
            hint="choose another name, or run kubelab destroy in that folder",
        )


def refuse_removed_nodes(
    config: ClusterConfig, inventory: Inventory, provider: Provider, machines: Machines
) -> None:
    """Raise ConfigDrift where a machine is there of a node that lab.yaml has no more."""
    wanted = {node.name for node in inventory.nodes}
    removed = sorted(set(provider.strays(config, machines.ids())) - wanted)
    if removed:
        raise ConfigDrift(
            f"{', '.join(removed)} runs, and lab.yaml has it no more",
            key="workers.count",
            hint="set the count back, or start over: kubelab destroy, then kubelab up",
        )
