"""Workers that get other disks: a machine has the disks it was made with, so it is removed and made anew.

This step removes them; those that make machines and join nodes do the rest, as for any worker that is gone.
"""

from __future__ import annotations

from provision.lab.anew import made_anew
from provision.lab.context import Context
from provision.lab.refusals import refuse_anothers_machines
from provision.providers.base import LabMachine
from provision.steps.leave import remove, tell_snapshots


class AnewStep:
    """No worker whose turn it is has other disks than lab.yaml says.

    Whether they may be removed was asked before: see `provision/lab/opening.py`.
    """

    id = "anew"
    title = "Workers with other disks"

    def is_done(self, ctx: Context) -> bool:
        return not made_anew(ctx)

    def apply(self, ctx: Context) -> None:
        refuse_anothers_machines(ctx)
        gone: list[LabMachine] = []
        try:
            for node in made_anew(ctx):
                machine = LabMachine(node.machine, ctx.machines.ids()[node.name], hostname=node.name)
                remove(ctx, machine, self.id)
                gone.append(machine)
        finally:
            tell_snapshots(ctx, gone)

    def plan(self, ctx: Context) -> str:
        names = ", ".join(node.name for node in made_anew(ctx))
        return f"drain and remove {names}, one after the other, and make each anew"
