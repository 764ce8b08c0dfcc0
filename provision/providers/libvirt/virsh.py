"""libvirt's command line, the way this package uses it."""

from __future__ import annotations

import secrets
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

from provision.errors import MachineBusy, ToolFailed, UnknownAnswer
from provision.host.process import run_tool
from provision.providers.base import PAUSED, RUNNING, SAVED, STOPPED

URI = "qemu:///system"
HINT = "kubelab doctor --fix"
# virsh has one exit code for every failure. Of a missing domain it says no more than the last of these.
MISSING = ("not found", "failed to get domain")
IDLE = ("is not running", "is not active")
LOCKED = "cannot acquire state change lock"
# For as long as several GiB of memory take to reach a slow disk, or the other way.
COPY_DEADLINE = 900.0


@dataclass(frozen=True)
class Virsh:
    """Runs virsh; deadlines in seconds."""

    cancel: Event = field(default_factory=Event)
    on_line: Callable[[str], None] | None = None

    def __call__(self, *arguments: str, stdin: str = "", deadline: float = 60.0) -> str:
        """Run one virsh command and return its output; raises ToolFailed.

        No name, path or XML document of libvirt has a null character in it.
        """
        argv = ["virsh", "--quiet", "--connect", URI, *arguments]
        said = run_tool(
            argv,
            deadline=deadline,
            stdin=stdin,
            # Its messages are read here, so they must not be translated.
            env={"LC_ALL": "C"},
            hint=HINT,
            cancel=self.cancel,
            on_line=self.on_line,
        )
        if "\0" in said:
            raise UnknownAnswer(argv, said, hint=HINT)
        return said

    def lists(self, *commands: str) -> list[list[str]]:
        """Run several listing commands in one process; return the lines of each."""
        separator = _separator()
        text = self(f"; echo {separator}; ".join(commands))
        return [
            [line.strip() for line in part.splitlines() if line.strip()] for part in text.split(separator)
        ]

    def states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return domain UUID -> state, of those of `ids` that exist."""
        every, saved, running, paused = self.lists(
            "list --all --uuid",
            "list --all --with-managed-save --uuid",
            "list --state-running --uuid",
            "list --state-paused --uuid",
        )
        states = dict.fromkeys(every, STOPPED) | dict.fromkeys(saved, SAVED)
        states |= dict.fromkeys(running, RUNNING)
        states |= dict.fromkeys(paused, PAUSED)
        return {machine: states[machine] for machine in ids if machine in states}

    def resume(self, ids: Sequence[str]) -> None:
        """Let those of the machines run on that are paused; raises ToolFailed where one stays so.

        One that is off by then does not: libvirt, started anew, ends a machine whose state it cannot read.
        """
        for machine, state in self.states(ids).items():
            if state == PAUSED:
                self._resume(machine)

    def _resume(self, machine: str) -> None:
        said, failed = "", None
        try:
            said = self("resume", machine)
        except ToolFailed as error:
            failed = error
        if self.states([machine]).get(machine) == PAUSED:
            raise failed or UnknownAnswer(["virsh", "resume", machine], said, hint=HINT)

    def definitions(self, machines: Sequence[str]) -> dict[str, ET.Element]:
        """Return machine -> its definition, of those domains that exist; all are asked for in one process.

        `machines` are ids, or names as kubelab gives them: one of somebody else's could be a command.
        """
        found: dict[str, ET.Element] = {}
        if not machines:
            return found
        separator = _separator()
        text = self("; ".join(f"dumpxml {machine}; echo {separator}" for machine in machines))
        for machine, part in zip(machines, text.split(separator), strict=False):
            # Of several commands only the last one's failure is told: asked alone, it says why.
            root = (
                _parsed(("dumpxml", machine), part.strip()) if part.strip() else self.xml("dumpxml", machine)
            )
            if root is not None:
                found[machine] = root
        return found

    def documents(self, commands: Sequence[str]) -> list[ET.Element | None]:
        """Return the XML that each dump command prints, None where it fails; all in one process."""
        separator = _separator()
        text = self("; ".join(f"{command}; echo {separator}" for command in commands))
        parts = [part.strip() for part in text.split(separator)[: len(commands)]]
        return [
            _parsed(command.split(), part) if part else None
            for command, part in zip(commands, parts, strict=True)
        ]

    def xml(self, *arguments: str) -> ET.Element | None:
        """Return the XML that a dump command prints, or None when the object does not exist."""
        try:
            text = self(*arguments)
        except ToolFailed as error:
            if any(reason in error.output for reason in MISSING):
                return None
            raise
        return _parsed(arguments, text)

    def domains(self) -> list[ET.Element]:
        """Return the definitions of all domains, whoever made them."""
        (ids,) = self.lists("list --all --uuid")
        return list(self.definitions(ids).values())

    def copy(self, *arguments: str) -> str:
        """Run a command that moves a machine's memory; raises MachineBusy, ToolFailed."""
        try:
            return self(*arguments, deadline=COPY_DEADLINE)
        except ToolFailed as error:
            raise busy(error) or error from None

    def quietly(self, *arguments: str) -> bool:
        """Run a command unless there is nothing for it to do; return whether there was."""
        try:
            self(*arguments)
        except ToolFailed as error:
            if any(text in error.output for text in (*MISSING, *IDLE)):
                return False
            raise
        return True


def busy(error: ToolFailed) -> MachineBusy | None:
    """Return what an error is when the machine is at work on something else."""
    if LOCKED not in error.output:
        return None
    return MachineBusy(f"libvirt is still at work: {error.details}", hint="run this again in a minute")


def _separator() -> str:
    """Return a line that no name in a listing, and no definition, can contain."""
    return f"==={secrets.token_hex(16)}==="


def _parsed(arguments: Sequence[str], text: str) -> ET.Element:
    try:
        return ET.fromstring(text)
    except ET.ParseError:
        raise UnknownAnswer(["virsh", *arguments], text, hint=HINT) from None


def attributes(root: ET.Element, path: str, names: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the named attributes of all elements at `path`, a tuple an element."""
    return {tuple(element.get(name, "") for name in names) for element in root.findall(path)}
