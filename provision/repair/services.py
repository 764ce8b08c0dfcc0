"""containerd and kubelet on every node, and the API server as seen from the host."""

from __future__ import annotations

import base64
from collections.abc import Callable

from provision.cluster.kubeconfig import fetch_kubeconfig, read_kubeconfig
from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import poll_until
from provision.errors import LabError, WaitTimeout
from provision.lab.context import Context
from provision.node.certificates import certificate_end
from provision.node.kubelet import HEALTHZ
from provision.repair.survey import NodeState, Survey

# Enough for a kubelet that starts on an emulated CPU.
START_SECONDS = 12
HINT = "kubelab ssh {node} -- sudo journalctl -u kubelet -e"

RESTART_CONTAINERD = """
systemctl restart containerd
turns=0
until ctr version >/dev/null 2>&1; do
    turns=$((turns + 1))
    if [ $turns -ge 60 ]; then journalctl -u containerd --no-pager -n 20 >&2; exit 1; fi
    sleep 0.5
done
"""
WAIT_FOR_KUBELET = f"""
turns=0
until {{ {HEALTHZ}; }} | grep -q ' 200 '; do
    turns=$((turns + 1))
    if [ $turns -ge 240 ]; then
        echo "the kubelet did not become healthy" >&2
        journalctl -u kubelet --no-pager -n 20 >&2
        exit 1
    fi
    sleep 0.5
done
"""
RESTART_KUBELET = f"""
systemctl reset-failed kubelet 2>/dev/null || true
systemctl restart kubelet
{WAIT_FOR_KUBELET}
"""
# pkill compares the kernel's name, which has 15 characters. Only etcd has state, which is safe when it is
# killed; the kubelet restarts them at once.
RESTART_CONTROL_PLANE = """
pkill -KILL -x 'kube-apiserver|kube-controller|kube-scheduler' || true
pkill -TERM -x etcd || true
"""
FIXES = {
    "containerd": RESTART_CONTAINERD,
    "the kubelet": RESTART_KUBELET,
    "lab-clock": "systemctl start lab-clock\n",
}


class ServicesStep:
    """containerd and the kubelet are healthy on every node; restarted only where they are not."""

    id = "services"
    title = "containerd and kubelet"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not any(_dead(state) for state in self.survey.states(ctx).values())

    def apply(self, ctx: Context) -> None:
        states = self.survey.states(ctx)
        scripts = {
            name: "".join(FIXES[part] for part in dead)
            for name, state in states.items()
            if (dead := _dead(state))
        }
        run_on(ctx, scripts, "restart containerd and kubelet", ctx.scaled(START_SECONDS) + 120)
        self.survey.forget()
        for name, state in self.survey.states(ctx).items():
            if dead := _dead(state):
                raise LabError(
                    f"{name}: {', '.join(dead)} is not healthy after a restart", hint=HINT.format(node=name)
                )

    def plan(self, ctx: Context) -> str:
        return "restart containerd or the kubelet where it does not answer"


class ApiStep:
    """The API server answers the host, and the host's kubeconfig is valid."""

    id = "api"
    title = "API server"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return self._kubeconfig_is_valid(ctx) and ctx.kubectl.answers()

    def apply(self, ctx: Context) -> None:
        first = ctx.inventory.first
        if not self._kubeconfig_is_valid(ctx):
            ctx.report.info(
                "kubectl gets a new certificate: if you merged the lab into your own kubeconfig, run "
                "`kubelab kubeconfig --merge` again"
            )
        fetch_kubeconfig(ctx.connect(first), ctx.config.name, first, ctx.workspace.kubeconfig)
        try:
            _await_api(ctx, ctx.scaled(START_SECONDS))
        except WaitTimeout:
            ctx.report.info(f"the API server does not answer: restarting the control plane of {first.name}")
            script = RESTART_CONTROL_PLANE + RESTART_KUBELET
            run_on(ctx, {first.name: script}, "restart the control plane", ctx.scaled(START_SECONDS) + 120)
            _await_api(ctx, ctx.scaled(60))

    def plan(self, ctx: Context) -> str:
        return "wait for the API server"

    def _kubeconfig_is_valid(self, ctx: Context) -> bool:
        """Return whether the certificate in the host's kubeconfig is valid for some time."""
        file = ctx.workspace.kubeconfig
        if not file.exists():
            return False
        try:
            user = read_kubeconfig(file)["users"][0].get("user") or {}
            pem = base64.b64decode(user.get("client-certificate-data", "")).decode()
            return bool(pem) and certificate_end(pem) > self.survey.soon
        except (LabError, ValueError, TypeError, AttributeError):
            # A damaged one is fetched again.
            return False


def run_on(ctx: Context, scripts: dict[str, str], what: str, deadline: float) -> dict[str, str]:
    """Run each node's script, in parallel, and return their output by node name."""

    def run(node: Node) -> str:
        return ctx.connect(node).run(scripts[node.name], deadline=deadline, what=what).stdout

    return on_all([node for node in ctx.inventory.nodes if node.name in scripts], run, ctx.cancel)


def _dead(state: NodeState) -> list[str]:
    """Return the services that are not healthy on a node."""
    dead = []
    if state.units.get("containerd") != "active":
        dead.append("containerd")
    if state.units.get("kubelet") != "active" or not state.healthy:
        dead.append("the kubelet")
    if state.has_keeper and state.units.get("lab-clock") != "active":
        dead.append("lab-clock")
    return dead


def _await_api(ctx: Context, deadline: float) -> None:
    answers: Callable[[], bool] = ctx.kubectl.answers
    node = ctx.inventory.first.name
    poll_until(
        answers, what="the API server", deadline=deadline, clock=ctx.clock, hint=HINT.format(node=node)
    )
