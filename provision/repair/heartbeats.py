"""Heartbeats newer than the restore: of every kubelet, the controller manager and the scheduler."""

from __future__ import annotations

from provision.cluster.health import condition
from provision.cluster.leaders import LEADERS, LEASES, NODE_LEASES, free_leases, renewed
from provision.errors import ToolFailed, WaitTimeout
from provision.lab.context import Context
from provision.repair.services import RESTART_KUBELET, run_on
from provision.repair.survey import Survey

POLL_SECONDS = 0.5
# A heartbeat further in the future comes from a node whose clock is not set yet.
AHEAD_SECONDS = 1.0
# Every holder renews its lease within ten seconds.
LEASE_SECONDS = 12.0


class HeartbeatStep:
    """Every node is Ready, and its Lease and those of the two leaders were renewed since the repair began."""

    id = "heartbeats"
    title = "Fresh heartbeats"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not any(self._stale(ctx))

    def apply(self, ctx: Context) -> None:
        """Wait; after a while release stale Leases, then restart what is still silent, and wait longer."""
        start, helped = ctx.clock.now(), 0
        limits = (LEASE_SECONDS, LEASE_SECONDS + ctx.scaled(3), LEASE_SECONDS * 2 + ctx.scaled(40))
        while any(stale := self._stale(ctx)):
            nodes, leaders = stale
            ctx.report.progress(f"waiting for a heartbeat from {', '.join(nodes + leaders)}", self.id)
            passed = ctx.clock.now() - start
            if passed > limits[-1]:
                raise WaitTimeout(
                    f"no heartbeat since the restore from {', '.join(nodes + leaders)}",
                    hint=_where_to_look(nodes, ctx.inventory.first.name),
                )
            if helped == 0 and passed > limits[0]:
                helped = 1
                free_leases(ctx.kubectl, leaders)
            elif helped == 1 and passed > limits[1]:
                helped = 2
                self._restart(ctx, nodes, leaders)
            ctx.clock.sleep(POLL_SECONDS)

    def plan(self, ctx: Context) -> str:
        return "wait for heartbeats newer than the restore"

    def _stale(self, ctx: Context) -> tuple[list[str], list[str]]:
        """Return the nodes and the leaders without a heartbeat since the restore."""
        names = [node.name for node in ctx.inventory.nodes]
        try:
            objects = ctx.kubectl.items(f"nodes,{LEASES}", "--all-namespaces")
        except ToolFailed:
            return names, list(LEADERS)
        fresh: set[tuple[str, str]] = set()
        ready: set[str] = set()
        latest = self.survey.wall() + AHEAD_SECONDS
        for item in objects:
            metadata = item["metadata"]
            if item["kind"] == "Lease" and self.survey.since < renewed(item) < latest:
                fresh.add((metadata["namespace"], metadata["name"]))
            elif item["kind"] == "Node" and condition(item, "Ready") == "True":
                ready.add(metadata["name"])
        if ctx.cni.name == "none":
            ready = set(names)
        nodes = [name for name in names if name not in ready or (NODE_LEASES, name) not in fresh]
        return nodes, [name for name in LEADERS if ("kube-system", name) not in fresh]

    def _restart(self, ctx: Context, nodes: list[str], leaders: list[str]) -> None:
        scripts = dict.fromkeys(nodes, RESTART_KUBELET)
        if leaders:
            first = ctx.inventory.first.name
            pattern = "|".join(LEADERS[name] for name in leaders)
            scripts[first] = f"pkill -KILL -x '{pattern}' || true\n" + scripts.get(first, "")
        ctx.report.info(f"restarting, as no heartbeat came: {', '.join(nodes + leaders)}")
        run_on(ctx, scripts, "restart the kubelet", ctx.scaled(12) + 120)
        free_leases(ctx.kubectl, leaders)
        self.survey.forget()


def _where_to_look(nodes: list[str], first: str) -> str:
    """Return what shows why the kubelets of `nodes`, or else the leaders on the node `first`, are silent."""
    if nodes:
        return f"kubelab ssh {nodes[0]} -- sudo journalctl -u kubelet -e"
    logs = "kubelab kubectl -- -n kube-system logs"
    return f"{logs} kube-scheduler-{first}; {logs} kube-controller-manager-{first}"
