from __future__ import annotations

import datetime as dt
import io
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from provision.errors import Cancelled, CommandFailed, LabError, NodesError, Result, StepFailed, ToolFailed
from provision.report.base import EventReporter, RecordingReporter, Reporter
from provision.report.choose import make_reporter
from provision.report.error_view import ErrorView
from provision.report.json_events import JsonReporter
from provision.report.plain import PlainReporter
from provision.report.run_log import RunLog
from provision.report.tee import TeeReporter
from provision.report.terminal import RichReporter
from provision.report.text import age, duration, estimate, printable, table_lines

CHECKOUT = Path(__file__).parents[3]
TOKEN = "abcdef.0123456789abcdef"
FAILED = StepFailed(
    "join", CommandFailed("lab-w1", "kubeadm join", Result("", "one\ntwo", 1), hint="kubelab doctor")
)


class Now:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def plain() -> tuple[PlainReporter, io.StringIO, Now]:
    stream, now = io.StringIO(), Now()
    return PlainReporter(stream, now=now), stream, now


def rich(width: int = 100) -> tuple[RichReporter, io.StringIO, Now]:
    stream, now = io.StringIO(), Now()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None, highlight=False)
    return RichReporter(stream, console=console, now=now), stream, now


def tell_everything(reporter: Reporter) -> None:
    """Call every method of a reporter once or more."""
    reporter.pace("emulated")
    reporter.step_started("boot", "Boot the VMs", 180.0)
    reporter.progress("waiting for SSH", step="boot")
    reporter.phase("boot lab-cp1", 42.0)
    reporter.info("said in between")
    reporter.step_done("boot", 61.0, True)
    reporter.step_started("init", "Start the control plane")
    reporter.step_skipped("init", "already done")
    reporter.step_started("join", "Join the workers")
    reporter.step_failed("join", 3.0, FAILED)
    reporter.warn("only 2 GiB free")
    reporter.table("Nodes", ["NAME", "ROLE"], [["lab-cp1", "control-plane"], ["lab-w1", "[worker]"]])
    reporter.result({"nodes": 2})
    reporter.error(FAILED, step="join", log=Path("run.log"), resume="kubelab up --from join")
    reporter.next_commands(["kubelab ssh lab-cp1"])
    reporter.close()


# --- plain lines


def test_plain_lines_carry_the_elapsed_time() -> None:
    reporter, stream, now = plain()
    reporter.step_started("boot", "Boot the VMs", 180)
    now.time = 12.34
    reporter.phase("boot lab-cp1", 12.0)
    reporter.step_done("boot", 12.34)
    assert stream.getvalue().splitlines() == [
        "[   0.0s] Boot the VMs ... (~3 min)",
        "[  12.3s]   boot lab-cp1: 12.0 s",
        "[  12.3s] Boot the VMs: done in 12.3 s",
    ]


def test_plain_progress_comes_at_most_every_ten_seconds_for_each_step() -> None:
    reporter, stream, now = plain()
    for second in range(25):
        now.time = float(second)
        reporter.progress(f"at {second}", step="a")
    reporter.progress("other", step="b")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["0", "10", "20", "other"]


def test_plain_says_of_a_silent_step_each_minute_how_long_it_has_been_at_work() -> None:
    reporter, stream, now = plain()
    for id, title in (("init", "Control plane"), ("join", "Workers"), ("box", "Box")):
        reporter.step_started(id, title)
    reporter.step_done("box", 0.0)
    now.time += 50
    reporter.progress("waiting for the kubelet", "join")
    now.time += 15
    reporter.remind()
    reporter.remind()
    now.time += 60
    reporter.remind()
    said = [line.partition("]   ")[2] for line in stream.getvalue().splitlines() if "still" in line]
    assert said == [
        "Control plane: still at work after 1 min 05 s",
        "Control plane: still at work after 2 min 05 s",
        "Workers: still at work after 2 min 05 s",
    ]


def test_plain_output_has_no_control_characters() -> None:
    reporter, stream, _ = plain()
    reporter.info("\x1b[31mred\x1b[0m\x07 \x1b]0;title\x07a\rb\tc\x9b")
    tell_everything(reporter)
    text = stream.getvalue()
    assert all(char == "\n" or char.isprintable() for char in text)
    assert "red ab    c\n" in text


def test_plain_errors_say_what_where_why_and_what_next() -> None:
    reporter, stream, _ = plain()
    reporter.error(FAILED, log=Path("run.log"), resume="kubelab up")
    assert stream.getvalue().splitlines() == [
        "[   0.0s] error: lab-w1: `kubeadm join` ended with exit code 1",
        "    step: join",
        "    node: lab-w1",
        "    command: kubeadm join",
        "    | one",
        "    | two",
        "    try: kubelab doctor",
        "    log: run.log",
        "    resume: kubelab up",
    ]


def test_plain_errors_go_where_errors_go_and_tables_are_bare() -> None:
    out, err = io.StringIO(), io.StringIO()
    tell_everything(PlainReporter(out, errors=err))
    assert "NAME     ROLE\nlab-cp1  control-plane\nlab-w1   [worker]\n" in out.getvalue()
    assert "error" not in out.getvalue()
    assert "only 2 GiB free" in err.getvalue()
    assert "error: lab-w1" in err.getvalue()


def test_plain_output_survives_a_stream_that_knows_only_ascii() -> None:
    raw = io.BytesIO()
    reporter = PlainReporter(io.TextIOWrapper(raw, encoding="ascii"))
    reporter.info("caf\u00e9 \u2714")
    assert b"caf? ?" in raw.getvalue()


def test_work_given_up_is_not_called_a_failure() -> None:
    reporter, stream, _ = plain()
    reporter.step_failed("join", 3, Cancelled("given up"))
    reporter.step_failed("init", 3, LabError("broken"))
    assert "join: cancelled after 3.0 s" in stream.getvalue()
    assert "init: FAILED after 3.0 s" in stream.getvalue()


# --- JSON lines


def json_events(reporter_calls: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    reporter_calls(JsonReporter(stream, now=lambda: datetime(2026, 11, 21, 9, 30, tzinfo=UTC)))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_event_and_time() -> None:
    events = json_events(tell_everything)
    assert all(event["time"] == "2026-11-21T09:30:00.000Z" for event in events)
    names = [event["event"] for event in events]
    assert names[:5] == ["pace", "step_started", "progress", "phase", "info"]
    by_name = {event["event"]: event for event in events}
    assert by_name["phase"]["name"] == "boot lab-cp1"
    assert by_name["phase"]["seconds"] == 42.0
    assert by_name["step_done"] | {"time": ""} == {
        "event": "step_done",
        "time": "",
        "id": "boot",
        "seconds": 61.0,
        "changed": True,
    }
    assert by_name["result"]["data"] == {"nodes": 2}


def test_json_errors_have_every_part() -> None:
    (event,) = json_events(lambda reporter: reporter.error(FAILED, log=Path("run.log"), resume="kubelab up"))
    del event["time"]
    assert event == {
        "event": "error",
        "kind": "CommandFailed",
        "message": "lab-w1: `kubeadm join` ended with exit code 1",
        "step": "join",
        "nodes": ["lab-w1"],
        "command": "kubeadm join",
        "details": ["one", "two"],
        "hint": "kubelab doctor",
        "exit_code": 1,
        "log": "run.log",
        "resume": "kubelab up",
    }


def test_json_takes_values_it_does_not_know() -> None:
    (event,) = json_events(
        lambda reporter: reporter.result({"path": Path("a/b"), "when": datetime(2026, 1, 1, tzinfo=UTC)})
    )
    assert event["data"] == {"path": "a/b", "when": "2026-01-01T00:00:00.000Z"}


def test_json_leaves_out_progress_that_only_repeats_itself() -> None:
    def calls(reporter: Reporter) -> None:
        for text in ("a", "a", "b", "a"):
            reporter.progress(text, step="init")

    assert [event["text"] for event in json_events(calls)] == ["a", "b", "a"]


def test_json_lines_of_many_threads_stay_whole() -> None:
    def calls(reporter: Reporter) -> None:
        def work() -> None:
            for _ in range(50):
                reporter.info("x" * 500)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(json_events(calls)) == 400


# --- the terminal


def test_rich_shows_each_end_of_a_step_and_the_table() -> None:
    reporter, stream, _ = rich()
    tell_everything(reporter)
    text = printable(stream.getvalue())
    for expected in (
        "✔ Boot the VMs  1 min 01 s",
        "= Start the control plane  already done",
        "✘ Join the workers  3.0 s",
        "boot lab-cp1  42.0 s",
        "[worker]",
        "| two",
        "try: kubelab doctor",
        "resume: kubelab up --from join",
        "kubelab ssh lab-cp1",
    ):
        assert expected in text


def test_rich_has_a_live_line_for_each_running_step() -> None:
    reporter, stream, now = rich()
    try:
        reporter.pace("emulated")
        reporter.step_started("boot", "Boot the VMs", 180)
        reporter.progress("waiting for SSH", step="boot")
        now.time = 65
        reporter.step_started("box", "Build the box")
        text = printable(stream.getvalue())
        live = [line for line in text.splitlines() if "Boot the VMs" in line][-1]
        assert "1 min 05 s (~3 min, emulated)" in live
        assert "waiting for SSH" in live
        assert "Build the box" in text
    finally:
        reporter.close()


def test_rich_cuts_a_long_live_line_instead_of_wrapping_it() -> None:
    reporter, stream, _ = rich(width=40)
    try:
        reporter.step_started("boot", "Boot the VMs")
        reporter.progress("x" * 200, step="boot")
        reporter.info("above")
        assert all(len(line) <= 40 for line in printable(stream.getvalue()).splitlines())
    finally:
        reporter.close()


def test_rich_gives_the_cursor_back_while_a_step_runs_and_an_error_passes() -> None:
    reporter, stream, _ = rich()
    with pytest.raises(KeyboardInterrupt), TeeReporter(reporter):
        reporter.step_started("boot", "Boot the VMs")
        raise KeyboardInterrupt
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert hide in stream.getvalue()
    assert stream.getvalue().rindex(show) > stream.getvalue().rindex(hide)
    before = stream.getvalue()
    reporter.info("after")
    assert hide not in stream.getvalue()[len(before) :]


def test_rich_does_not_read_markup_or_let_control_sequences_through() -> None:
    reporter, stream, _ = rich()
    reporter.info("[bold]x[/bold] [/nonsense] \x1b]0;title\x07 end")
    assert stream.getvalue() == "[bold]x[/bold] [/nonsense]  end\n"


def test_rich_keeps_a_long_command_in_one_line() -> None:
    reporter, stream, _ = rich(width=30)
    command = "kubelab " + "x" * 80
    reporter.next_commands([command])
    assert f"  {command}\n" in stream.getvalue()


def test_rich_from_many_threads_does_not_lock_up() -> None:
    reporter, stream, _ = rich()

    def work(number: int) -> None:
        for turn in range(20):
            step = f"{number}-{turn}"
            reporter.step_started(step, step)
            reporter.progress("x", step=step)
            reporter.step_done(step, 0.1)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    reporter.close()
    assert stream.getvalue().count("✔") == 160


# --- the tee


def test_the_tee_adds_up_durations() -> None:
    tee = TeeReporter(RecordingReporter())
    tee.phase("wait", 1.5)
    tee.phase("wait", 2.0)
    tee.step_done("init", 90.0)
    tee.step_failed("join", 3.0, LabError("x"))
    assert tee.durations == {"wait": 3.5, "init": 90.0, "join": 3.0}


def test_the_tee_hides_secrets_from_the_screen_in_every_kind_of_event() -> None:
    screen = RecordingReporter()
    tee = TeeReporter(screen)
    tee.redactor.add("hunter2hunter2")
    cause = ToolFailed(
        ["kubeadm", "join", "--token", TOKEN], 1, f"password hunter2hunter2 {TOKEN}", hint=TOKEN
    )
    tee.info(TOKEN)
    tee.progress(TOKEN)
    tee.table("t", ["c"], [[TOKEN]])
    tee.result({"a": [{"b": TOKEN}], "n": 1})
    tee.next_commands([f"join {TOKEN}"])
    tee.step_failed("join", 1, cause)
    tee.error(StepFailed("join", cause), resume="kubelab up")
    views = [ErrorView.of(fields["error"]) for _, fields in screen.events if "error" in fields]
    shown = f"{screen.events} {views}"
    assert TOKEN not in shown
    assert "hunter2" not in shown
    assert screen.of("result") == [{"data": {"a": [{"b": "[redacted]"}], "n": 1}}]
    view = ErrorView.of(screen.of("error")[0]["error"])
    assert (view.kind, view.step, view.exit_code) == ("ToolFailed", "join", 1)
    assert view.command == "kubeadm join --token [redacted]"


def test_every_reporter_takes_what_the_tee_passes_on() -> None:
    for screen in (plain()[0], rich()[0], JsonReporter(io.StringIO()), RecordingReporter()):
        tell_everything(TeeReporter(screen))


class Broken(EventReporter):
    """A screen that cannot be written."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def event(self, name: str, fields: dict[str, Any]) -> None:
        self.asked.append(name)
        raise OSError(28, f"no room for event {len(self.asked)}")

    def close(self) -> None:
        raise OSError(5, "the terminal is gone")


def test_no_event_raises_where_the_screen_cannot_be_written(tmp_path: Path) -> None:
    screen, log = Broken(), RunLog(tmp_path / "run.log")
    with TeeReporter(screen, log) as tee:
        assert tee.failure is None
        tell_everything(tee)
    assert "no room for event 1" in str(tee.failure)
    # Each is tried: a warning may go to another stream than a table.
    assert {"info", "error", "result"} <= set(screen.asked)
    assert "next_commands" in (tmp_path / "run.log").read_text()


# --- errors, words and the choice


def test_an_error_of_many_nodes_names_them() -> None:
    view = ErrorView.of(NodesError({"lab-w1": LabError("a"), "lab-w2": LabError("b")}))
    assert view.lines(None, None, None) == ["nodes: lab-w1, lab-w2"]


def test_an_error_nobody_expected_is_named_by_its_kind() -> None:
    assert ErrorView.of(ValueError("bad")).message == "ValueError: bad"
    assert ErrorView.of(KeyboardInterrupt()).message == "KeyboardInterrupt"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (125, "2 min 05 s")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (0.2, "(~1 s)"), (45, "(~45 s)"), (180, "(~3 min)")]
)
def test_estimates(seconds: float | None, words: str) -> None:
    assert estimate(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86399, "23 h"), (200000, "2 d")],
)
def test_ages(seconds: int, text: str) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert age(now - dt.timedelta(seconds=seconds), now) == text


def test_a_table_without_rows_is_its_head() -> None:
    assert table_lines(["NAME", "ROLE"], []) == ["NAME  ROLE"]


@pytest.mark.parametrize(
    ("asked", "stream", "term", "kind"),
    [
        (True, Terminal(), "xterm", JsonReporter),
        (False, Terminal(), "xterm", RichReporter),
        (False, Terminal(), "dumb", PlainReporter),
        (False, io.StringIO(), "xterm", PlainReporter),
    ],
)
def test_the_choice_of_a_reporter(
    asked: bool, stream: io.StringIO, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    assert isinstance(make_reporter(json=asked, stream=stream).screen, kind)


def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    make_reporter(stream=stream).warn("careful")
    assert "\x1b[33m" not in stream.getvalue()
    assert "careful" in stream.getvalue()


def test_rich_is_imported_only_by_those_who_draw() -> None:
    script = (
        "import io, sys\nfrom provision.engine import steps\n"
        "from provision.report import choose, json_events, plain, run_log\n"
        "choose.make_reporter(stream=io.StringIO()).info('x')\n"
        "sys.exit('rich' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=CHECKOUT).returncode == 0


def test_a_name_that_is_no_utf8_can_be_shown() -> None:
    assert printable("caf\udce9 is there") == "caf? is there"
