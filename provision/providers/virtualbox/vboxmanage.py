"""VirtualBox's command line, the way this package uses it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Interface, NetmaskValueError
from threading import Event

from provision.errors import MachineBusy, MissingTool, ToolFailed
from provision.host.process import run_tool
from provision.providers.base import PAUSED, RUNNING, SAVED, STOPPED

HINT = "`VBoxManage list hostinfo` shows whether VirtualBox works on this host"
STATES = {
    "running": RUNNING,
    "livesnapshotting": RUNNING,
    "onlinesnapshotting": RUNNING,
    "deletingsnapshotlive": RUNNING,
    "paused": PAUSED,
    "deletingsnapshotlivepaused": PAUSED,
    "saved": SAVED,
    "aborted-saved": SAVED,
}
# For as long as several GiB of memory take to reach a slow disk, or the other way.
COPY_DEADLINE = 900.0
LOCKED = ("is already locked", "being locked or unlocked", "has an active process")
NOT_FOUND = "VBOX_E_OBJECT_NOT_FOUND"
_MACHINE = re.compile(r'"(?P<name>.*)" \{(?P<id>[0-9a-fA-F-]+)\}')
_CAPACITY = re.compile(r"^Capacity:\s+(?P<mib>\d+) MBytes", re.M)
_CREATED = re.compile(r"Interface '(?P<name>.+)' was successfully created")


@dataclass(frozen=True)
class VBoxManage:
    """Runs VBoxManage; deadlines in seconds."""

    cancel: Event = field(default_factory=Event)

    def __call__(self, *arguments: str, deadline: float = 60.0) -> str:
        """Run one command and return its output; raises MissingTool, ToolFailed."""
        argv = ["VBoxManage", *arguments]
        try:
            # What it prints is read here: in whatever language the user has, it is to be English.
            return run_tool(argv, deadline=deadline, hint=HINT, cancel=self.cancel, env={"LC_ALL": "C.UTF-8"})
        except MissingTool:
            raise MissingTool(
                "VirtualBox is not installed", hint="install VirtualBox 7, or set provider: libvirt"
            ) from None

    def quietly(self, *arguments: str) -> None:
        """Run a command whose failure says only that there was nothing to do."""
        try:
            self(*arguments)
        except ToolFailed:
            return

    def copy(self, *arguments: str) -> None:
        """Run a command that moves a machine's memory; raises MachineBusy, ToolFailed."""
        try:
            self(*arguments, deadline=COPY_DEADLINE)
        except ToolFailed as error:
            if any(text in error.output for text in LOCKED):
                raise MachineBusy(
                    f"VirtualBox is still at work: {error.details}", hint="run this again in a minute"
                ) from None
            raise

    def machines(self) -> Mapping[str, str]:
        """Return id -> name of every machine this user has."""
        found = map(_MACHINE.fullmatch, self("list", "vms").splitlines())
        return {match["id"]: match["name"] for match in found if match}

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the state of each machine that exists; aborted and stuck ones are stopped."""
        infos = {machine: self.info(machine) for machine in ids}
        return {
            machine: STATES.get(info.get("VMState", ""), STOPPED)
            for machine, info in infos.items()
            if info is not None
        }

    def info(self, machine: str) -> Mapping[str, str] | None:
        """Return what is known of a machine, key -> value, or None when it does not exist."""
        try:
            text = self("showvminfo", machine, "--machinereadable")
        except ToolFailed as error:
            if NOT_FOUND in error.output:
                return None
            raise
        values: dict[str, str] = {}
        for line in text.splitlines():
            key, _, value = line.partition("=")
            # The description is the user's own text, and comes last: its lines are not to be believed.
            values.setdefault(key.strip('"'), value.strip('"'))
        return values

    def capacity(self, disk: str) -> int | None:
        """Return the MiB that a disk can hold, None where VirtualBox does not say."""
        try:
            found = _CAPACITY.search(self("showmediuminfo", "disk", disk))
        except ToolFailed:
            return None
        return int(found["mib"]) if found else None

    def host_only(self) -> Mapping[str, IPv4Interface]:
        """Return name -> the host's address and network, of each host-only interface that has one."""
        links = {}
        for block in self("list", "hostonlyifs").split("\n\n"):
            pairs = (line.partition(":") for line in block.splitlines())
            values = {key.strip(): value.strip() for key, _, value in pairs}
            try:
                links[values["Name"]] = IPv4Interface(f"{values['IPAddress']}/{values['NetworkMask']}")
            except (KeyError, AddressValueError, NetmaskValueError):
                continue
        return links

    def make_host_only(self, address: IPv4Interface) -> str:
        """Make a host-only interface with the host's `address`, and return its name."""
        created = _CREATED.search(self("hostonlyif", "create"))
        if created is None:
            raise ToolFailed(
                ["VBoxManage", "hostonlyif", "create"], 0, "its output names no interface", hint=HINT
            )
        name = created["name"]
        try:
            mask = str(address.netmask)
            self("hostonlyif", "ipconfig", name, "--ip", str(address.ip), "--netmask", mask)
        except BaseException:
            VBoxManage().quietly("hostonlyif", "remove", name)
            raise
        return name

    def note(self, key: str) -> str:
        """Return what VirtualBox keeps for this user under `key`, or an empty string."""
        text = self("getextradata", "global", key).strip()
        return text.removeprefix("Value: ") if text.startswith("Value: ") else ""

    def write_note(self, key: str, *value: str) -> None:
        """Keep `value` under `key`; without one, forget the key."""
        self("setextradata", "global", key, *value)


def adapters(info: Mapping[str, str]) -> Sequence[str]:
    """Return the host-only interfaces that a machine's network cards are on."""
    return [value for key, value in info.items() if key.startswith("hostonlyadapter")]
