"""Whole programs that tests put on PATH in place of the real ones."""

from __future__ import annotations

import sys
from pathlib import Path

STUBS = Path(__file__).parent


def install(name: str, program: Path, *, packages: bool = False) -> None:
    """Make `program` a command that runs the module `name` of this folder.

    They are started some thousand times: as a module Python compiles one only once, and without the installed
    packages, which some need, it starts in half the time.
    """
    program.write_text(
        f"#!{sys.executable} {'-I' if packages else '-IS'}\n"
        f"import sys\nsys.path.insert(0, {str(STUBS)!r})\nimport {name}\nsys.exit({name}.main())\n"
    )
    program.chmod(0o755)
