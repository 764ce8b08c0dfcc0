"""What `ssh` and `cp` share: they hand over to a program of OpenSSH."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from provision.commands.common import Options, recover_interrupted, reporting

if TYPE_CHECKING:
    from provision.config.inventory import Inventory


class Words(NamedTuple):
    """The arguments of a program, and the nodes that it goes to."""

    arguments: Sequence[str]
    nodes: Collection[str]


def hand_over(options: Options, program: str, words: Callable[[Inventory], Words]) -> None:
    """Become `program` with the lab's own configuration; `words` returns what comes after that.

    What `words` raises is reported. So are machines that do not run, and a program that is not installed.
    """
    from provision.config.inventory import inventory_of
    from provision.errors import LabError, MissingTool
    from provision.host.files import PRIVATE, write_atomic
    from provision.lab.halted import refuse_halted
    from provision.lab.opening import open_lab, read_lab
    from provision.ssh.host_keys import ssh_config

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        inventory = inventory_of(config)
        wanted = words(inventory)
        if not workspace.ssh_config.exists():
            raise LabError(f"the lab {config.name} has no machines yet", hint="kubelab up")
        lab = open_lab(config, workspace, report, options.cancel)
        recover_interrupted(lab)
        refuse_halted(lab, wanted.nodes)
        # Such a file can name programs to run here: it is made anew, whoever wrote the one in this folder.
        write_atomic(workspace.ssh_config, ssh_config(workspace, inventory), mode=PRIVATE)
        report.close()
        try:
            os.execvp(program, [program, "-F", str(workspace.ssh_config), *wanted.arguments])
        except FileNotFoundError:
            raise MissingTool(
                f"the program `{program}` is not installed", hint="kubelab doctor --fix"
            ) from None
