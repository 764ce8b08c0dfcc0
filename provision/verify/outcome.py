"""The results of a verification: shown to people, as JSON data, and as the lab's record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from provision.errors import VerifyFailed
from provision.report.base import Reporter
from provision.report.text import duration
from provision.verify.record import VerifyRecord
from provision.verify.run import Check, Request

# How much of a failure's reason the table shows; the run log and the JUnit file have all of it.
WHY_LINES = 3
WHY_COLUMNS = 100
NAMED = 5


@dataclass(frozen=True)
class Outcome:
    """All checks of one verification; `first_node` replaces {node} in a hint of a check without a node."""

    request: Request
    checks: Sequence[Check]
    seconds: float
    first_node: str

    @property
    def failures(self) -> list[Check]:
        return self._with("failed")

    def record(self) -> VerifyRecord:
        """Return the record that is kept in the lab's state folder."""
        return VerifyRecord(
            time=dt.datetime.now(dt.UTC),
            green=not self.failures,
            quick=self.request.selection.quick,
            passed=len(self._with("passed")),
            failed=len(self.failures),
            skipped=len(self._with("skipped")),
            seconds=round(self.seconds, 2),
            failures=tuple(check.name for check in self.failures),
        )

    def look(self, check: Check) -> str:
        """Return where to look: the text of the check's mark `look`, else the check's id."""
        return check.look.replace("{node}", check.node or self.first_node) or check.id

    def data(self) -> dict[str, object]:
        """Return the results as JSON data, for --json."""
        junit = self.request.junit
        return {
            **self.record().model_dump(exclude={"time", "failures"}),
            "failures": [self._failure(check) for check in self.failures],
            "skips": [
                {"id": check.id, "test": check.name, "why": check.why} for check in self._with("skipped")
            ],
            **({"junit": str(junit)} if junit is not None else {}),
        }

    def error(self) -> VerifyFailed:
        """Return the error that a failed verification ends with."""
        names = [check.name for check in self.failures]
        more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        return VerifyFailed(
            f"{len(names)} of {len(self.checks)} checks failed: {'; '.join([*names[:NAMED], *more])}",
            hint=f"fix the cause, then: {self._again()}",
        )

    def show(self, report: Reporter) -> None:
        """Print why checks were skipped, the table of failures, and the counts."""
        reasons: dict[str, int] = {}
        for check in self._with("skipped"):
            reason = _short(check.why, 1)
            reasons[reason] = reasons.get(reason, 0) + 1
        for reason, count in reasons.items():
            report.info(f"{count} skipped: {reason}")
        if self.failures:
            rows = [[check.name, _short(check.why), self.look(check)] for check in self.failures]
            report.table("Failed checks", ["check", "why", "where to look"], rows)
        counts = {outcome: len(self._with(outcome)) for outcome in ("passed", "failed", "skipped")}
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        report.info(f"{'red' if self.failures else 'green'}: {told} in {duration(self.seconds)}")

    def _with(self, outcome: str) -> list[Check]:
        return [check for check in self.checks if check.outcome == outcome]

    def _failure(self, check: Check) -> dict[str, object]:
        fields = {"id": check.id, "test": check.sentence, "node": check.node, "concern": check.concern}
        return {**fields, "why": check.why.splitlines(), "look": self.look(check)}

    def _again(self) -> str:
        """Return the command that runs the failed checks again."""
        concerns = ",".join(dict.fromkeys(check.concern for check in self.failures))
        tests = "".join(f" --tests {folder}" for folder in self.request.tests)
        return f"kubelab verify --only {concerns}{tests}"


def _short(why: str, lines: int = WHY_LINES) -> str:
    """Return the first lines of a reason, each cut to the width of the table."""
    kept = [line.strip() for line in why.splitlines() if line.strip()][:lines]
    return "\n".join(f"{line[: WHY_COLUMNS - 1]}…" if len(line) > WHY_COLUMNS else line for line in kept)
