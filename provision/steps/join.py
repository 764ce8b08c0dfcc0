"""Workers join the cluster, all at once, while the control plane is still starting."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import poll_until
from provision.errors import LabError, ToolFailed
from provision.kubeadm.documents import TOKEN_HOURS, ca_hash, is_token, join_document, new_token
from provision.kubeadm.unit import KUBELET_CONF, TOKEN, UNIT, run_kubeadm
from provision.lab.context import Context
from provision.node.files import PRIVATE, File
from provision.steps.control_plane import FINALIZED, KUBEADM_SECONDS, kubeadm_state

CONFIG = "/etc/kubernetes/kubelab-join.yaml"
CA = "/etc/kubernetes/pki/ca.crt"
START_OVER = "kubelab destroy, then kubelab up"


class JoinStep:
    """Every worker's kubelet has its certificate, and the API server has its Node."""

    id = "join"
    title = "Workers (kubeadm join)"

    def estimate(self, ctx: Context) -> float | None:
        return 120.0 if ctx.acceleration.factor > 1 else 40.0

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(KUBEADM_SECONDS)

    def is_done(self, ctx: Context) -> bool:
        return not _outside(ctx, ctx.inventory.workers)

    def apply(self, ctx: Context) -> None:
        credentials = _await_credentials(ctx)

        def join(node: Node) -> None:
            tries = itertools.count()

            def attempt(left: float) -> None:
                if next(tries) == 0:
                    _join(ctx, node, credentials, left)
                elif _outside(ctx, [node]):
                    # The control plane may have been made anew meanwhile.
                    _join(ctx, node, _await_credentials(ctx), left)

            ctx.patience(KUBEADM_SECONDS).insist(attempt, f"{node.name}: kubeadm join")

        # Asked only now: before, an API server that was merely slow made every worker look outside.
        on_all(_outside(ctx, ctx.inventory.workers), join, ctx.cancel, ctx.report)
        names = {node.name for node in ctx.inventory.workers}
        poll_until(
            lambda: _members(ctx) >= names,
            what="the Node objects of the workers",
            deadline=ctx.scaled(120),
            clock=ctx.clock,
            errors=ToolFailed,
        )

    def plan(self, ctx: Context) -> str:
        return f"kubeadm join on {', '.join(node.name for node in ctx.inventory.workers) or 'no node'}"


def _outside(ctx: Context, workers: Sequence[Node]) -> list[Node]:
    """Return those of `workers` that are not in the cluster."""
    members = _members(ctx) if workers else set()
    if not members:
        return list(workers)
    states = on_all(workers, lambda node: kubeadm_state(ctx, node), ctx.cancel)
    return [node for node in workers if node.name not in members or states[node.name] != "finished"]


def _members(ctx: Context) -> set[str]:
    """Return the names of the Node objects; none while the host cannot reach the API server yet."""
    if not ctx.kubectl.answers():
        return set()
    return {item["metadata"]["name"] for item in ctx.kubectl.items("nodes")}


def _join(ctx: Context, node: Node, credentials: tuple[str, str], seconds: float) -> None:
    """Run kubeadm join on a node, or wait for one that is at work there."""
    state = kubeadm_state(ctx, node)
    if state != "working" and ctx.kubectl.answers():
        # A machine made anew joins under a name the cluster may still know.
        ctx.kubectl("delete", "node", node.name, "--ignore-not-found")
    document = join_document(
        ctx.config, node, ctx.inventory.first, *credentials, ctx.acceleration, ctx.pace.slowness
    )
    said = run_kubeadm(
        ctx.connect(node),
        ["kubeadm", "join", f"--config={CONFIG}"],
        files={CONFIG: File(document, PRIVATE)},
        deadline=seconds,
        reset=state in ("unfinished", "finished"),
    )
    ctx.report.said(f"{node.name}: kubeadm join", said)


def _await_credentials(ctx: Context) -> tuple[str, str]:
    """Return a bootstrap token and the CA's pin once the control plane has both; raises WaitTimeout."""
    return poll_until(
        lambda: _credentials(ctx),
        what="the control plane's certificate authority",
        deadline=ctx.scaled(KUBEADM_SECONDS),
        clock=ctx.clock,
    )


def _credentials(ctx: Context) -> tuple[str, str] | None:
    """Return a bootstrap token and the CA's pin, or None while the control plane has neither.

    While `kubeadm init` works, its own token is on the node; afterwards, when that one may have expired, a
    fresh one is made.
    """
    script = f"""
if [ ! -s {CA} ]; then exit 0; fi
if systemctl --quiet is-active {UNIT}; then cat {CA}; cat {TOKEN} 2>/dev/null || true
elif grep -qs {FINALIZED} {KUBELET_CONF}; then cat {CA}; fi
"""
    runner = ctx.connect(ctx.inventory.first)
    certificate, end, rest = runner.run(
        script, deadline=ctx.scaled(20), what="read the join credentials"
    ).stdout.partition("-----END CERTIFICATE-----\n")
    if not end:
        return None
    try:
        pin = ca_hash((certificate + end).encode())
    except ValueError as error:
        raise LabError(f"{runner.node}: {CA} is no certificate: {error}", hint=START_OVER) from error
    if ctx.kubectl.answers():
        return _fresh_token(ctx), pin
    token = rest.strip()
    if token and not is_token(token):
        raise LabError(f"{runner.node}: {TOKEN} holds no bootstrap token", hint=START_OVER)
    return (token, pin) if token else None


def _fresh_token(ctx: Context) -> str:
    """Make a bootstrap token that expires, as kubeadm would, by one request to the API server."""
    token = new_token()
    ctx.report.secret(token)
    ident, _, secret = token.partition(".")
    expiry = dt.datetime.now(dt.UTC) + dt.timedelta(hours=TOKEN_HOURS)
    data = {
        "token-id": ident,
        "token-secret": secret,
        "expiration": expiry.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "usage-bootstrap-signing": "true",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
    }
    metadata = {"name": f"bootstrap-token-{ident}", "namespace": "kube-system"}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token"}
    ctx.kubectl.write([{**kind, "metadata": metadata, "stringData": data}])
    return token
