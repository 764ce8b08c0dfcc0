"""What `kubelab diff` shows: where lab.yaml and the lab differ, nodes' settings and ports of the host too."""

from __future__ import annotations

from collections.abc import Sequence

from provision.config.inventory import Node
from provision.config.schema import ClusterConfig
from provision.lab import ports
from provision.lab.answers import answer_to
from provision.lab.context import Context
from provision.lab.differences import Comparison, Difference, compare, tell_rest
from provision.lab.identity import another_lab
from provision.lab.reality import ANSWER_SECONDS, look
from provision.lab.refusals import refuse_anothers_machines
from provision.providers.base import RUNNING
from provision.status.settings import OFF, compare_settings

PORTS = "ports"
IN_WORDS = {
    "refused": "refuses it",
    "applied": "applies it",
    "restarts": "restarts them for it",
    "anew": "makes them anew for it",
}


def find(ctx: Context, config: ClusterConfig) -> Comparison:
    """Compare `config`, which is lab.yaml with its open values undecided, with the lab; changes nothing.

    Raises ConfigError where the machines are those of another folder, and what the hypervisor raises.
    """
    elsewhere = another_lab(config, ctx.workspace)
    if elsewhere:
        return Comparison(elsewhere)
    refuse_anothers_machines(ctx)
    reality = look(
        config,
        ctx.inventory,
        ctx.workspace,
        ctx.provider,
        ctx.machines,
        seconds=ctx.scaled(ANSWER_SECONDS),
        cancel=ctx.cancel,
    )
    found = compare(config, ctx.inventory, reality)
    if found.is_there:
        states = ctx.machines.states()
        running = [node for node in ctx.inventory.nodes if states.get(node.name) == RUNNING]
        compare_settings(found, ctx, running)
        _compare_ports(found, ctx, running)
    return found


def show(ctx: Context, found: Comparison) -> None:
    """Show the differences, and what could not be compared."""
    if found.differences:
        rows = [
            [each.key, each.lab, each.file, IN_WORDS[_answer(each)], ", ".join(each.machines)]
            for each in found.differences
        ]
        ctx.report.table("lab.yaml and the lab", ["key", "lab", "lab.yaml", "`up`", "machines"], rows)
    else:
        limit = ", as far as it was compared" if found.unknown else ""
        ctx.report.info(f"the lab {ctx.config.name} is as lab.yaml says{limit}")
    tell_rest(found, ctx.report)
    differences = [
        {
            "key": each.key,
            "lab": each.lab,
            "file": each.file,
            "answer": _answer(each),
            "machines": list(each.machines),
        }
        for each in found.differences
    ]
    ctx.report.result({"differences": differences, "unknown": found.unknown, "kept": found.kept})


def _answer(difference: Difference) -> str:
    if difference.refused:
        return "refused"
    if difference.anew:
        return "anew"
    return "restarts" if difference.restarts else "applied"


def _compare_ports(found: Comparison, ctx: Context, running: Sequence[Node]) -> None:
    """Ask what listens on the host; nothing does while the lab is off."""
    if not running and ctx.config.ports:
        found.unknown[PORTS] = OFF
    elif not ports.are_there(ctx):
        texts = ports.relayed(ctx), [port.text for port in ctx.config.ports]
        lab, file = (", ".join(each) or "none" for each in texts)
        # The same ports may lead to a lab as it was in another folder.
        lab = "none" if lab == file else lab
        found.differences.append(Difference(PORTS, lab, file, answer_to(PORTS) == "refused"))
