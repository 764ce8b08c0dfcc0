"""Opens a lab: from the path of a lab.yaml to the Context that commands work with."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provision.artifacts.bundle import Bundle
from provision.artifacts.unavailable import Unavailable
from provision.box.recipe import BoxRecipe
from provision.cni.choose import cni_of
from provision.config.inventory import Node, inventory_of
from provision.config.schema import ClusterConfig, load_config
from provision.errors import Cancelled, ConfigError
from provision.extensions import PROVIDERS, SNAPSHOTS
from provision.host.facts import HostFacts, acceleration, gather
from provision.host.fit import check_host
from provision.lab.artifacts import Chosen, choose_for, goes_on, with_cni
from provision.lab.context import Context
from provision.lab.refusals import refuse_impossible
from provision.node.runner import Runner
from provision.providers.base import Provider, SnapshotBackend
from provision.providers.vagrant import VagrantMachines
from provision.report.base import Reporter
from provision.ssh.runner import ParamikoRunner
from provision.workspace import Workspace

DEFAULT_PROVIDER = "libvirt"


def read_lab(file: Path, *, facts: HostFacts | None = None) -> tuple[ClusterConfig, Workspace]:
    """Return the validated config of `file`, with its provider resolved, and its workspace.

    With `facts` it is also checked against this host. Raises ConfigError.
    """
    config = load_config(file)
    if facts is not None:
        check_host(config, facts)
    provider = DEFAULT_PROVIDER if config.provider == "auto" else config.provider
    decided = config.model_copy(update={"provider": provider})
    folder = file.resolve().parent
    if not _is_utf8(folder):
        raise ConfigError(f"the path of the lab's folder, {folder}, is not UTF-8", hint="rename the folder")
    return decided, Workspace(folder, config.name)


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
) -> Context:
    """Return the Context of a lab; raises ConfigError for a feature that is not implemented yet.

    With the `facts` of the host, what this host cannot do is refused as well.
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
        refuse_impossible(config, inventory, workspace.root, provider, machines)
    chosen = choose_for(config, workspace, report)
    context = Context(
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
        **_made_of(chosen, config, report, cancel),
    )
    return _with_connections(context)


class AnotherWay(Cancelled):
    """A site did not give its part of the bundle, and lab.yaml leaves another way open.

    `take` returns the same lab on that way.
    """

    def __init__(self, message: str, take: Callable[[Context], Context]) -> None:
        super().__init__(message)
        self.take = take


def _made_of(
    chosen: Chosen, config: ClusterConfig, report: Reporter, cancel: threading.Event
) -> dict[str, Any]:
    """Return the fields of a Context that follow from its bundle and its CNI."""
    artifacts = chosen.artifacts

    def build() -> Bundle:
        try:
            return artifacts.build(report, cancel)
        except Unavailable as error:
            other = artifacts.otherwise(error)
            if other is None:
                raise
            fields = _made_of(with_cni(config, other.artifacts), config, report, cancel)
            take = functools.partial(dataclasses.replace, **fields)
            raise AnotherWay(goes_on(error, other), take) from error

    return {
        "config": config.model_copy(update={"cni": chosen.cni}),
        "version": artifacts.kubernetes,
        "cni": cni_of(chosen.cni),
        "find_bundle": artifacts.find,
        "build_bundle": build,
        "recipe": BoxRecipe(artifacts.kubernetes, artifacts.key),
        "decision": chosen.decision,
    }


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
