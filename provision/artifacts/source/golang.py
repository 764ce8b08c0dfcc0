"""The ordinary Go client: programs built from modules that a go.mod pins."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.host.process import run_tool

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from provision.report.base import Reporter

# GOTOOLCHAIN is the user's: Go fetches by itself the toolchain that a go.mod asks for. Whatever else changes
# what comes out is the same for everybody, as it is no part of the bundle's key.
ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOAMD64": "v1",
    "GOARCH": "amd64",
    "GOEXPERIMENT": "",
    "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly",
    "GOOS": "linux",
    "GOWORK": "off",
}
BUILD_DEADLINE = 7200.0
QUERY_DEADLINE = 60.0


def cache_folders() -> tuple[Path, ...]:
    """Return where Go keeps what it compiled and downloaded; raises MissingTool without Go."""
    answer = json.loads(run_tool(["go", "env", "-json", "GOCACHE", "GOMODCACHE"], deadline=QUERY_DEADLINE))
    return tuple(Path(folder) for folder in answer.values() if folder)


def required(go_mod: Path, module: str) -> str:
    """Return the version of `module` that `go_mod` requires, such as "v1.36.3"; raises LabError."""
    pattern = rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)"
    found = re.search(pattern, go_mod.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise LabError(f"{go_mod} does not require {module}")
    return found[1]


def build(
    module: Path,
    out: Path,
    work: Path,
    reporter: Reporter,
    *,
    what: str = "tool",
    ldflags: Sequence[str] = (),
    cancel: threading.Event | None = None,
) -> None:
    """Build `what` of the Go module in the folder `module` into the folder `out`.

    The module is copied below `work` first: the shipped one may be read-only. Raises MissingTool,
    ToolFailed, Cancelled.
    """
    copy = work / module.name
    copy.mkdir(parents=True)
    for file in module.iterdir():
        shutil.copyfile(file, copy / file.name)
    out.mkdir(parents=True, exist_ok=True)
    # Some GiB come and go, and /tmp may be in memory.
    temporary = work / f"{module.name}.tmp"
    temporary.mkdir()
    begun = time.monotonic()
    reporter.progress(f"{module.name}: building")
    run_tool(
        ["go", "build", "-v", "-ldflags", " ".join(("-s", "-w", *ldflags)), "-o", f"{out}/", what],
        deadline=BUILD_DEADLINE,
        env={**ENVIRONMENT, "GOTMPDIR": str(temporary)},
        cwd=copy,
        on_line=lambda line: reporter.progress(f"{module.name}: {line}"),
        cancel=cancel,
        hint="what was compiled is kept; run the same command again to go on",
    )
    reporter.phase(f"build {module.name}", time.monotonic() - begun)
