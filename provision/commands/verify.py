"""`kubelab verify`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting


def _names(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in all values, each of which may be a comma-separated list."""
    names = tuple(name.strip() for value in values for name in value.split(",") if name.strip())
    if values and not names:
        raise click.BadParameter("give the name of a concern or mark")
    return names


@click.command("verify", short_help="Test whether the cluster works.")
@click.option("--quick", is_flag=True, help="Run only the checks that take little time.")
@click.option("--only", multiple=True, metavar="NAME", callback=_names, help="Run only this concern or mark.")
@click.option(
    "--skip", multiple=True, metavar="NAME", callback=_names, help="Leave out this concern or mark."
)
@click.option(
    "--tests",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also run your own tests in this folder.",
)
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results as JUnit XML.",
)
@common_options
def command(
    options: Options,
    quick: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    tests: tuple[Path, ...],
    junit: Path | None,
) -> None:
    """Run the checks that come with kubelab, and your own tests.

    A NAME is a concern (dns, storage, ...: the name of a file of checks) or a mark (quick, changes).
    Separate several by commas, or repeat the option. The checks remove what they create, also after Ctrl-C.
    The exit code is 3 when a check fails; `kubelab status` shows the result of the last full run.
    """
    from provision.lab.opening import open_lab, read_lab
    from provision.snapshots.journal import report_unfinished
    from provision.verify.examine import examine
    from provision.verify.run import Request
    from provision.verify.selection import Selection

    with reporting(options) as early:
        config, workspace = read_lab(options.file)
        if junit is not None:
            junit.parent.mkdir(parents=True, exist_ok=True)
        early.close()
        with reporting(options, workspace) as report:
            lab = open_lab(config, workspace, report, options.cancel)
            recover_interrupted(lab)
            report_unfinished(workspace, report)
            outcome = examine(lab, Request(options.file, Selection(quick, only, skip), tests, junit))
            report.result(outcome.data())
            if outcome.failures:
                raise outcome.error()
