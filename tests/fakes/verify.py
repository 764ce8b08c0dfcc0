"""A lab with a cluster of fakes, and a folder of checks that a real pytest runs."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.report.base import RecordingReporter
from provision.verify.examine import examine
from provision.verify.outcome import Outcome
from provision.verify.run import Request
from provision.verify.selection import Selection
from tests.fakes.lab import Lab, make_lab

SWAP = """
import os
import pytest

@pytest.mark.quick
@pytest.mark.look("kubelab ssh {node} -- swapon")
@pytest.mark.parametrize("node", ["lab-cp1", "lab-w1"])
def test_swap_is_off_and_stays_off(node):
    os.system("echo noise; echo kubelab-event noise")
    assert node != "lab-w1", f"swap is on: /dev/vda2 of {node}"
"""
DNS = """
import pytest

def test_services_have_names():
    pytest.skip("there is no DNS here")

@pytest.mark.changes
@pytest.mark.look("kubelab ssh {node} -- dig")
@pytest.mark.parametrize("size", [1, 2])
def test_answers_come(size):
    assert size == 1
"""


@dataclass
class Suite:
    """The lab, and the folder in which `checks` and the user's own tests are."""

    lab: Lab
    root: Path

    @property
    def checks(self) -> Path:
        return self.root / "checks"

    @property
    def report(self) -> RecordingReporter:
        return self.lab.report

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def run(self, **options: Any) -> Outcome:
        names = {name: options.pop(name) for name in ("quick", "only", "skip") if name in options}
        request = Request(self.root / "lab.yaml", Selection(**names), checks=self.checks, **options)
        return examine(self.lab.ctx, request)

    def ran(self, **options: Any) -> list[str]:
        """Return the tests of a run, without their files."""
        return [check.id.partition("::")[2] for check in self.run(**options).checks]


def make_suite(root: Path, **changes: Any) -> Suite:
    """Return a suite without checks; `changes` are fields of the lab's Context."""
    lab = make_lab(root, changes=changes, workers={"count": 1})
    made = Suite(lab, root)
    made.write("lab.yaml", "name: lab\nworkers: {count: 1}\n")
    made.checks.mkdir()
    lab.machines.up()
    lab.ctx.workspace.kubeconfig.touch()
    return made
