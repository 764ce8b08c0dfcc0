"""What lab.yaml leaves open, decided: kept with the lab, and held to where the lab is there already."""

from __future__ import annotations

from provision.errors import ConfigDrift, LabError
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
        if kept is not None and kept.kubernetes != ctx.version and ctx.workspace.has_machines():
            raise ConfigDrift(
                f"the lab was made with Kubernetes {kept.kubernetes}, and lab.yaml asks for"
                f" {ctx.config.kubernetes}: a lab that is there keeps its version",
                key="kubernetes",
                hint="set it back, or start over: kubelab destroy, then kubelab up",
            )
        return kept == ctx.decision

    def apply(self, ctx: Context) -> None:
        ctx.decision.write(ctx.workspace.decision)

    def plan(self, ctx: Context) -> str:
        return f"write down what was decided: Kubernetes {ctx.version}, {ctx.cni.name} CNI"
