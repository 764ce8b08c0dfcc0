"""Checks whether a host has enough resources for a lab."""

from __future__ import annotations

from provision.config.document import config_error
from provision.config.inventory import bridge_name, inventory_of
from provision.config.schema import ClusterConfig
from provision.config.values import CONTROL_PLANE_CPUS
from provision.host.facts import HostFacts, HostNetwork

RESERVE_MIB = 512


def check_host(config: ClusterConfig, facts: HostFacts) -> None:
    """Raise one ConfigError that lists what of `config` does not fit on this host."""
    problems = [
        (
            f"network.{key}",
            f"{network} overlaps the host's {other.cidr} ({other.name}); allowed: a range it does not use",
        )
        for key, network in config.network.ranges().items()
        for other in facts.networks
        if network.overlaps(other.cidr) and not _is_own(config, other)
    ]
    pools = {"controlPlanes": config.control_planes, "workers": config.workers}
    most = max(facts.cpus, CONTROL_PLANE_CPUS)
    problems += [
        (f"{key}.cpus", f"{pool.cpus} is more than the host has; allowed: up to {most}")
        for key, pool in pools.items()
        if pool.count and pool.cpus > most
    ]
    total = sum(node.memory for node in inventory_of(config).nodes)
    room = facts.memory_mib - RESERVE_MIB
    if total > room:
        largest = max(pools, key=lambda key: pools[key].count * pools[key].memory)
        problems.append(
            (
                f"{largest}.memory",
                f"all nodes together need {total}MiB of {facts.memory_mib}MiB; "
                f"allowed: {max(room, 0)}MiB in total",
            )
        )
    if problems:
        raise config_error(problems)


def _is_own(config: ClusterConfig, network: HostNetwork) -> bool:
    """Return whether a network of the host is the lab's own."""
    if config.provider == "virtualbox" and network.name.startswith("vboxnet"):
        # VirtualBox's machines share the host-only interface of a range.
        return network.cidr == config.network.nodes
    return network.name == bridge_name(config.name)
