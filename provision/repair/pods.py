"""Replaces pods that hang after a restore."""

from __future__ import annotations

from collections.abc import Sequence

from provision.errors import ToolFailed, WaitTimeout
from provision.lab.context import Context
from provision.repair.hanging import SYSTEM, TERMINATING, Pod, hanging, pod_of
from provision.repair.survey import Survey

POLL_SECONDS = 1.0


class PodStep:
    """No pod hangs: a pod that does not recover is deleted if a controller will recreate it."""

    id = "pods"
    title = "Pods"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.given_up: set[str] = set()

    def is_done(self, ctx: Context) -> bool:
        return not self._hanging(ctx)

    def apply(self, ctx: Context) -> None:
        start, deleted = ctx.clock.now(), False
        patience, longest = 10 + ctx.scaled(5), 20 + ctx.scaled(35)
        while pods := self._hanging(ctx):
            names = ", ".join(pod.title for pod in pods)
            ctx.report.progress(f"waiting for {names}", self.id)
            passed = ctx.clock.now() - start
            if passed > longest:
                raise WaitTimeout(
                    f"these pods did not come back: {names}",
                    hint="kubelab kubectl -- --namespace=kube-system describe pods",
                )
            if passed > patience and not deleted:
                deleted = True
                self._delete(ctx, pods)
            elif passed > 2 * patience:
                # A user's pod may hang for other reasons than the restore.
                for pod in pods:
                    if not pod.is_system:
                        self._give_up(ctx, pod, "its replacement hangs too")
            ctx.clock.sleep(POLL_SECONDS)

    def plan(self, ctx: Context) -> str:
        return "delete hanging pods that a controller recreates"

    def _hanging(self, ctx: Context) -> list[Pod]:
        try:
            objects = ctx.kubectl.items("nodes,pods", "--all-namespaces")
        except ToolFailed:
            # The control plane was just restarted: heartbeats have been seen before this step.
            return [Pod(SYSTEM, "kube-apiserver", "", False, True, "not answering")]
        found = hanging(objects, self.survey.moment, self.survey.wall())
        return [pod for pod in found if pod.uid not in self.given_up]

    def _delete(self, ctx: Context, pods: Sequence[Pod]) -> None:
        for pod in pods:
            if pod.is_static or (pod.hangs == TERMINATING and not pod.is_overdue):
                continue
            if not pod.is_controlled:
                self._give_up(ctx, pod, "not deleted, as no controller would recreate it")
                continue
            ctx.report.info(f"deleting the hanging pod {pod.title}: its controller recreates it")
            how = ["--force", "--grace-period=0"] if pod.is_overdue else ["--wait=false"]
            which = (f"--namespace={pod.namespace}", "--ignore-not-found", *how, "--", pod.name)
            ctx.kubectl("delete", "pod", *which)

    def _give_up(self, ctx: Context, pod: Pod, why: str) -> None:
        self.given_up.add(pod.uid)
        ctx.report.warn(f"the pod {pod.title} still hangs: {why}")


def live_pods(ctx: Context) -> dict[str, Pod]:
    """Return the running pods that are not being deleted, by their uid."""
    pods = {}
    for item in ctx.kubectl.items("pods", "--all-namespaces"):
        running = item.get("status", {}).get("phase") == "Running"
        if running and "deletionTimestamp" not in item["metadata"]:
            pods[item["metadata"]["uid"]] = pod_of(item)
    return pods
