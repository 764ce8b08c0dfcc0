"""The only place that knows python-vagrant."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

import vagrant


class VagrantClient(vagrant.Vagrant):
    """python-vagrant with what it lacks: any command's output, and an end with its parent."""

    def __init__(self, root: str, env: Mapping[str, str], err_cm: Callable[[], object]) -> None:
        super().__init__(root=root, env=env, err_cm=err_cm)

    def lines(self, *arguments: str) -> Iterator[str]:
        """Run `vagrant ARGUMENTS`; yield its standard output line by line, also where it is not UTF-8.

        Raises CalledProcessError.
        """
        command = self._make_vagrant_command(arguments)
        with (
            self.err_cm() as errors,
            subprocess.Popen(
                command,
                cwd=self.root,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            yield from process.stdout
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        # A killed kubelab must not leave a Vagrant behind that works against the next one.
        command: list[str] = super()._make_vagrant_command(args)
        return ["setpriv", "--pdeathsig", "KILL", *command]
