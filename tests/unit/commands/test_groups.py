"""Commands of a user who came into libvirt's group after the session began."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import provision.doctor
import provision.host.facts
from provision.cli import group
from provision.doctor import Check
from provision.doctor.findings import Answer, good
from provision.host import groups
from provision.host.facts import HostFacts


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a mark for each time that the command was run again; it ends with exit code 7 then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(groups, "must_run_again", lambda: True)
    runs: list[str] = []

    def run_again() -> int:
        runs.append("again")
        return 7

    monkeypatch.setattr(groups, "run_again", run_again)
    return runs


def test_a_command_runs_again_in_the_group_and_does_nothing_itself(runs: list[str], tmp_path: Path) -> None:
    assert CliRunner().invoke(group, ["init"]).exit_code == 7
    assert runs == ["again"]
    assert not (tmp_path / "lab.yaml").exists()


def test_a_group_that_the_doctor_gave_is_used_for_the_checks_behind_it(
    runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    facts = HostFacts(
        *(2, 16384, 100_000, (), frozenset(), False, False),
        *("debian", "bookworm", False, True, "x86_64"),
    )

    def check(id: str) -> Check:
        def probe(host: object) -> Answer:
            asked.append(id)
            return good("")

        return Check(id, id, probe)

    found = iter([False, True])
    monkeypatch.setattr(groups, "must_run_again", lambda: next(found))
    monkeypatch.setattr(provision.host.facts, "gather", lambda: facts)
    checks = tuple(check(id) for id in ("os", "group", "daemons"))
    monkeypatch.setattr(provision.doctor, "checks_for", lambda *unused, **options: checks)
    monkeypatch.setattr("provision.lab.artifacts.tools_of", lambda *unused: [])
    assert CliRunner().invoke(group, ["doctor", "--fix"]).exit_code == 7
    assert runs == ["again"]
    assert asked == ["os", "group"]
