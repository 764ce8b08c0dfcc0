"""Commands of a user who came into libvirt's group after the session began."""

from __future__ import annotations

from collections.abc import Sequence
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
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Return the groups of each time that the command was run again; it ends with exit code 7 then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(groups, "lacking", lambda: ("libvirt", "kvm"))
    runs: list[Sequence[str]] = []

    def run_again(wanted: Sequence[str]) -> int:
        runs.append(wanted)
        return 7

    monkeypatch.setattr(groups, "run_again", run_again)
    return runs


def test_a_command_runs_again_with_the_groups_and_does_nothing_itself(
    runs: list[Sequence[str]], tmp_path: Path
) -> None:
    assert CliRunner().invoke(group, ["init"]).exit_code == 7
    assert runs == [("libvirt", "kvm")]
    assert not (tmp_path / "lab.yaml").exists()


def test_a_group_that_the_doctor_gave_is_used_for_the_checks_behind_it(
    runs: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
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

    found = iter([(), ("libvirt",)])
    monkeypatch.setattr(groups, "lacking", lambda: next(found))
    monkeypatch.setattr(provision.host.facts, "gather", lambda: facts)
    checks = tuple(check(id) for id in ("os", "group", "daemons"))
    monkeypatch.setattr(provision.doctor, "checks_for", lambda *unused, **options: checks)
    monkeypatch.setattr("provision.lab.artifacts.tools_of", lambda config: [])
    assert CliRunner().invoke(group, ["doctor", "--fix"]).exit_code == 7
    assert runs == [("libvirt",)]
    assert asked == ["os", "group"]
