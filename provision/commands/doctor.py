"""`kubelab doctor`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, reporting

if TYPE_CHECKING:
    from provision.config.schema import ClusterConfig
    from provision.doctor import Finding, LabNeeds


@click.command("doctor", short_help="Check this host, and mend it.")
@click.option("--fix", "mend", is_flag=True, help="Run the commands that mend what is wrong.")
@click.option(
    "--vagrant-from-hashicorp",
    "from_hashicorp",
    is_flag=True,
    help="With --fix: where the system has no Vagrant, add HashiCorp's packages.",
)
@common_options
def command(options: Options, mend: bool, from_hashicorp: bool) -> None:
    """Check whether this host can run a lab, and say for each fault the command that mends it.

    With --fix these commands are run (on Debian, Ubuntu and what takes their packages, as root or through
    sudo); it asks nothing and may be run again and again. Beside the host itself it checks what the lab.yaml
    at hand needs, or the one that `kubelab init` writes.
    """
    from provision.config.schema import parse_config, sample
    from provision.doctor import Host, HostTools, checks_for, diagnose, fix, group_checks
    from provision.errors import ResourceError
    from provision.host import groups
    from provision.host.facts import gather
    from provision.lab.artifacts import tools_of
    from provision.lab.opening import read_lab

    with reporting(options) as report:
        host = Host(gather(), HostTools(report.info))
        config, workspace = parse_config(sample()), None
        if options.file.exists():
            config, workspace = read_lab(options.file)
        checks = checks_for(
            _needs(config, tools_of(config, workspace, report)), from_hashicorp=from_hashicorp
        )
        if mend and not host.facts.is_root:
            # The checks behind these speak to libvirt, and the user may have come into a group just now.
            fix(host, report, group_checks(checks))
            if groups.must_run_again():
                report.close()
                sys.exit(groups.run_again())
            host = replace(host, facts=gather())
        findings = fix(host, report, checks) if mend else diagnose(host, checks)
        rows = [[finding.level, finding.title, finding.message] for finding in findings]
        report.table("This host", ["", "check", "finding"], rows)
        wrong = [finding for finding in findings if not finding.ok]
        for finding in wrong:
            for fix_command in finding.fixes:
                report.info(f"mend {finding.title}: {fix_command.line(is_root=host.facts.is_root)}")
            for line in finding.by_hand:
                report.info(f"{finding.title}, by hand: {line}")
        report.result({"ok": not wrong, "findings": [_data(finding) for finding in findings]})
        failed = [finding for finding in findings if finding.level == "fail"]
        if failed:
            mended = any(finding.fixes for finding in failed)
            raise ResourceError(
                "this host cannot run a lab yet", hint="kubelab doctor --fix" if mended else ""
            )
        report.next_commands(["kubelab up"])


def _needs(config: ClusterConfig, tools: list[str]) -> LabNeeds:
    from provision.config.inventory import bridge_name
    from provision.doctor import LabNeeds

    network = config.network
    ranges = list(network.ranges().values())
    return LabNeeds(ranges, [bridge_name(config.name)], network.mtu, tools)


def _data(finding: Finding) -> dict[str, object]:
    data: dict[str, object] = {
        name: str(getattr(finding, name)) for name in ("id", "title", "level", "message")
    }
    return data | {"by_hand": list(finding.by_hand)}
