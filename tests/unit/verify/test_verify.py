from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.errors import VerifyFailed
from provision.verify import record as verify_record
from provision.verify.examine import prove
from provision.verify.outcome import Check, Outcome
from tests.fakes.verify import DNS, SWAP, Suite, make_suite

# Red until it was asked `times`.
LATE = """
import pathlib
import pytest

@pytest.mark.quick
def test_etcd_answers():
    asked = pathlib.Path(__file__).with_suffix(".asked")
    with asked.open("a") as file:
        file.write(".")
    assert len(asked.read_text()) > {times}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path)


CHECKS = {
    "checks/test_dns.py": DNS,
    "checks/test_swap.py": SWAP,
    "checks/test_pods.py": """
        from provision.errors import ToolFailed

        def test_the_pod_answers(): raise ToolFailed(["kubectl", "exec"], 7, "noise\\nconnection refused")
        """,
    "checks/test_parts.py": """
        import pytest

        @pytest.fixture
        def broken(): raise RuntimeError("not made")

        @pytest.fixture
        def left():
            yield
            raise RuntimeError("left behind")

        def test_before(broken): pass
        def test_after(left): pass
        @pytest.mark.xfail(reason="not there yet")
        def test_expected(): assert False
        """,
    "checks/test_long.py": "def test_long(): assert False, 'x' * 300 + '\\na\\nb\\nc\\nd'\n",
}


@dataclass
class Red:
    """One run of all of CHECKS, looked at by many tests."""

    suite: Suite
    outcome: Outcome

    def row(self, check: str) -> list[str]:
        """Return the line of the table that begins with `check`."""
        (table,) = self.suite.report.of("table")
        (row,) = [row for row in table["rows"] if row[0] == check]
        return list(row)

    def of(self, concern: str) -> list[Check]:
        return [check for check in self.outcome.checks if check.concern == concern]

    def texts(self, kind: str) -> list[str]:
        return [event["text"] for event in self.suite.report.of(kind)]


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Red:
    suite = make_suite(tmp_path_factory.mktemp("red"))
    for path, text in CHECKS.items():
        suite.write(path, text)
    return Red(suite, suite.run())


def test_a_red_run_names_what_why_and_where_to_look(red: Red) -> None:
    (table,) = red.suite.report.of("table")
    assert table["columns"] == ["check", "why", "where to look"]
    assert len(table["rows"]) == 6
    assert red.row("answers come [2]")[1:] == ["assert 2 == 1", "kubelab ssh lab-cp1 -- dig"]
    assert red.row("swap is off and stays off (lab-w1)")[1:] == [
        "swap is on: /dev/vda2 of lab-w1",
        "kubelab ssh lab-w1 -- swapon",
    ]
    told = "failed: swap is off and stays off (lab-w1): swap is on: /dev/vda2 of lab-w1"
    assert told in red.texts("warn")
    assert red.suite.report.of("step_failed")[0]["id"] == "verify"


def test_a_red_run_ends_with_counts_and_with_what_to_run_next(red: Red) -> None:
    error = red.outcome.error()
    assert error.exit_code == 3
    assert error.message.startswith("6 of 10 checks failed: ")
    assert error.hint == "fix the cause, then: kubelab verify --only dns,long,parts,pods,swap"
    assert red.texts("info")[0] == "1 skipped: there is no DNS here"
    assert red.texts("info")[2].startswith("red: 2 passed, 6 failed, 2 skipped in ")


def test_progress_counts_the_tests(red: Red) -> None:
    assert {event["step"] for event in red.suite.report.of("progress")} == {"verify"}
    assert red.texts("progress")[-2:] == [
        "9 of 10: swap is off and stays off (lab-cp1)",
        "10 of 10: swap is off and stays off (lab-w1)",
    ]


def test_what_a_tools_error_says_is_told(red: Red) -> None:
    (failure,) = red.of("pods")
    assert failure.why.splitlines() == [
        "`kubectl exec` ended with exit code 7",
        "noise",
        "connection refused",
    ]


def test_a_failure_to_set_up_or_to_clean_up_is_red(red: Red) -> None:
    assert [(check.sentence, check.outcome, check.why) for check in red.of("parts")] == [
        ("before", "failed", "RuntimeError: not made"),
        ("after", "failed", "RuntimeError: left behind"),
        ("expected", "skipped", "expected to fail: not there yet"),
    ]
    record = red.outcome.record()
    assert (record.passed, record.failed, record.skipped) == (2, 6, 2)


def test_a_long_reason_is_cut_in_the_table_and_whole_for_programs(red: Red) -> None:
    assert [len(line) for line in red.row("long")[1].splitlines()] == [100, 1, 1]
    data: Any = red.outcome.data()
    assert {
        "id": "test_long.py::test_long",
        "test": "long",
        "node": "",
        "concern": "long",
        "why": ["x" * 300, "a", "b", "c", "d"],
        "look": "test_long.py::test_long",
    } in data["failures"]
    assert (data["green"], data["failed"]) == (False, 6)
    assert [skip["why"] for skip in data["skips"]] == [
        "there is no DNS here",
        "expected to fail: not there yet",
    ]


def test_a_green_run_is_recorded_and_gives_the_next_one_its_estimate(suite: Suite) -> None:
    suite.write("checks/test_one.py", "def test_one(): pass\n")
    outcome = suite.run()
    assert outcome.failures == []
    record = verify_record.read(suite.lab.ctx.workspace)
    assert record is not None
    assert (record.green, record.quick, record.passed, record.failures) == (True, False, 1, ())
    assert record.time.utcoffset() is not None
    suite.run()
    assert [event["estimate"] for event in suite.report.of("step_started")] == [None, record.seconds]
    assert len(suite.report.of("step_done")) == 2


def test_a_red_run_is_recorded_and_a_part_of_the_checks_is_not(suite: Suite) -> None:
    suite.write("checks/test_swap.py", SWAP)
    suite.run(quick=True)
    record = verify_record.read(suite.lab.ctx.workspace)
    assert record is not None
    assert (record.green, record.quick, record.passed, record.failed) == (False, True, 1, 1)
    assert record.failures == ("swap is off and stays off (lab-w1)",)
    suite.write("checks/test_one.py", "def test_one(): pass\n")
    assert suite.run(only=("one",)).failures == []
    assert verify_record.read(suite.lab.ctx.workspace) == record


def test_what_is_red_just_after_another_command_is_asked_once_more(suite: Suite) -> None:
    file = suite.write("checks/test_etcd.py", LATE.format(times=1))
    assert prove(suite.lab.ctx, suite.root / "lab.yaml", suite.checks) > 0
    assert "running the checks once more" in [
        event["text"].partition(":")[0] for event in suite.report.of("info")
    ]
    record = verify_record.read(suite.lab.ctx.workspace)
    assert record is not None
    assert record.green
    file.write_text(LATE.format(times=9))
    with pytest.raises(VerifyFailed, match="1 of 1 checks failed: etcd answers"):
        prove(suite.lab.ctx, suite.root / "lab.yaml", suite.checks)
    assert len(file.with_suffix(".asked").read_text()) == 4


def test_what_is_green_is_not_asked_again(suite: Suite) -> None:
    file = suite.write("checks/test_etcd.py", LATE.format(times=0))
    prove(suite.lab.ctx, suite.root / "lab.yaml", suite.checks)
    assert len(file.with_suffix(".asked").read_text()) == 1


def test_the_record_is_private_and_one_that_is_broken_says_nothing(suite: Suite) -> None:
    workspace = suite.lab.ctx.workspace
    assert verify_record.read(workspace) is None
    suite.write("checks/test_one.py", "def test_one(): pass\n")
    written = suite.run().record()
    file = workspace.state / "verify.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    verify_record.write(workspace, written)
    assert verify_record.read(workspace) == written
    for text in ("{", '{"green": true}', "\udc80"):
        file.write_bytes(text.encode(errors="surrogateescape"))
        assert verify_record.read(workspace) is None
