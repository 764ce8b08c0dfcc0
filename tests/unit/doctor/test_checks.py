from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from provision.doctor import Check, Host, LabNeeds, checks_for, diagnose, essentials
from provision.doctor.findings import Answer, good
from provision.doctor.packages import probe_qemu
from provision.errors import ConfigError, MissingTool
from tests.fakes.doctor import FACTS, FakeTools, host
from tests.fakes.host import homeless


@pytest.mark.parametrize("facts", [{"arch": "arm64", "os_id": "darwin"}, {"os_id": "darwin"}])
def test_nothing_is_asked_behind_a_gate_that_failed(facts: dict[str, str]) -> None:
    tools = FakeTools()
    findings = diagnose(host(tools, **facts), checks_for())
    assert [finding.level for finding in findings[:-1]] == ["ok"] * (len(findings) - 1)
    assert findings[-1].level == "fail"
    assert tools.calls == []


def test_a_check_that_cannot_be_made_is_a_finding() -> None:
    tools = FakeTools({"dpkg-query": MissingTool("the program `dpkg-query` is not installed")})
    (finding,) = diagnose(host(tools), [Check("q", "Q", probe_qemu)])
    assert finding.level == "fail"
    assert "dpkg-query" in finding.message


def test_essentials_leave_out_what_up_can_do_without() -> None:
    asked: list[str] = []

    def probe(_: Host) -> Answer:
        asked.append("one")
        return good("")

    checks = [Check("a", "A", probe), Check("b", "B", probe, essential=False)]
    assert [finding.id for finding in essentials(host(FakeTools()), checks)] == ["a"]
    assert asked == ["one"]


def test_what_only_some_labs_need_is_asked_only_for_them() -> None:
    ranges = [IPv4Network("10.0.0.0/24")]
    assert not {"networks", "mtu", "skopeo", "go", "helm"} & {check.id for check in checks_for()}
    ids = [check.id for check in checks_for(LabNeeds(ranges, [], 1500, ["go"]))]
    assert {"networks", "mtu", "go"} < set(ids)
    assert not {"skopeo", "helm"} & set(ids)
    # Behind the groups a command runs again, and what comes before is asked twice.
    assert ids.index("go") < ids.index("group") < ids.index("daemons")


def test_a_user_without_a_name_goes_by_number_and_needs_a_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homeless(monkeypatch)
    with pytest.raises(ConfigError, match="HOME: is not set"):
        Host(FACTS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (Host(FACTS).user, Host(FACTS).home) == (str(os.getuid()), tmp_path)
