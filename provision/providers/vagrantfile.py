"""The Vagrantfile, and the libvirt network that goes with it."""

from __future__ import annotations

from typing import Any

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory, bridge_name, network_name
from provision.config.schema import ClusterConfig
from provision.extensions import PROVIDERS
from provision.host.facts import Acceleration
from provision.templates import environment
from provision.workspace import WRITTEN_BY

BOOT_SECONDS = 120
BANNER = f"{WRITTEN_BY} from lab.yaml: change that file, not this one."


def vagrantfile(
    config: ClusterConfig,
    inventory: Inventory,
    provider: str,
    acceleration: Acceleration,
    box: BoxReference,
    key_file: str,
) -> str:
    """Return the Vagrantfile; `key_file` is relative to the folder it will stand in.

    The part of a provider from another Python package is templates/vagrant/NAME.rb.j2 in that package.
    """
    emulated = acceleration.name == "tcg"
    return (
        environment(PROVIDERS.template_package(provider))
        .get_template("Vagrantfile.j2")
        .render(
            **_names(config, inventory),
            banner=BANNER,
            provider=provider,
            box=box,
            key_file=key_file,
            boot_timeout=int(BOOT_SECONDS * acceleration.factor),
            domain_type="qemu" if emulated else "kvm",
            cpu_mode="maximum" if emulated else "host-passthrough",
        )
    )


def network_xml(config: ClusterConfig, inventory: Inventory) -> str:
    """Return the libvirt network of the lab, the same that the Vagrantfile makes."""
    return environment().get_template("templates/vagrant/network.xml.j2").render(**_names(config, inventory))


def _names(config: ClusterConfig, inventory: Inventory) -> dict[str, Any]:
    return {
        "config": config,
        "inventory": inventory,
        "network_name": network_name(config.name),
        "bridge_name": bridge_name(config.name),
    }
