"""The only place that knows python-vagrant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import vagrant


class VagrantClient(vagrant.Vagrant):
    """python-vagrant with what it lacks: any command's output, and an end with its parent."""

    def __init__(self, root: str, env: Mapping[str, str], err_cm: Callable[[], object]) -> None:
        super().__init__(root=root, env=env, err_cm=err_cm)

    def lines(self, *arguments: str) -> Iterator[str]:
        """Run `vagrant ARGUMENTS`; yield its standard output line by line."""
        yield from self._stream_vagrant_command([*arguments])

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        # A killed kubelab must not leave a Vagrant behind that works against the next one.
        command: list[str] = super()._make_vagrant_command(args)
        return ["setpriv", "--pdeathsig", "KILL", *command]
