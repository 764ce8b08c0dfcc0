"""A node made of shell stubs: the scripts of the steps run for real, in a folder of a test.

The absolute paths of the node are rewritten into its folder; its PATH holds harmless tools and stubs alone.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from provision.errors import CommandFailed, Result
from tests.fakes.node.runner import FakeShell

TOOLS = ("base64", "cat", "chmod", "cp", "dirname", "grep", "gzip", "ls", "mkdir", "mv", "rm", "sed", "sh")
TOOLS += ("ln", "readlink", "rmdir", "sha256sum", "tail", "touch", "wc")
_ABSOLUTE = re.compile(r"(?<![\w./+-])/(?=(?:boot|etc|home|lib|opt|proc|root|run|srv|sys|usr|var)\b)")
_ROOT = re.compile(r"(?<=-C )/(?=\s)")
SYSTEMCTL = 'case "$*" in *is-active*) test -e active;; *) exit 1;; esac'
# Does the work before it returns, so that a test needs no waiting.
SYSTEMD_RUN = """
printf 'systemd-run %s\\n' "$*" >> calls
while :; do case $1 in --*) shift;; *) break;; esac; done
touch active; "$@"; rm active
"""
# The container runtime, asked by CRI, says that all is well.
CURL = "printf 'HTTP/2 200\\r\\n\\r\\ngrpc-status: 0\\r\\n'"
# Nothing is unpacked anywhere but in the node's folder.
TAR = 'case "$*" in *"-C $root"*) exec {tar} "$@";; *) echo "tar $*" >&2; exit 97;; esac'
SLEEP = "echo pause >> pauses; if test -e on-pause; then . ./on-pause; fi"


class Sandbox:
    """A node: a Runner whose `/` is the folder `root`. Stubs run in that folder and see it as `$root`.

    The file `active` there says that the unit is at work, `calls` is what was started.
    """

    def __init__(self, node: str, root: Path) -> None:
        self.node = node
        self.root = root
        self.bin = root / "stubs"
        self.bin.mkdir(parents=True)
        self.whats: list[str] = []
        self.after: Callable[[str], None] = lambda script: None
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or "/missing")
        self.program("systemctl", SYSTEMCTL)
        self.program("systemd-run", SYSTEMD_RUN)
        self.program("sleep", SLEEP)
        self.program("curl", CURL)
        self.program("journalctl", "")
        self.program("tar", TAR.format(tar=shutil.which("tar")))
        self.kubeadm("")

    def program(self, name: str, body: str) -> None:
        """Put a program on the node's PATH."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\nroot={shlex.quote(str(self.root))}\ncd $root\n{body}\n")
        file.chmod(0o755)

    def kubeadm(self, body: str) -> None:
        """Let kubeadm do this, after its arguments were written down."""
        self.program("kubeadm", f"printf 'kubeadm %s\\n' \"$*\" >> calls\n{body}")

    def on_pause(self, body: str) -> None:
        """Let this happen at every pause of a script that waits."""
        (self.root / "on-pause").write_text(body)

    def path(self, path: str) -> Path:
        """Return where an absolute path of the node lies."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str = "") -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def shell(self) -> FakeShell:
        return FakeShell(self)

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def pauses(self) -> int:
        log = self.root / "pauses"
        return len(log.read_text().splitlines()) if log.exists() else 0

    @property
    def verbs(self) -> list[str]:
        """Return what kubeadm was asked to do, such as "init"; its phases by their full names."""
        asked = [call.split()[1:] for call in self.calls if call.startswith("kubeadm")]
        return [" ".join(words[:3]) if words[1:2] == ["phase"] else words[0] for words in asked]

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = True,
        stdin: str = "",
        deadline: float = 60.0,
        check: bool = True,
        what: str = "",
    ) -> Result:
        self.whats.append(what)
        text = command if isinstance(command, str) else shlex.join(command)
        here = _ROOT.sub(f"{self.root}", _ABSOLUTE.sub(f"{self.root}/", text))
        script = f"main() {{\n{here}\n}}\nmain </dev/null\n"
        done = subprocess.run(
            ["/bin/sh", "-eu"],
            input=script,
            capture_output=True,
            text=True,
            env={"PATH": str(self.bin)},
            cwd=self.root,
            check=False,
        )
        self.after(text)
        result = Result(done.stdout, done.stderr, done.returncode)
        if check and not result.ok:
            raise CommandFailed(self.node, what or text[:60], result)
        return result

    def put(self, content: str | bytes, path: str, *, mode: int = 0o644) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_bytes(content.encode() if isinstance(content, str) else content)
        self.path(path).chmod(mode)

    def get(self, path: str) -> bytes:
        try:
            return self.path(path).read_bytes()
        except FileNotFoundError:
            raise CommandFailed(self.node, f"read {path}", Result("", "no such file", 1)) from None
