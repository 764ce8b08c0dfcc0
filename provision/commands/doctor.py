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


@click.command("doctor", short_help="Check this host, and fix it.")
@click.option("--fix", "repair", is_flag=True, help="Run the commands that fix the problems.")
@click.option(
    "--vagrant-from-hashicorp",
    "from_hashicorp",
    is_flag=True,
    help="With --fix: where the system has no Vagrant, add HashiCorp's packages.",
)
@common_options
def command(options: Options, repair: bool, from_hashicorp: bool) -> None:
    """Check whether this host can run a lab, and show for each problem the command that fixes it.

    With --fix it runs these commands (on Debian, Ubuntu and derived systems, as root or through sudo),
    without questions; it may be repeated at any time. It checks the host for the lab.yaml of --file, or for
    the default one if there is none.
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
        if repair and not host.facts.is_root:
            # The other checks use libvirt, for which the user may need a group that was added just now.
            fix(host, report, group_checks(checks))
            if groups.must_run_again():
                report.close()
                sys.exit(groups.run_again())
            host = replace(host, facts=gather())
        findings = fix(host, report, checks) if repair else diagnose(host, checks)
        rows = [[finding.level, finding.title, finding.message] for finding in findings]
        report.table("This host", ["", "check", "finding"], rows)
        wrong = [finding for finding in findings if not finding.ok]
        for finding in wrong:
            for fix_command in finding.fixes:
                report.info(f"to fix {finding.title}: {fix_command.line(is_root=host.facts.is_root)}")
            for line in finding.by_hand:
                report.info(f"{finding.title}, by hand: {line}")
        report.result({"ok": not wrong, "findings": [_data(finding) for finding in findings]})
        failed = [finding for finding in findings if finding.level == "fail"]
        if failed:
            fixable = any(finding.fixes for finding in failed)
            raise ResourceError(
                "this host cannot run a lab yet", hint="kubelab doctor --fix" if fixable else ""
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
