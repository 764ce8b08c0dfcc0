"""kubectl for the tests: what a busy API server does not answer in passing is asked again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from provision.cluster.kubectl import Kubectl
from provision.engine.patience import Patience
from provision.lab.context import Context

# Verbs that may be done twice: an answer can get lost after the work was done.
AGAIN = {"apply", "exec", "get", "rollout"}


@dataclass(frozen=True)
class PatientKubectl(Kubectl):
    """A Kubectl with patience, for questions and what may be done twice."""

    patience: Patience = dataclasses.field(kw_only=True)

    def __call__(self, *arguments: str, stdin: str = "", deadline: float | None = None) -> str:
        def ask(_: float) -> str:
            return Kubectl.__call__(self, *arguments, stdin=stdin, deadline=deadline)

        return self.patience.insist(ask, arguments[0]) if arguments[0] in AGAIN else ask(0)


def patient_kubectl(ctx: Context) -> PatientKubectl:
    """Return kubectl for a lab; it asks again for a minute on fast machines."""
    fields = {field.name: getattr(ctx.kubectl, field.name) for field in dataclasses.fields(Kubectl)}
    return PatientKubectl(**fields, patience=ctx.patience(60))
