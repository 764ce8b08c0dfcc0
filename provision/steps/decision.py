"""What lab.yaml leaves open, decided, and kept with the lab."""

from __future__ import annotations

from provision.errors import LabError
from provision.lab.context import Context
from provision.lab.decision import read_decision


class DecisionStep:
    """The exact version, the bundle and the CNI are written down: no later command decides them anew."""

    id = "decision"
    title = "Version and pod network"

    def is_done(self, ctx: Context) -> bool:
        try:
            kept = read_decision(ctx.workspace.decision)
        except LabError:
            return False
        return kept == ctx.decision

    def apply(self, ctx: Context) -> None:
        ctx.decision.write(ctx.workspace.decision)

    def plan(self, ctx: Context) -> str:
        return f"write down what was decided: Kubernetes {ctx.version}, {ctx.cni.name} CNI"
