"""What `kubelab diff` shows: where lab.yaml and the lab differ, the nodes' own settings included."""

from __future__ import annotations

from provision.config.schema import ClusterConfig
from provision.lab.context import Context
from provision.lab.differences import Comparison, Difference, compare, tell_rest
from provision.lab.identity import another_lab
from provision.lab.reality import ANSWER_SECONDS, look
from provision.lab.refusals import refuse_anothers_machines
from provision.status.settings import compare_settings

IN_WORDS = {"refused": "refuses it", "applied": "applies it", "restarts": "restarts them for it"}


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
        compare_settings(found, ctx)
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
    return "restarts" if difference.restarts else "applied"
