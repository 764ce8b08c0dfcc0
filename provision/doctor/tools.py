"""The doctor's seam to the host: programs that are run, and files that are read."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from provision.host.files import home_dir
from provision.host.process import run_tool
from provision.host.root import run_as_root

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


def _unsaid(text: str) -> None:
    pass


class HostTools:
    """The host's real programs; what needs root goes through `sudo -n`, which never asks.

    `say` is told before what is run through sudo.
    """

    def __init__(self, say: Callable[[str], None] = _unsaid, *, is_root: bool | None = None) -> None:
        self.say = say
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
        # Messages are parsed, so they have to be in the untranslated language.
        env = {"PATH": self.path, "LC_ALL": "C.UTF-8"}
        if not root:
            return run_tool(argv, deadline=deadline, stdin=stdin, env=env, on_line=on_line)
        return run_as_root(
            argv,
            say=_unsaid if self.is_root else self.say,
            deadline=deadline,
            stdin=stdin,
            env=env,
            on_line=on_line,
            is_root=self.is_root,
        )

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


def _user() -> str:
    """Return the name of the user who runs this, whatever the environment says; the number if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@dataclass(frozen=True)
class Host:
    """Everything a check may look at. `root` stands before every absolute path."""

    facts: HostFacts
    tools: Tools = field(default_factory=HostTools)
    root: Path = Path("/")
    user: str = field(default_factory=_user)
    home: Path = field(default_factory=home_dir)

    def path(self, name: str) -> Path:
        """Return where the absolute path `name` is."""
        return self.root / name.lstrip("/")

    @property
    def emulated(self) -> bool:
        """Return whether VMs run without hardware virtualisation."""
        return not self.facts.kvm_usable
