"""The scripts and files that lab.yaml gives to nodes, each once."""

from __future__ import annotations

from pathlib import Path

from provision.config.inventory import Node
from provision.config.tasks import Task
from provision.engine.parallel import on_all
from provision.errors import CommandFailed
from provision.lab.context import Context
from provision.node import tasks

# How long one script may run, on fast machines.
SCRIPT_SECONDS = 600.0


class ProvisionStep:
    """Every node has run the scripts and got the files of lab.yaml, as they are now."""

    id = "provision"
    title = "Scripts and files of lab.yaml"

    def is_done(self, ctx: Context) -> bool:
        def probe(node: Node) -> bool:
            script = tasks.probe_script(tasks.digests(node))
            return ctx.connect(node).run(script, deadline=ctx.scaled(30), check=False, what="probe").ok

        return all(on_all(ctx.inventory.nodes, probe, ctx.cancel).values())

    def apply(self, ctx: Context) -> None:
        on_all(ctx.inventory.nodes, lambda node: _provision(ctx, node), ctx.cancel, ctx.report)

    def plan(self, ctx: Context) -> str:
        names = list(dict.fromkeys(task.source for node in ctx.inventory.nodes for task in node.tasks))
        return f"bring to every node, once: {', '.join(names)}" if names else "forget what was run before"


def _provision(ctx: Context, node: Node) -> None:
    """Do what was not done on a node yet, in the order of lab.yaml."""
    wanted = tasks.digests(node)
    listed = ctx.connect(node).run(tasks.list_script(wanted), deadline=ctx.scaled(30), what="list what ran")
    done = set(listed.stdout.split())
    for task in node.tasks:
        digest = tasks.digest(task)
        if digest not in done:
            _do(ctx, node, task)
            note = tasks.note_script(digest)
            ctx.connect(node).run(note, deadline=ctx.scaled(30), what="note what ran")
            done.add(digest)


def _do(ctx: Context, node: Node, task: Task) -> None:
    runner, name = ctx.connect(node), Path(task.source).name
    if not task.is_script:
        runner.put(tasks.read(task), task.to, mode=task.mode)
        ctx.report.info(f"{node.name}: wrote {task.to}")
        return
    ctx.report.progress(f"{node.name}: {name}", ProvisionStep.id)
    runner.put(tasks.read(task), tasks.SCRIPT, mode=0o700)
    script = tasks.run_script(ctx.config.name, node)
    deadline = ctx.scaled(SCRIPT_SECONDS)
    result = runner.run(script, deadline=deadline, check=False, what=task.source)
    ctx.report.said(f"{node.name}: {name}", f"{result.stdout}{result.stderr}")
    if not result.ok:
        hint = f"kubelab ssh {node.name} looks around there; kubelab up runs it again, changed or not"
        raise CommandFailed(node.name, task.source, result, hint=hint)
    ctx.report.info(f"{node.name}: ran {name}")
