"""The software of a lab: its version of Kubernetes, its pod network, the bundle and the box with both."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from provision.artifacts.bundle import Bundle
from provision.artifacts.given import kept_bundle
from provision.artifacts.unavailable import Unavailable
from provision.box.recipe import BoxRecipe
from provision.cni.base import Cni
from provision.cni.choose import cni_of
from provision.config.schema import ClusterConfig
from provision.errors import Cancelled
from provision.lab.artifacts import Chosen, binding_decision, choose_for, goes_on, with_cni
from provision.lab.decision import Decision
from provision.report.base import Reporter
from provision.workspace import Workspace


@dataclass(frozen=True)
class Software:
    """What a lab is made with; `config` is lab.yaml with its open values decided."""

    config: ClusterConfig
    version: str
    cni: Cni
    find_bundle: Callable[[], Bundle | None]
    build_bundle: Callable[[], Bundle]
    recipe: BoxRecipe
    decision: Decision


class AnotherWay(Cancelled):
    """A site did not give its part of the bundle, and lab.yaml leaves another way open to `software`."""

    def __init__(self, message: str, software: Software) -> None:
        super().__init__(message)
        self.software = software


@dataclass(frozen=True)
class SoftwareOf:
    """Finds the software of one lab."""

    config: ClusterConfig
    workspace: Workspace
    report: Reporter
    cancel: threading.Event

    def chosen(self) -> Software:
        """Return what `up` makes the lab with; sites may be asked. Raises as `choose_for` does."""
        return self._made_with(choose_for(self.config, self.workspace, self.report))

    def lazily(self) -> tuple[ClusterConfig, Callable[[], Software]]:
        """Return lab.yaml as far as it was decided, and what finds the software once it is needed.

        What is kept with the lab needs no bundle and asks nobody, and not every command needs even that: a
        lab can be looked at, put back and removed without a cache and without a network.
        """
        decision = binding_decision(self.config, self.workspace, self.report)
        if decision is None:
            return self.config, _once(self.chosen)
        return decision.follow(self.config), _once(lambda: self._kept(decision))

    def _made_with(self, chosen: Chosen) -> Software:
        artifacts = chosen.artifacts

        def build() -> Bundle:
            try:
                return artifacts.build(self.report, self.cancel)
            except Unavailable as error:
                other = artifacts.otherwise(error)
                if other is None:
                    raise
                software = self._made_with(with_cni(self.config, other.artifacts))
                raise AnotherWay(goes_on(error, other), software) from error

        return Software(
            config=self.config.model_copy(update={"cni": chosen.cni}),
            version=artifacts.kubernetes,
            cni=cni_of(chosen.cni),
            find_bundle=artifacts.find,
            build_bundle=build,
            recipe=BoxRecipe(artifacts.kubernetes, artifacts.key, self.config.packages),
            decision=chosen.decision,
        )

    def _kept(self, decision: Decision) -> Software:
        def find() -> Bundle | None:
            kept = kept_bundle(decision.bundle)
            if kept is None and decision.artifacts == "bundle":
                # The user's own lies where lab.yaml says.
                return self.chosen().find_bundle()
            return kept.find() if kept is not None else None

        config = decision.follow(self.config)
        return Software(
            config=config,
            version=decision.kubernetes,
            cni=cni_of(config.cni),
            find_bundle=find,
            build_bundle=lambda: self.chosen().build_bundle(),
            recipe=BoxRecipe(decision.kubernetes, decision.bundle, config.packages),
            decision=decision,
        )


def _once(find: Callable[[], Software]) -> Callable[[], Software]:
    """Return `find`, done once for all threads; where it fails it is tried again."""
    lock, found = threading.Lock(), functools.cache(find)

    def locked() -> Software:
        with lock:
            return found()

    return locked
