"""Service account tokens in pods: once they have expired, pods wait for the kubelet to write new ones."""

from __future__ import annotations

from collections.abc import Mapping

from provision.errors import LabError
from provision.lab.context import Context
from provision.repair.hanging import Pod
from provision.repair.pods import live_pods
from provision.repair.services import RESTART_KUBELET, START_SECONDS, run_on
from provision.repair.survey import Survey

POLL_SECONDS = 1.0
# The kubelet replaces tokens when it syncs a pod; after a restart it syncs all pods at once.
PATIENCE = 6
LONGEST = 40


class TokenStep:
    """Every running pod has a valid token, and the pods of kube-system use it.

    A client rereads its token every minute. kube-proxy and CoreDNS must not be without the API server for so
    long, so their pods with an expired token are deleted and recreated. Pods of the user keep running, and
    wait that minute.
    """

    id = "pod-tokens"
    title = "Service account tokens"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        self.survey.states(ctx)
        if not self.survey.expired:
            return True
        pods = live_pods(ctx)
        return not self._nodes_with_expired(ctx, pods) and not self._system_pods(pods)

    def apply(self, ctx: Context) -> None:
        self._await_tokens(ctx)
        for pod in self._system_pods(live_pods(ctx)):
            ctx.kubectl("delete", "pod", f"--namespace={pod.namespace}", "--wait=false", "--", pod.name)

    def plan(self, ctx: Context) -> str:
        return "wait for new service account tokens"

    def _await_tokens(self, ctx: Context) -> None:
        start, restarted = ctx.clock.now(), False
        while nodes := self._nodes_with_expired(ctx, live_pods(ctx)):
            ctx.report.progress(f"waiting for new tokens on {', '.join(nodes)}", self.id)
            passed = ctx.clock.now() - start
            if passed > ctx.scaled(LONGEST):
                raise LabError(
                    f"the kubelet has not written new tokens on {', '.join(nodes)}",
                    hint=f"kubelab ssh {nodes[0]} -- sudo journalctl -u kubelet -e",
                )
            if not restarted and passed > ctx.scaled(PATIENCE):
                restarted = True
                scripts = dict.fromkeys(nodes, RESTART_KUBELET)
                run_on(ctx, scripts, "restart the kubelet", ctx.scaled(START_SECONDS) + 120)
            ctx.clock.sleep(POLL_SECONDS)
            self.survey.forget()

    def _nodes_with_expired(self, ctx: Context, pods: Mapping[str, Pod]) -> list[str]:
        """Return the nodes where a running pod's token has expired."""
        now = self.survey.wall()
        return [
            name
            for name, state in self.survey.states(ctx).items()
            if any(token.uid in pods and token.expires < now for token in state.tokens)
        ]

    def _system_pods(self, pods: Mapping[str, Pod]) -> list[Pod]:
        """Return the pods of kube-system that were seen with an expired token."""
        seen = {token.uid for token in self.survey.expired}
        return [pod for uid, pod in pods.items() if uid in seen and pod.is_system and pod.is_controlled]
