"""The pytest plugin of `kubelab verify`: selects the tests, and writes an event a line about each.

Loaded by `-p` in pytest's own process. The events go to the real standard output, which no test can write to:
"collected", "started" and "finished", or "unknown" and "empty" when the selection is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from provision.verify.described import label, look_of, node_of, sentence, why_failed, why_skipped
from provision.verify.interrupts import Interrupts
from provision.verify.protocol import line_of
from provision.verify.selection import Selection, concern, known_names, names_of

# From best to worst: the worst outcome of set-up, call and tear-down is the test's.
_WORST = ("passed", "skipped", "failed")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kubelab verify")
    group.addoption("--kubelab-quick", action="store_true", help="run only the tests marked quick")
    for option, what in (("only", "run"), ("skip", "leave out")):
        group.addoption(
            f"--kubelab-{option}", action="append", default=[], help=f"{what} this concern or mark"
        )
    group.addoption(
        "--kubelab-own", action="append", default=[], help="a folder that must have tests", type=Path
    )


def pytest_configure(config: pytest.Config) -> None:
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    config.add_cleanup(stream.close)
    interrupts = Interrupts()
    interrupts.install()
    config.pluginmanager.register(Events(config, stream, interrupts))


class Events:
    """Writes an event when a test begins, and one when its tear-down is over."""

    def __init__(self, config: pytest.Config, stream: Any, interrupts: Interrupts) -> None:
        self.root = config.rootpath
        self.own: list[Path] = config.getoption("--kubelab-own")
        self.selection = Selection(
            config.getoption("--kubelab-quick"),
            config.getoption("--kubelab-only"),
            config.getoption("--kubelab-skip"),
        )
        self.stream = stream
        self.interrupts = interrupts
        self.unread: list[Path] = []
        self.running: dict[str, Any] = {}

    def tell(self, event: str, **fields: Any) -> None:
        """Write one line."""
        self.stream.write(line_of(event, **fields))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if not report.passed:
            self.unread.append(collector.path)
            name = label(collector.path, self.root, self.own)
            report.nodeid = name
            why = why_skipped(report) if report.skipped else why_failed(report, None)
            about = {"id": name, "concern": concern(collector.path), "sentence": name, "node": "", "look": ""}
            self.tell("finished", **about, outcome=report.outcome, why=why, text=report.longreprtext)
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        for folder in self.own:
            if not any(
                path.is_relative_to(folder) for path in [*self.unread, *(item.path for item in items)]
            ):
                self.tell("empty", folder=str(folder))
                raise pytest.UsageError(f"{folder} has no tests")
        known = known_names(items, self.unread)
        unknown = self.selection.unknown(known)
        if unknown:
            self.tell("unknown", names=unknown, known=sorted(known))
            raise pytest.UsageError(f"unknown: {', '.join(unknown)}")
        left_out = [item for item in items if not self.selection.chooses(names_of(item))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
        self.tell("collected", total=len(items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        self.running = {
            "id": label(item.path, self.root, self.own) + "::" + item.nodeid.partition("::")[2],
            "concern": concern(item.path),
            "sentence": sentence(item),
            "node": node_of(item),
            "look": look_of(item),
            "outcome": "passed",
            "why": "",
            "text": "",
        }
        self.tell("started", **{name: self.running[name] for name in ("id", "sentence", "node")})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # The JUnit file takes its names from here; pytest's own would begin with "../..".
        report.nodeid = self.running["id"]
        worse = _WORST.index(report.outcome) > _WORST.index(self.running["outcome"])
        if worse:
            error = call.excinfo.value if call.excinfo is not None else None
            why = why_failed(report, error) if report.failed else why_skipped(report)
            self.running |= {"outcome": report.outcome, "why": why, "text": report.longreprtext}
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        with self.interrupts.held():
            return (yield)

    def pytest_runtest_logfinish(self) -> None:
        self.tell("finished", **self.running)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self.interrupts.end()
