"""The one Jinja environment, and the files made with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import jinja2

from provision.config.inventory import Inventory, bridge_name, network_name
from provision.config.schema import ClusterConfig
from provision.host.facts import Acceleration
from provision.resources import data

BOOT_SECONDS = 120
MTU = 1500
BANNER = "Written by `kubelab render` from lab.yaml: change that file, not this one."


@dataclass(frozen=True)
class BoxReference:
    """How a Vagrantfile names its box: `url` is a file:// URL, `disk` the size in GiB it has at least."""

    name: str
    version: str
    url: str
    disk: int


def ruby(value: object) -> str:
    """Return `value` as a single-quoted Ruby string, in which nothing is interpolated."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    # Ruby reads CR LF in its source as LF, so a CR stands in a string of its own: neighbours are joined.
    text = text.replace("\r", "'\"\\r\"'")
    return f"'{text}'"


def environment() -> jinja2.Environment:
    """Return the environment all templates are rendered in: an undefined name is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data("Vagrantfile.j2").parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters["ruby"] = ruby
    env.filters["json"] = json.dumps
    return env


def vagrantfile(
    config: ClusterConfig,
    inventory: Inventory,
    provider: str,
    acceleration: Acceleration,
    box: BoxReference,
    key_file: str,
) -> str:
    """Return the Vagrantfile; `key_file` is relative to the folder it will stand in."""
    emulated = acceleration.name == "tcg"
    return (
        environment()
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
        "mtu": MTU,
    }
