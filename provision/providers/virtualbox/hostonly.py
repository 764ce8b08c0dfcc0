"""The lab's network on VirtualBox: a host-only interface, which VirtualBox allows in some ranges only."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from provision.config.inventory import Inventory
from provision.config.schema import ClusterConfig
from provision.errors import ConfigDrift, ConfigError
from provision.providers.virtualbox.vboxmanage import VBoxManage, adapters

NETWORKS_FILE = Path("/etc/vbox/networks.conf")
ALLOWED_BY_DEFAULT = IPv4Network("192.168.56.0/21")


@dataclass(frozen=True)
class HostOnly:
    """Host-only interfaces. One made for a lab is noted in VirtualBox, so that no other is ever removed."""

    vbox: VBoxManage
    networks_file: Path = NETWORKS_FILE

    def ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        """Return whether an interface has the host's address in the nodes' network."""
        return _address(config, inventory) in self.vbox.host_only().values()

    def made(self, config: ClusterConfig) -> IPv4Network | None:
        """Return the range of the interface that was made for the lab, None without one."""
        links = self.vbox.host_only()
        own = self._own(config, links)
        return links[own].network if own else None

    def make(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Make the lab's interface, unless one of the same range is there.

        Raises ConfigDrift when the lab has one of another range, ConfigError on an overlap.
        """
        links, wanted = self.vbox.host_only(), _address(config, inventory)
        if wanted in links.values():
            return
        own = self._own(config, links)
        if own:
            raise ConfigDrift(
                f"the lab's network is {links[own].network}, and lab.yaml wants {wanted.network}",
                key="network.nodes",
                hint="a lab cannot move to another network: kubelab destroy, then kubelab up",
            )
        for name, link in links.items():
            if link.network.overlaps(wanted.network):
                raise ConfigError(
                    f"{wanted.network} overlaps VirtualBox's {name} ({link.network})",
                    key="network.nodes",
                    hint="choose a range apart from it",
                )
        name = self.vbox.make_host_only(wanted)
        self.vbox.write_note(_note(config), f"{name} {wanted}")

    def remove(self, config: ClusterConfig) -> None:
        """Remove the lab's interface, unless a machine is on it or someone changed it since."""
        note = _note(config)
        if not self.vbox.note(note):
            return
        own = self._own(config, self.vbox.host_only())
        infos = (self.vbox.info(machine) or {} for machine in self.vbox.machines())
        if own and not any(own in adapters(info) for info in infos):
            self.vbox("hostonlyif", "remove", own)
        self.vbox.write_note(note)

    def check_range(self, nodes: IPv4Network) -> None:
        """Raise ConfigError unless VirtualBox allows the range for a host-only network."""
        allowed = self._allowed()
        if any(nodes.subnet_of(network) for network in allowed):
            return
        # The file replaces VirtualBox's own range, so a new one has to name that as well.
        line = f"* {nodes}" if self.networks_file.exists() else f"* {ALLOWED_BY_DEFAULT} {nodes}"
        names = ", ".join(map(str, allowed)) or "none"
        raise ConfigError(
            f"VirtualBox refuses {nodes} for a host-only network; allowed: {names}",
            key="network.nodes",
            hint=f"choose a range inside those, or allow yours: echo '{line}' | "
            f"sudo tee -a {self.networks_file}",
        )

    def _allowed(self) -> list[IPv4Network]:
        if not self.networks_file.exists():
            return [ALLOWED_BY_DEFAULT]
        ranges = []
        for line in self.networks_file.read_text(errors="replace").splitlines():
            if not line.lstrip().startswith("*"):
                continue
            for word in line.lstrip().removeprefix("*").split():
                # IPv6 ranges stand there too.
                with contextlib.suppress(ValueError):
                    ranges.append(IPv4Network(word, strict=False))
        return ranges

    def _own(self, config: ClusterConfig, links: Mapping[str, IPv4Interface]) -> str:
        """Return the interface that was made for this lab and is still as it was made, or nothing."""
        name, _, address = self.vbox.note(_note(config)).rpartition(" ")
        return name if name in links and str(links[name]) == address else ""


def _address(config: ClusterConfig, inventory: Inventory) -> IPv4Interface:
    return IPv4Interface(f"{inventory.gateway}/{config.network.nodes.prefixlen}")


def _note(config: ClusterConfig) -> str:
    return f"kubelab/{config.name}/hostonly"
