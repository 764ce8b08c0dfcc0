"""Steps and their engine: probe, apply, probe again until it is seen.

A step is never told what an earlier one did: it asks reality, so any step can be the first and a
run after a failure goes on where the last one ended.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from provision.engine.parallel import Jobs
from provision.engine.patience import Patience
from provision.engine.transient import passing
from provision.errors import Cancelled, ConfigError, LabError, StepFailed

if TYPE_CHECKING:
    from provision.engine.waiting import Clock
    from provision.report.base import Reporter

C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C")

# An API server that has just come up, on a busy machine, does not answer every question: seconds in which
# what a step brought about is looked for. A step that has more patience is given a share of it.
SETTLE, SETTLE_SHARE, PROBE_PAUSE = 8.0, 0.1, 2.0
RESUME_HINT = "run `kubelab up` again: it goes on from here"


class Step(Protocol[C_contra]):
    """One thing `up` brings about.

    A step may also have `estimate(ctx) -> float | None`: how many seconds it usually takes; and
    `patience(ctx) -> float`: for how many seconds it is tried again when it failed for a reason that
    passes by itself. Without, its first failure is its last.
    """

    @property
    def id(self) -> str:
        """Return the name used on the command line, such as "kubeadm-init"."""

    @property
    def title(self) -> str:
        """Return the words shown to the user."""

    def is_done(self, ctx: C_contra) -> bool:
        """Return whether reality is as this step wants it."""

    def apply(self, ctx: C_contra) -> None:
        """Make it so."""

    def plan(self, ctx: C_contra) -> str:
        """Return what `apply` would do, for a dry run."""


class Together(Generic[C]):
    """Steps that run at once, each in its own thread; one that fails stops the others."""

    def __init__(self, *steps: Step[C]) -> None:
        self.steps = steps


@dataclass(frozen=True)
class Outcome:
    """What a run did: step ids in order, and the seconds each step took."""

    changed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    durations: dict[str, float] = field(default_factory=dict)

    def joined(self, later: Outcome) -> Outcome:
        """Return what this run and a later one of the same steps did."""
        changed = [id for id in later.durations if id in self.changed or id in later.changed]
        return Outcome(
            changed=changed,
            skipped=[id for id in later.durations if id not in changed],
            durations={id: self.durations.get(id, 0.0) + took for id, took in later.durations.items()},
        )


class PlannedStep(NamedTuple):
    """One line of a dry run."""

    id: str
    title: str
    done: bool
    text: str


def run_steps(
    steps: Sequence[Step[C] | Together[C]],
    ctx: C,
    reporter: Reporter,
    *,
    clock: Clock,
    cancel: threading.Event,
    from_id: str | None = None,
    until_id: str | None = None,
) -> Outcome:
    """Run the steps in order, from `from_id` to `until_id` if given (both included).

    `cancel` is set when the work is to be given up: on Ctrl-C, or when a step of a group failed.
    Raises ConfigError for an id that is not there, StepFailed, Cancelled; an error that is no
    LabError comes through as it is.
    """
    groups = _select(steps, from_id, until_id)
    engine = _Engine(ctx, reporter, clock, cancel)
    try:
        for group in groups:
            engine.run(group)
    except KeyboardInterrupt:
        cancel.set()
        raise Cancelled("interrupted", hint=RESUME_HINT) from None
    order = [step.id for group in groups for step in group]
    return Outcome(
        changed=[id for id in order if engine.changed[id]],
        skipped=[id for id in order if not engine.changed[id]],
        durations={id: engine.durations[id] for id in order},
    )


def plan_steps(
    steps: Sequence[Step[C] | Together[C]],
    ctx: C,
    *,
    from_id: str | None = None,
    until_id: str | None = None,
) -> list[PlannedStep]:
    """Return what `run_steps` would do, changing nothing; the text of a done step is empty.

    A step whose probe cannot get an answer counts as not done: its VM may not exist yet.
    """
    planned = []
    for group in _select(steps, from_id, until_id):
        for step in group:
            try:
                done = step.is_done(ctx)
            except (ConfigError, Cancelled):
                raise
            except LabError:
                done = False
            planned.append(PlannedStep(step.id, step.title, done, "" if done else step.plan(ctx)))
    return planned


class _Engine(Generic[C]):
    def __init__(self, ctx: C, reporter: Reporter, clock: Clock, cancel: threading.Event) -> None:
        self.ctx = ctx
        self.reporter = reporter
        self.clock = clock
        self.cancel = cancel
        self.changed: dict[str, bool] = {}
        self.durations: dict[str, float] = {}

    def run(self, group: Sequence[Step[C]]) -> None:
        """Run the steps of `group` at once; a group of one needs no thread."""
        if self.cancel.is_set():
            raise Cancelled("given up", hint=RESUME_HINT)
        if len(group) == 1:
            self._run_step(group[0])
            return
        jobs = Jobs(
            {step.id: self._bound(step) for step in group},
            self.cancel,
            stop_on_error=True,
            most=len(group),
        )
        jobs.run()
        jobs.raise_fault()
        # The first real failure in time: the others were given up because of it.
        for error in sorted(jobs.failures.values(), key=lambda error: isinstance(error, Cancelled)):
            raise error

    def _bound(self, step: Step[C]) -> Callable[[], None]:
        return lambda: self._run_step(step)

    def _run_step(self, step: Step[C]) -> None:
        began = self.clock.now()
        estimate = getattr(step, "estimate", None)
        self.reporter.step_started(step.id, step.title, estimate(self.ctx) if estimate else None)
        try:
            changed = self._apply(step)
        except BaseException as error:
            shown = Cancelled("interrupted") if isinstance(error, KeyboardInterrupt) else error
            self.reporter.step_failed(step.id, self.clock.now() - began, shown)
            if isinstance(error, LabError) and not isinstance(error, Cancelled | StepFailed):
                raise StepFailed(step.id, error) from error
            raise
        seconds = self.clock.now() - began
        self.changed[step.id] = changed
        self.durations[step.id] = seconds
        if changed:
            self.reporter.step_done(step.id, seconds, True)
        else:
            self.reporter.step_skipped(step.id, "already done")

    def _apply(self, step: Step[C]) -> bool:
        """Bring `step` about; return whether there was anything to do."""
        patience = getattr(step, "patience", None)
        seconds = patience(self.ctx) if patience else 0.0
        applied = False

        def attempt(left: float) -> None:
            nonlocal applied
            if step.is_done(self.ctx):
                return
            applied = True
            step.apply(self.ctx)

        Patience(seconds, self.clock, self.reporter).insist(attempt, step.title)
        if applied:
            self._see(step, max(SETTLE, seconds * SETTLE_SHARE), patient=seconds > 0)
        return applied

    def _see(self, step: Step[C], seconds: float, *, patient: bool) -> None:
        """Raise LabError unless what `step` brought about is seen within `seconds`."""
        end = self.clock.now() + seconds
        while True:
            late = self.clock.now() + PROBE_PAUSE > end
            try:
                if step.is_done(self.ctx):
                    return
            except LabError as error:
                if late or not patient or not passing(error):
                    raise
            if late:
                raise LabError(
                    f"“{step.title}” ran to its end, but what it should bring about is not there",
                    hint=f"see the run log, then: kubelab up --from {step.id}",
                )
            self.clock.sleep(PROBE_PAUSE)


def _select(
    steps: Sequence[Step[C] | Together[C]], from_id: str | None, until_id: str | None
) -> list[list[Step[C]]]:
    """Return the wanted steps, in groups that run at once; of a group, the wanted members."""
    groups = [list(item.steps) if isinstance(item, Together) else [item] for item in steps]
    ids = [step.id for group in groups for step in group]
    first = _position(ids, from_id, "--from", 0)
    last = _position(ids, until_id, "--until", len(ids) - 1)
    if first > last and ids:
        raise ConfigError(f"{until_id} comes before --from {from_id}", key="--until")
    wanted = set(ids[first : last + 1])
    kept = ([step for step in group if step.id in wanted] for group in groups)
    return [group for group in kept if group]


def _position(ids: Sequence[str], wanted: str | None, key: str, default: int) -> int:
    if wanted is None:
        return default
    if wanted in ids:
        return ids.index(wanted)
    nearest = difflib.get_close_matches(wanted, ids, n=1, cutoff=0.0)
    raise ConfigError(
        f"there is no step {wanted}" + (f"; did you mean {nearest[0]}?" if nearest else ""),
        key=key,
        hint=f"the steps are: {', '.join(ids)}",
    )
