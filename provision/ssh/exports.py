"""The nodes of a lab for Ansible and testinfra. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from provision.config.inventory import Inventory, Node
from provision.ssh.host_keys import PORT, USER, quoted
from provision.workspace import Workspace


def ansible_inventory(inventory: Inventory, workspace: Workspace) -> dict[str, Any]:
    """Return an Ansible inventory, whose groups are `control_plane` and `workers`, both in `kubelab`.

    Connections use the lab's SSH key and the recorded host keys, as in the lab's ssh_config.
    """
    options = {
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": quoted(workspace.known_hosts),
        "StrictHostKeyChecking": "yes",
    }
    arguments = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    groups = {"control_plane": _hosts(inventory.control_planes), "workers": _hosts(inventory.workers)}
    variables = {
        "ansible_user": USER,
        "ansible_port": PORT,
        # Ansible puts it between quotes, as a value for ssh.
        "ansible_ssh_private_key_file": quoted(workspace.ssh_key)[1:-1],
        "ansible_ssh_common_args": shlex.join(arguments),
    }
    return {"all": {"children": {"kubelab": {"children": groups, "vars": variables}}}}


def hosts_for_testinfra(inventory: Inventory) -> list[str]:
    """Return the values for pytest-testinfra's --hosts, to use with the lab's ssh_config."""
    return [f"ssh://{node.name}" for node in inventory.nodes]


def _hosts(nodes: Sequence[Node]) -> dict[str, Any]:
    return {"hosts": {node.name: {"ansible_host": node.ip} for node in nodes}}
