"""The source of a lab's artifacts: Kubernetes and what its CNI needs."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path

from provision.addons.choose import addons_of
from provision.artifacts import choose
from provision.artifacts.base import Artifacts, OtherWay
from provision.artifacts.bundle import Bundle
from provision.artifacts.given import kept_bundle
from provision.artifacts.plan import Planned
from provision.artifacts.unavailable import Unavailable
from provision.cni.choose import decide, wanted_of
from provision.config.cni import CniConfig
from provision.config.schema import ClusterConfig
from provision.errors import LabError, MadeByNewer
from provision.lab.decision import Decision, read_decision
from provision.report.base import Reporter
from provision.workspace import Workspace

# What a bundle of each kind is made with.
MAKERS = {"release": ["skopeo"], "mirror": ["skopeo"], "source": ["go"]}


@dataclass(frozen=True)
class Chosen:
    """A bundle that is there or can be made, and the CNI that goes with it, for the lab of `config`."""

    artifacts: Artifacts
    cni: CniConfig
    config: ClusterConfig

    @property
    def decision(self) -> Decision:
        """Return what is kept of it with the lab."""
        return Decision.of(self.artifacts, self.cni.name, self.config)


def artifacts_of(config: ClusterConfig) -> Artifacts:
    """Return the source of the artifacts for a lab that does not exist yet; raises as `choose` does."""
    return choose.choose(config, wanted_of(config.cni))


def choose_for(config: ClusterConfig, workspace: Workspace, report: Reporter) -> Chosen:
    """Return the bundle and the CNI of a lab: as decided before where it is there, else chosen now.

    Raises as `choose` does. A decision that cannot be read is told, and made anew.
    """
    decision = binding_decision(config, workspace, report)
    if decision is None:
        return with_cni(config, artifacts_of(config))
    followed = decision.follow(config)
    return with_cni(followed, _as_decided(config, followed, decision))


def foresee_for(
    config: ClusterConfig, workspace: Workspace, report: Reporter
) -> tuple[Artifacts, list[Planned]]:
    """Return what `choose_for` would, if every site answered, and what it would ask; asks nobody."""
    decision = binding_decision(config, workspace, report)
    followed = config if decision is None else decision.follow(config)
    artifacts, asked = choose.foresee(followed, wanted_of(followed.cni))
    if decision is not None and config.artifacts.kind == "auto":
        return kept_bundle(decision.bundle) or artifacts, asked
    return artifacts, asked


def build(artifacts: Artifacts, report: Reporter, cancel: threading.Event) -> tuple[Artifacts, Bundle]:
    """Return the bundle and where it is from: the next way, where a site does not give its part.

    Raises what making the bundle raises.
    """
    while True:
        try:
            return artifacts, artifacts.build(report, cancel)
        except Unavailable as error:
            other = artifacts.otherwise(error)
            if other is None:
                raise
            report.warn(goes_on(error, other))
            artifacts = other.artifacts


def goes_on(error: Unavailable, other: OtherWay) -> str:
    """Return the line that says what failed, and how it goes on."""
    return f"{error.message}; lab.yaml leaves the choice to kubelab, which continues {other.how}"


def tools_of(config: ClusterConfig, workspace: Workspace | None, report: Reporter) -> list[str]:
    """Return the programs that only some labs need, and this one does: "go" or "skopeo", and "helm".

    `workspace` is None for a lab that has none yet.
    """
    kind: str = config.artifacts.kind
    with contextlib.suppress(LabError):
        artifacts = choose_for(config, workspace, report).artifacts if workspace else artifacts_of(config)
        kind = artifacts.kind if artifacts.find() is None else "bundle"
    wanted = MAKERS.get(kind, []) + (["helm"] if config.cni.is_rendered else [])
    beside = Path(config.artifacts.location) if config.artifacts.kind == "bundle" else None
    if any(addon.programs().find(beside) is None for addon in addons_of(config.addons)):
        wanted = list(dict.fromkeys([*wanted, "go"]))
    return wanted


def binding_decision(config: ClusterConfig, workspace: Workspace, report: Reporter) -> Decision | None:
    """Return the decision that holds: that of a lab with machines, or with its bundle made."""
    try:
        decision = read_decision(workspace.decision)
    except MadeByNewer:
        raise
    except LabError as error:
        report.warn(f"{error.message}: what lab.yaml leaves open is decided anew")
        return None
    if decision is None or not decision.fits(config):
        return None
    return decision if workspace.has_machines() or kept_bundle(decision.bundle) else None


def _as_decided(config: ClusterConfig, followed: ClusterConfig, decision: Decision) -> Artifacts:
    """Return the decided bundle, also where this version of kubelab would make it in another way."""
    kept = kept_bundle(decision.bundle) if config.artifacts.kind == "auto" else None
    if kept is not None and not kept.has(wanted_of(followed.cni)):
        kept = None
    try:
        artifacts = artifacts_of(followed)
    except LabError:
        if kept is None:
            raise
        return kept
    return artifacts if kept is None or artifacts.key == decision.bundle else kept


def with_cni(config: ClusterConfig, artifacts: Artifacts) -> Chosen:
    """Return the bundle with the CNI of `config`, which for `auto` is the best that it has."""
    return Chosen(artifacts, decide(config.cni, artifacts.has), config)
