"""Who is who: each node's host key, bound to the id of its machine.

A node's key is believed once, from the machine that proves to be the one Vagrant made: the UUID its
firmware shows is the machine id that Vagrant keeps. From then on nothing else is accepted.
"""

from __future__ import annotations

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import poll_until
from provision.errors import ConnectFailed
from provision.lab.context import Context
from provision.ssh.runner import Endpoint, ParamikoRunner
from provision.workspace import PRIVATE, write_atomic

USER = "vagrant"
PORT = 22
UUID_FILE = "/sys/class/dmi/id/product_uuid"


def endpoint(ctx: Context, node: Node, *, pin: bool = False) -> Endpoint:
    """Return where and how to reach a node."""
    return Endpoint(node.name, node.ip, PORT, USER, ctx.workspace.ssh_key, ctx.workspace.known_hosts, pin)


def missing(ctx: Context) -> list[Node]:
    """Return the nodes whose present machine has no recorded host key."""
    ids, known = ctx.machines.ids(), _read(ctx)
    return [node for node in ctx.inventory.nodes if _mark(node, ids.get(node.name, "")) not in known]


def pin(ctx: Context) -> None:
    """Record the host keys that are missing, and write the ssh_config for other tools.

    Raises ConnectFailed when another machine answers at a node's address.
    """
    ids = ctx.machines.ids()
    wanted = missing(ctx)
    runners = {node.name: _first_contact(ctx, node) for node in wanted}
    lines = on_all(wanted, lambda node: _ask(ctx, node, runners[node.name], ids[node.name]), ctx.cancel)
    kept = {mark: line for mark, line in _read(ctx).items() if mark in _marks(ctx)}
    kept |= {_mark(node, ids[node.name]): lines[node.name] for node in wanted}
    write_atomic(ctx.workspace.known_hosts, "".join(f"{line}\n" for line in kept.values()), mode=PRIVATE)
    write_atomic(ctx.workspace.ssh_config, ssh_config(ctx), mode=PRIVATE)
    for runner in runners.values():
        runner.trust_recorded_key()
        ctx.keep(runner)


def ssh_config(ctx: Context) -> str:
    """Return an OpenSSH configuration that reaches every node by its name."""
    blocks = [
        f"Host {node.name}\n  HostName {node.ip}\n  Port {PORT}\n  User {USER}\n"
        f'  IdentityFile "{ctx.workspace.ssh_key}"\n  IdentitiesOnly yes\n'
        f'  UserKnownHostsFile "{ctx.workspace.known_hosts}"\n  StrictHostKeyChecking yes\n'
        for node in ctx.inventory.nodes
    ]
    return "\n".join(blocks)


def _first_contact(ctx: Context, node: Node) -> ParamikoRunner:
    return ParamikoRunner(endpoint(ctx, node, pin=True), timeout=ctx.scaled(10), cancel=ctx.cancel)


def _ask(ctx: Context, node: Node, runner: ParamikoRunner, machine: str) -> str:
    """Return the line to record for a node, once its machine proved to be the right one."""

    def read_uuid() -> str:
        return runner.run(["cat", UUID_FILE], deadline=ctx.scaled(10)).stdout.strip()

    # A machine that an interrupted run has started may still be booting.
    shown = poll_until(
        read_uuid,
        what=f"SSH on {node.name}",
        deadline=ctx.scaled(30),
        clock=ctx.clock,
        errors=ConnectFailed,
        hint="kubelab status; the machine's console: virsh console",
    )
    kind, key = runner.host_key()
    if shown.lower() != machine.lower():
        raise ConnectFailed(
            node.name,
            f"the machine at {node.ip} is {shown}, and Vagrant made {machine}",
            hint="another machine has the node's address; kubelab destroy, then kubelab up",
        )
    return f"{node.ip} {kind} {key} {_mark(node, machine)}"


def _mark(node: Node, machine: str) -> str:
    return f"{node.name}={machine}"


def _marks(ctx: Context) -> set[str]:
    ids = ctx.machines.ids()
    return {_mark(node, ids[node.name]) for node in ctx.inventory.nodes if node.name in ids}


def _read(ctx: Context) -> dict[str, str]:
    """Return mark -> line of the recorded keys."""
    file = ctx.workspace.known_hosts
    lines = file.read_text().splitlines() if file.is_file() else []
    return {line.rsplit(" ", 1)[-1]: line for line in lines if line.strip()}
