"""`kubelab doctor`."""

from __future__ import annotations

import sys

import click

from provision.commands.common import Options, common_options, reporting


@click.command("doctor", short_help="Check this host, and mend it.")
@click.option("--fix", "mend", is_flag=True, help="Run the commands that mend what is wrong.")
@common_options
def command(options: Options, mend: bool) -> None:
    """Check whether this host can run a lab, and say for each fault the command that mends it.

    With --fix these commands are run (on Debian and Ubuntu, as root or through sudo); it asks nothing
    and may be run again and again. With a lab.yaml at hand its networks are checked too.
    """
    from provision.config.inventory import bridge_name
    from provision.doctor import Host, HostTools, checks_for, diagnose, fix, group_checks
    from provision.errors import ResourceError
    from provision.host import groups
    from provision.host.facts import gather
    from provision.lab.artifacts import needs_skopeo
    from provision.lab.opening import read_lab

    with reporting(options) as report:
        host = Host(gather(), HostTools(report.info))
        checks = checks_for()
        if options.file.exists():
            config, _ = read_lab(options.file)
            ranges, own = list(config.network.ranges().values()), [bridge_name(config.name)]
            checks = checks_for(ranges, own, registries=needs_skopeo(config))
        if mend and not host.facts.is_root:
            # The checks behind these speak to libvirt, and the user may have come into its group just now.
            fix(host, report, group_checks(checks))
            if missing := groups.lacking():
                report.close()
                sys.exit(groups.run_again(missing))
        findings = fix(host, report, checks) if mend else diagnose(host, checks)
        rows = [[finding.level, finding.title, finding.message] for finding in findings]
        report.table("This host", ["", "check", "finding"], rows)
        wrong = [finding for finding in findings if not finding.ok]
        for finding in wrong:
            for fix_command in finding.fixes:
                report.info(f"mend {finding.title}: {fix_command.line(is_root=host.facts.is_root)}")
        report.result({"ok": not wrong, "findings": [_data(finding) for finding in findings]})
        if any(finding.level == "fail" for finding in wrong):
            raise ResourceError("this host cannot run a lab yet", hint="kubelab doctor --fix")
        report.next_commands(["kubelab up"])


def _data(finding: object) -> dict[str, str]:
    return {name: str(getattr(finding, name)) for name in ("id", "title", "level", "message")}
