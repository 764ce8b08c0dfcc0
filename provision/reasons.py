"""Which lines of a failed tool's output say why it failed. Pure."""

from __future__ import annotations

import re

SHOWN = 10

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The first kind that a tool printed wins: what comes in the next ones only repeats that it failed.
_KINDS = (
    # kubeadm's checks before it begins.
    re.compile(r"\[ERROR [\w/.-]+\]: (?P<said>.*)"),
    # Go's compiler.
    re.compile(r"\S+\.go:\d+:\d+: \S"),
    # kubectl, kubeadm, virsh, helm, dpkg, VBoxManage; apt and mmdebstrap; the go command; skopeo.
    re.compile(
        r"(?:[\w.-]+: )?(?:error|Error|ERROR|fatal): \S|[\w.-]+: error \S"
        r"|Error from server|Unable to connect to the server|The connection to the server"
        r"|E: (?!Some index files failed|apt-get .* failed$|\S+ failed to run$)"
        r"|go: (?!downloading |finding |extracting |added |upgraded )"
        r"|time=\S+ level=fatal "
    ),
)
_LATE = re.compile(r"it did not end within \d+ s$|it said more than \d+ MiB and was ended$")
# Frames of Ruby, progress, and the words that Vagrant puts around an error.
_NOISE = re.compile(
    r"\s*(?:from )?(?:/|<internal:)\S*:\d+:in "
    r"|==> \S+: "
    r"|(?:Get|Hit|Ign):\d+ |Reading |Building |Fetched |I: |go: downloading "
    r"|An error occurred while executing multiple actions in parallel"
    r"|Any errors that occurred are shown below"
    r"|An unexpected error occurred when executing the action on the$"
)
_MACHINE = re.compile(r"'(\S+)' machine\. Please report this as a bug:$")


def telling(output: str) -> list[str]:
    """Return the lines that say by themselves why a tool failed; none where it has no such lines."""
    lines = [_COLOUR.sub("", line).strip() for line in output.splitlines()]
    for kind in _KINDS:
        if found := _of_kind(kind, lines):
            return [*found, *(line for line in lines if _LATE.match(line))]
    return []


def _of_kind(kind: re.Pattern[str], lines: list[str]) -> list[str]:
    """Return the lines of one kind, each with the list that follows it."""
    # kubeadm asks a container runtime that does not answer twice, for two checks: it is shown once.
    found: dict[str, str] = {}
    follows = False
    for line in lines:
        match = kind.match(line)
        follows = bool(match) or (follows and line.startswith("- "))
        if follows:
            said = match.groupdict().get("said") if match else None
            found.setdefault(said or line, line)
    return list(found.values())


def without_noise(output: str) -> list[str]:
    """Return the lines of an output that are neither empty, nor progress, nor frames of a stack.

    Vagrant names the machine in a line of its own: it is put before what went wrong with it.
    """
    kept: list[str] = []
    machine = ""
    for raw in output.splitlines():
        line = _COLOUR.sub("", raw).rstrip()
        if not line or _NOISE.match(line):
            continue
        if named := _MACHINE.match(line):
            machine = f"{named[1]}: "
            continue
        kept.append(machine + line)
        machine = ""
    return kept


def why(output: str, *, message: bool = False) -> str:
    """Return what is shown of a failed tool's output, ten lines at most.

    With `message` its error is a text of several lines that belong together, such as Vagrant's.
    """
    found = [] if message else telling(output)
    if found:
        # A compiler's first error leads to the others.
        return "\n".join(found[:SHOWN])
    lines = without_noise(output) or [line for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-SHOWN:])
