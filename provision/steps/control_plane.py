"""The first control plane: kubeadm init, and the kubeconfig to speak to it."""

from __future__ import annotations

from collections.abc import Sequence

from provision.cluster.kubeconfig import fetch_kubeconfig
from provision.cluster.leaders import wait_for_leaders
from provision.config.inventory import Node
from provision.config.kubernetes_versions import MINORS, minor_of
from provision.engine.waiting import poll_until
from provision.errors import ToolFailed
from provision.kubeadm.documents import init_documents, new_token
from provision.kubeadm.patches import read_patches
from provision.kubeadm.unit import CONFIG, KUBELET_CONF, TOKEN, UNIT, run_kubeadm, wait_for_unit
from provision.lab.context import Context
from provision.node.files import PRIVATE, File
from provision.report.redact import HIDDEN

FINALIZED = "kubelet-client-current.pem"
DNS, PROXY = "deployment/coredns", "daemonset/kube-proxy"
INIT_SECONDS = 100.0
# How long kubeadm may take on fast machines, all tries together.
KUBEADM_SECONDS = 300.0
# How long the parts of the control plane of which one leads may take to agree, on fast machines.
LEADER_SECONDS = 60.0


class ControlPlaneStep:
    """`kubeadm init` ended well, and the API server answers."""

    id = "control-plane"
    title = "Control plane (kubeadm init)"

    def estimate(self, ctx: Context) -> float | None:
        return INIT_SECONDS if ctx.acceleration.factor > 1 else 30.0

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(KUBEADM_SECONDS)

    def is_done(self, ctx: Context) -> bool:
        finished = ctx.kubectl.answers() and _has_addons(ctx)
        return finished and kubeadm_state(ctx, ctx.inventory.first) == "finished"

    def apply(self, ctx: Context) -> None:
        first = ctx.inventory.first
        runner = ctx.connect(first)
        # The same for each try: a worker that waits to join by it need not learn of another.
        token = new_token()
        ctx.report.secret(token)
        ctx.patience(KUBEADM_SECONDS).insist(
            lambda left: self._init(ctx, token, left), f"{first.name}: kubeadm init"
        )
        fetch_kubeconfig(runner, ctx.config.name, first, ctx.workspace.kubeconfig)
        kubectl = ctx.kubectl
        poll_until(kubectl.answers, what="the API server", deadline=ctx.scaled(60), clock=ctx.clock)
        if not _has_addons(ctx):
            which = "coredns" if ctx.config.cni.replaces_kube_proxy else "all"
            argv = ["kubeadm", "init", "phase", "addon", which, f"--config={CONFIG}"]
            runner.run(argv, deadline=ctx.scaled(60))
        wait_for_leaders(kubectl, first.name, deadline=ctx.scaled(LEADER_SECONDS), clock=ctx.clock)

    def plan(self, ctx: Context) -> str:
        return f"kubeadm init {ctx.version} on {ctx.inventory.first.name}"

    def _init(self, ctx: Context, token: str, seconds: float) -> None:
        """Bring kubeadm init to its end within `seconds`, from wherever it stands."""
        runner = ctx.connect(ctx.inventory.first)
        state = kubeadm_state(ctx, ctx.inventory.first)
        if state == "finished":
            return
        if state == "working":
            ctx.report.info("kubeadm init is still at work on the node: waiting for it")
            said = runner.run(wait_for_unit(), deadline=seconds, what="kubeadm init").stdout
            ctx.report.said(f"{runner.node}: kubeadm init", said)
            return
        documents = documents_of(ctx, [image.ref for image in ctx.bundle.images()], token)
        files = {CONFIG: File(documents, PRIVATE), TOKEN: File(token, PRIVATE)}
        argv = ["kubeadm", "init", f"--config={CONFIG}", "--skip-token-print"]
        said = run_kubeadm(runner, argv, files=files, deadline=seconds, reset=state == "unfinished")
        ctx.report.said(f"{runner.node}: kubeadm init", said)


def foreseen_documents(ctx: Context) -> str:
    """Return what `kubeadm init` would read, without its token; raises ConfigError as `read_patches`.

    Before there is a bundle the images are those that its minor is known to have.
    """
    read_patches(ctx.config)
    bundle = ctx.find_bundle()
    if bundle is None:
        return documents_of(ctx, MINORS[minor_of(ctx.version)].images, HIDDEN)
    return documents_of(ctx, [image.ref for image in bundle.images()], HIDDEN)


def documents_of(ctx: Context, images: Sequence[str], token: str) -> str:
    """Return what `kubeadm init` reads of a lab."""
    return init_documents(
        ctx.config, ctx.inventory, ctx.version, images, ctx.acceleration, token, ctx.pace.slowness
    )


def kubeadm_state(ctx: Context, node: Node) -> str:
    """Return "working", "finished", "unfinished" or "empty": how far kubeadm came on a node.

    It points the kubelet at its own rotating certificate in the last phase of init but the add-ons; a join
    ends with the same.
    """
    script = f"""
if systemctl --quiet is-active {UNIT}; then echo working
elif grep -qs {FINALIZED} {KUBELET_CONF}; then echo finished
elif [ -e /etc/kubernetes/pki ] || [ -e {KUBELET_CONF} ]; then echo unfinished
else echo empty; fi
"""
    return ctx.connect(node).run(script, deadline=ctx.scaled(20), what="probe kubeadm").stdout.strip()


def _has_addons(ctx: Context) -> bool:
    addons = (DNS,) if ctx.config.cni.replaces_kube_proxy else (DNS, PROXY)
    try:
        ctx.kubectl("get", "--namespace=kube-system", *addons, "--output=name")
    except ToolFailed:
        return False
    return True
