"""What the pictures in docs/ are drawn from is what a terminal showed."""

from __future__ import annotations

import io

from rich.console import Console

from provision.report.terminal import RichReporter
from scripts.record_terminal import Screen, draw, run


def test_a_live_line_leaves_nothing_and_the_lines_above_it_stay() -> None:
    stream = io.StringIO()
    reporter = RichReporter(stream, console=Console(file=stream, force_terminal=True, width=60))
    reporter.step_started("a", "Machines", 30.0)
    reporter.step_started("b", "Workers", 30.0)
    reporter.progress("boots", "a")
    reporter.step_done("a", 3.0)
    reporter.step_done("b", 65.0)
    reporter.close()
    screen = Screen()
    screen.write(stream.getvalue().replace("\n", "\r\n"))
    assert len(screen.lines()) == 2
    assert "Machines" in screen.lines()[0]
    assert "Workers" in screen.lines()[1]


def test_a_command_is_run_in_a_terminal_and_its_exit_code_kept() -> None:
    lines, code = run("test -t 1 && echo seen; exit 3")
    assert (lines, code) == (["seen"], 3)


def test_a_picture_holds_the_words_and_says_how_many_lines_it_leaves_out() -> None:
    session: list[dict[str, object]] = [{"command": "kubelab up", "exit_code": 0, "lines": list("abcd")}]
    picture = draw(session, {1: [(2, 3)]}).replace("&#160;", " ")
    assert "kubelab up" in picture
    assert "⋮ 2 lines" in picture
    assert ">b<" not in picture
    assert ">d<" in picture
    assert "://" not in picture.replace("http://www.w3.org/2000/svg", "")
