"""Routes to the other nodes' pods, and kube-proxy's service rules."""

from __future__ import annotations

from provision.config.inventory import Node
from provision.errors import LabError
from provision.lab.context import Context
from provision.repair.services import run_on
from provision.repair.survey import Survey

OWN_TABLE = "ip kubelab"
SERVICE_TABLE = "ip kube-proxy"
PROXY_LABEL = "k8s-app=kube-proxy"
RULES_SECONDS = 30
POLL_SECONDS = 1.0


class NetworkStep:
    """Every node has the routes to the others' pods, the lab's masquerade rule and kube-proxy's rules."""

    id = "network"
    title = "Routes and service rules"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not self._without_routes(ctx) and not self._without_rules(ctx)

    def apply(self, ctx: Context) -> None:
        if names := self._without_routes(ctx):
            scripts = dict.fromkeys(names, "systemctl restart lab-network\n")
            run_on(ctx, scripts, "make the routes", ctx.scaled(20))
            self.survey.forget()
        if not (names := self._without_rules(ctx)):
            return
        for name in names:
            # The DaemonSet creates a new pod, which writes all rules at its start.
            which = (f"--selector={PROXY_LABEL}", f"--field-selector=spec.nodeName={name}")
            ctx.kubectl("delete", "pod", "--namespace=kube-system", *which, "--wait=false")
        end = ctx.clock.now() + ctx.scaled(RULES_SECONDS)
        while names := self._without_rules(ctx):
            if ctx.clock.now() > end:
                raise LabError(
                    f"kube-proxy has not written its rules on {', '.join(names)}",
                    hint=f"kubelab kubectl -- --namespace=kube-system logs --selector={PROXY_LABEL}",
                )
            ctx.clock.sleep(POLL_SECONDS)
            self.survey.forget()

    def plan(self, ctx: Context) -> str:
        return "restore missing routes and service rules"

    def _without_routes(self, ctx: Context) -> list[str]:
        if ctx.cni.name != "bridge":
            return []
        states = self.survey.states(ctx)
        return [
            node.name
            for node in ctx.inventory.nodes
            if OWN_TABLE not in states[node.name].tables
            or states[node.name].units.get("lab-network") != "active"
            or not _has_routes(states[node.name].routes, _others(ctx, node))
        ]

    def _without_rules(self, ctx: Context) -> list[str]:
        # In another mode its rules are among those of others: kube-proxy itself looks after them.
        if ctx.config.cni.replaces_kube_proxy or ctx.config.proxy_mode != "nftables":
            return []
        return [name for name, state in self.survey.states(ctx).items() if SERVICE_TABLE not in state.tables]


def _others(ctx: Context, node: Node) -> list[Node]:
    return [other for other in ctx.inventory.nodes if other != node]


def _has_routes(routes: tuple[str, ...], others: list[Node]) -> bool:
    """Return whether each of the other nodes' pod ranges is reached by that node's address."""
    known = {tuple(line.split()[:3]) for line in routes}
    return all((other.pod_cidr, "via", other.ip) in known for other in others)
