"""Opens a lab: from the path of a lab.yaml to the Context that commands work with."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

from provision.addons.choose import check as check_addons
from provision.config.inventory import Node, inventory_of
from provision.config.schema import ClusterConfig, load_config
from provision.errors import ConfigError
from provision.extensions import PROVIDERS, SNAPSHOTS
from provision.host.facts import HostFacts, acceleration, gather
from provision.host.fit import check_host
from provision.kubeadm.patches import read_patches
from provision.lab.context import Context
from provision.lab.differences import Difference, compare
from provision.lab.identity import another_lab
from provision.lab.leaving import fewer_workers
from provision.lab.reality import ANSWER_SECONDS, look
from provision.lab.refusals import (
    SET_BACK,
    refuse_another_lab,
    refuse_drift,
    refuse_impossible,
    refuse_missing_bridge,
    refuse_mode,
    refuse_or_tell,
    refuse_taken_ports,
    refuse_without_box,
)
from provision.lab.software import Software, SoftwareOf
from provision.node.runner import Runner
from provision.providers.base import Provider, SnapshotBackend
from provision.providers.vagrant import VagrantMachines
from provision.report.base import Reporter
from provision.ssh.runner import ParamikoRunner
from provision.workspace import Workspace

DEFAULT_PROVIDER = "libvirt"


def read_lab(file: Path, *, facts: HostFacts | None = None) -> tuple[ClusterConfig, Workspace]:
    """Return the validated config of `file`, with its provider resolved, and its workspace.

    With `facts` it is for `up`, and also checked against this host and the lab that is in its folder. Raises
    ConfigError.
    """
    config = load_config(file)
    if facts is not None:
        check_host(config, facts)
    provider = DEFAULT_PROVIDER if config.provider == "auto" else config.provider
    decided = config.model_copy(update={"provider": provider})
    folder = file.resolve().parent
    if not _is_utf8(folder):
        raise ConfigError(f"the path of the lab's folder, {folder}, is not UTF-8", hint="rename the folder")
    workspace = Workspace(folder, config.name)
    if facts is not None:
        refuse_drift(another_lab(decided, workspace), SET_BACK)
    return decided, workspace


def _is_utf8(path: Path) -> bool:
    """Return whether a path can be written into a Vagrantfile and an ssh_config."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def open_lab(
    config: ClusterConfig,
    workspace: Workspace,
    report: Reporter,
    cancel: threading.Event,
    facts: HostFacts | None = None,
    agree: Callable[[Difference], None] = lambda difference: None,
) -> Context:
    """Return the Context of a lab; raises ConfigError for a feature that is not implemented yet.

    With the `facts` of the host the lab is to be made: what this host cannot do is refused, and its software
    is chosen at once. Without, that is found once it is needed. `agree` is told of workers that are to be
    removed, or made anew, before any site is asked, and raises where they are to stay.
    """
    inventory = inventory_of(config)
    for secret in config.proxy.secrets():
        report.secret(secret)
    if len(inventory.control_planes) > 1:
        raise ConfigError(
            "more than one control plane is not there yet", key="controlPlanes.count", hint="use 1"
        )
    provider: Provider = PROVIDERS.make(config.provider, Provider, report, cancel)
    machines = VagrantMachines(workspace, inventory, provider, report)
    if facts is not None:
        # Before the network is asked for anything, which may take its time.
        workspace.refuse_foreign_vagrantfile()
        refuse_without_box(provider)
        refuse_taken_ports(config, workspace)
        read_patches(config)
        check_addons(config)
        refuse_another_lab(config, workspace.root, provider, machines)
        seconds = ANSWER_SECONDS * acceleration(facts).factor
        reality = look(config, inventory, workspace, provider, machines, seconds=seconds, cancel=cancel)
        found = compare(config, inventory, reality)
        refuse_or_tell(found, report)
        refuse_missing_bridge(config)
        refuse_impossible(config, inventory, workspace.root, provider, machines)
        fewer = fewer_workers(config, inventory, workspace.root, provider, machines)
        losing = [] if fewer is None else [fewer]
        for difference in (*losing, *(each for each in found.differences if each.anew)):
            agree(difference)
    software_of = SoftwareOf(config, workspace, report, cancel)
    if facts is None:
        decided, software = software_of.lazily()
    else:
        chosen = software_of.chosen()
        refuse_mode(chosen)
        decided, software = chosen.config, lambda: chosen
    context = Context(
        config=decided,
        software=software,
        inventory=inventory,
        workspace=workspace,
        acceleration=acceleration(facts or gather()),
        provider=provider,
        machines=machines,
        report=report,
        connect=_unconnected,
        keep=_unkept,
        disconnect=lambda: None,
        snapshots=lambda cancel: _snapshots(config, cancel),
        cancel=cancel,
    )
    return _with_connections(context)


def with_software(context: Context, software: Software) -> Context:
    """Return the lab as it is made with other software; raises ConfigError where it lacks a part for it."""
    refuse_mode(software)
    return dataclasses.replace(context, config=software.config, software=lambda: software)


def _snapshots(config: ClusterConfig, cancel: threading.Event) -> SnapshotBackend:
    if config.provider not in SNAPSHOTS:
        raise ConfigError(
            f"{config.provider} has no snapshots",
            key="provider",
            hint=f"these have: {', '.join(SNAPSHOTS)}",
        )
    backend: SnapshotBackend = SNAPSHOTS.make(config.provider, SnapshotBackend, cancel)
    return backend


def _unconnected(node: Node) -> Runner:
    raise AssertionError(node)


def _unkept(runner: Runner) -> None:
    raise AssertionError(runner)


def _with_connections(context: Context) -> Context:
    """Return the context with one persistent connection per node, opened at first use."""
    runners: dict[str, Runner] = {}
    lock = threading.Lock()

    def connect(node: Node) -> Runner:
        with lock:
            if node.name not in runners:
                point = context.host_keys.endpoint(node)
                runners[node.name] = ParamikoRunner(point, timeout=context.scaled(10), cancel=context.cancel)
            return runners[node.name]

    def keep(runner: Runner) -> None:
        with lock:
            runners[runner.node] = runner

    def disconnect() -> None:
        with lock:
            for runner in runners.values():
                if isinstance(runner, ParamikoRunner):
                    runner.close()
            runners.clear()

    return dataclasses.replace(context, connect=connect, keep=keep, disconnect=disconnect)
