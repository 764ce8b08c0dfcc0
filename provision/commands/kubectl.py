"""`kubelab kubectl`."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting


class _HandsOver(click.Command):
    """A command whose own options come first; all from the first other word on is another program's.

    click alone looks for its options inside of others, too: it takes the `f` in `-nkube-flannel` for `-f`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = self._count_own(ctx, args)
        rest = args[own + 1 :] if args[own : own + 1] == ["--"] else args[own:]
        return super().parse_args(ctx, [*args[:own], "--", *rest])

    def _count_own(self, ctx: click.Context, args: Sequence[str]) -> int:
        """Return how many words at the front are options of this command, with their values."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        flags = {name for option in options if option.is_flag for name in option.opts}
        valued = {name for option in options if not option.is_flag for name in option.opts}
        at = 0
        while at < len(args):
            if args[at] in valued:
                at += 2
            elif args[at] in flags or args[at].partition("=")[0] in valued:
                at += 1
            else:
                break
        return min(at, len(args))


@click.command("kubectl", cls=_HandsOver, short_help="Run kubectl against the cluster.")
@common_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(options: Options, arguments: tuple[str, ...]) -> None:
    """Run the bundle's own kubectl against the cluster: kubelab kubectl get nodes.

    All from the first word on that is no option of kubelab's own is kubectl's. Where that word is an option
    of the same name, put -- before it: kubelab kubectl -- -f pod.yaml apply.
    """
    from provision.errors import LabError
    from provision.lab.opening import open_lab, read_lab

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        lab = open_lab(config, workspace, report, options.cancel)
        if not workspace.kubeconfig.exists():
            raise LabError(f"the lab {config.name} has no cluster yet", hint="kubelab up")
        recover_interrupted(lab)
        kubectl = lab.kubectl
        environment = {**os.environ, **kubectl.environment}
        report.close()
        argv = [str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}", *arguments]
        os.execve(kubectl.program, argv, environment)
