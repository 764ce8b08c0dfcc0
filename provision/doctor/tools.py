"""The doctor's seam to the host: programs that are run, and files that are read."""

from __future__ import annotations

import errno
import getpass
import os
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from provision.errors import LabError, ToolFailed
from provision.host.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provision.host.facts import HostFacts

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Tools(Protocol):
    """Programs on the host."""

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        root: bool = False,
        stdin: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        """Run a program and return its stdout; raises ToolFailed, MissingTool, LabError."""

    def which(self, name: str) -> str | None:
        """Return the full path of a program, or None."""

    def answers(self, path: Path) -> bool:
        """Return whether a daemon accepts connections on the Unix socket `path`."""


class HostTools:
    """The host's real programs; what needs root goes through `sudo -n`, which never asks."""

    def __init__(self, *, is_root: bool | None = None) -> None:
        self.is_root = os.geteuid() == 0 if is_root is None else is_root
        # The daemons live in folders which are not on an ordinary user's PATH.
        self.path = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS))

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        root: bool = False,
        stdin: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        words = ["sudo", "-n", *argv] if root and not self.is_root else list(argv)
        # Messages are parsed, so they have to be in the untranslated language.
        env = {"PATH": self.path, "LC_ALL": "C.UTF-8"}
        try:
            return run_tool(words, deadline=deadline, stdin=stdin, env=env, on_line=on_line)
        except ToolFailed as error:
            if words[0] == "sudo" and "sudo:" in error.output:
                raise LabError(
                    "root is needed, and sudo would ask for a password",
                    hint="run `sudo -v` and this command again, or paste the lines of `kubelab doctor`",
                ) from error
            raise

    def which(self, name: str) -> str | None:
        return shutil.which(name, path=self.path)

    def answers(self, path: Path) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(2.0)
            try:
                client.connect(str(path))
            except OSError as error:
                # A socket that only root may open: somebody made it, more cannot be seen from here.
                return error.errno in (errno.EACCES, errno.EPERM) and path.exists()
            return True


@dataclass(frozen=True)
class Host:
    """Everything a check may look at. `root` stands before every absolute path."""

    facts: HostFacts
    tools: Tools = field(default_factory=HostTools)
    root: Path = Path("/")
    user: str = field(default_factory=getpass.getuser)
    home: Path = field(default_factory=Path.home)

    def path(self, name: str) -> Path:
        """Return where the absolute path `name` is."""
        return self.root / name.lstrip("/")

    @property
    def emulated(self) -> bool:
        """Return whether VMs run without hardware virtualisation."""
        return not self.facts.kvm_usable
