"""The number of workers, changed in lab.yaml and in the lab by one command."""

from __future__ import annotations

from pathlib import Path

from provision.config.edit import KEY
from provision.config.inventory import inventory_of
from provision.config.schema import ClusterConfig, load_config
from provision.engine.steps import run_steps
from provision.errors import Cancelled, ConfigError
from provision.host.files import write_output
from provision.lab.context import Context
from provision.report.base import Reporter
from provision.steps.leave import LeaveStep


def refuse_to_remove(config: ClusterConfig, name: str) -> None:
    """Raise ConfigError for a node that a smaller number of workers would not remove."""
    inventory = inventory_of(config)
    node = inventory.node(name)
    instead = f"kubelab node drain {name} takes its pods away, kubelab node stop {name} switches it off"
    if node.is_control_plane:
        raise ConfigError(f"{name} is a control plane, which is not removed", key="NAME", hint=instead)
    last = inventory.workers[-1].name
    if node.name != last:
        raise ConfigError(
            f"lab.yaml says how many workers there are, not which: only the last one, {last}, can go",
            key="NAME",
            hint=f"{instead}; or: kubelab node remove {last}",
        )


def write_count(file: Path, text: str, config: ClusterConfig, report: Reporter) -> None:
    """Write a lab.yaml with another number of workers; its mode stays, and a link stays a link."""
    gone = load_config(file).nodes.keys() - config.nodes.keys()
    write_output(file, text, mode=file.stat().st_mode & 0o777)
    also = "".join(f", and nodes.{name} is no more in it" for name in sorted(gone))
    report.info(f"{file} says {KEY}: {config.workers.count} now{also}")


def remove(ctx: Context, lab_file: Path, text: str) -> None:
    """Remove what a lab of fewer workers has too many; then write `text` as its lab.yaml."""
    try:
        run_steps((LeaveStep(),), ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)
    except Cancelled:
        hint = "the same command goes on from here; kubelab up lets the node stay"
        raise Cancelled("the removal was interrupted", hint=hint) from None
    write_count(lab_file, text, ctx.config, ctx.report)
