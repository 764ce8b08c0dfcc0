"""A stub of kubectl that answers by patterns."""

from __future__ import annotations

import shlex
from pathlib import Path


class StubKubectl:
    """A `kubectl` program inside a bundle's folder, which answers by patterns and writes down its calls.

    A pattern is a shell glob over the arguments that follow --kubeconfig and --request-timeout; of
    several that fit, the one added last answers. Without one it ends with an error.
    """

    def __init__(self, bundle: Path) -> None:
        self.program = bundle / "binaries" / "kubectl"
        self.folder = bundle / "stub"
        self.folder.mkdir(parents=True)
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.cases: list[tuple[str, str]] = []
        self._write()

    def answer(self, pattern: str, stdout: str = "", *, stderr: str = "", code: int = 0) -> None:
        """Answer arguments that fit `pattern`, from now on."""
        here = self.folder / str(len(self.cases))
        says = ""
        for name, text, where in (("out", stdout, ""), ("err", stderr, " >&2")):
            if text:
                file = here.with_suffix(f".{name}")
                file.write_text(text)
                says += f"cat {shlex.quote(str(file))}{where}; "
        self.cases.append((pattern, f"{says}exit {code}"))
        self._write()

    @property
    def calls(self) -> list[str]:
        """Return the arguments of every call, joined by spaces."""
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def stdin(self) -> str:
        """Return the standard input of the last call."""
        return (self.folder / "stdin").read_text()

    def _write(self) -> None:
        here = shlex.quote(str(self.folder))
        cases = "".join(f"{_glob(pattern)}) {does};;\n" for pattern, does in reversed(self.cases))
        # Started some thousand times by the tests: an empty standard input costs no further program.
        self.program.write_text(
            "#!/bin/sh\nshift 2\n"
            f"if IFS= read -r line; then {{ printf '%s\\n' \"$line\"; cat; }} > {here}/stdin.$$; "
            f'mv {here}/stdin.$$ {here}/stdin; else printf %s "$line" > {here}/stdin; fi\n'
            f'printf "%s\\n" "$*" >> {here}/calls\n'
            f'case "$*" in\n{cases}*) echo "unscripted: $*" >&2; exit 99;;\nesac\n'
        )
        self.program.chmod(0o755)


def _glob(pattern: str) -> str:
    """Return a pattern of `case` in which all but `*` stands for itself."""
    return "*".join(shlex.quote(part) if part else "" for part in pattern.split("*"))
