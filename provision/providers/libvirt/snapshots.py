"""System snapshots of libvirt: disks and memory together, inside the machine's qcow2 file."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from provision.errors import SnapshotError, ToolFailed
from provision.providers.base import PAUSED, RUNNING, SAVED, Held, Space
from provision.providers.libvirt.cpu_pins import ALL_CPUS, cpu_of_each, host_cpus, resident_kib
from provision.providers.libvirt.dialogue import Answer, Dialogue, ask_all
from provision.providers.libvirt.virsh import HINT, URI, Virsh, busy

ANSWER_DEADLINE = 60.0
BLOCK = 512
# virsh repeats what it is sent: the quotes keep the mark out of that.
MARK, ECHO_MARK = "=answered=", 'echo "=answered"='


@dataclass(frozen=True)
class LibvirtSnapshots:
    """Snapshots by virsh."""

    cancel: Event

    @property
    def virsh(self) -> Virsh:
        return Virsh(self.cancel)

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the state of each machine that exists."""
        return self.virsh.states(ids)

    def can_save(self, ids: Sequence[str]) -> None:
        """Raise SnapshotError where libvirt would fail, or say it saved what it did not."""
        for machine in ids:
            root = self._definition(machine)
            name = root.findtext("name") or machine
            formats = {_attribute(disk, "driver", "type") for disk in _disks(root)}
            if formats != {"qcow2"}:
                raise SnapshotError(
                    f"{name} has a disk that is not in the qcow2 format, so it cannot be saved",
                    hint="kubelab destroy; kubelab up",
                )
            if _attribute(root, "os/loader", "type") == "pflash":
                raise SnapshotError(
                    f"{name} boots with UEFI, so libvirt cannot save it", hint="use a box with BIOS"
                )
            if root.find("devices/filesystem") is not None:
                raise SnapshotError(
                    f"{name} has a folder of the host mounted, so its memory cannot be saved",
                    hint="turn synced folders off in its Vagrantfile",
                )

    def space(self, ids: Sequence[str]) -> Mapping[str, Space]:
        """Return the folder of each machine's first disk, and what its files take."""
        found = {}
        for machine in ids:
            files = [Path(_attribute(disk, "source", "file")) for disk in _disks(self._definition(machine))]
            found[machine] = Space(files[0].parent, sum(file.stat().st_blocks * BLOCK for file in files))
        return found

    def pause(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Suspend all machines over connections that are open already, so that they stop together.

        What follows is done by QEMU's own threads, on one CPU for each machine until it is resumed.
        """
        with self._connected(ids) as dialogues:
            said = self._ask(dialogues, "dommemstat {}", needed=False)
            sizes = {machine: resident_kib(answer.text) for machine, answer in said.items()}
            for machine, cpu in cpu_of_each(sizes, host_cpus()).items():
                # Where libvirt cannot, all takes longer, and works as well.
                self._ask({machine: dialogues[machine]}, f"emulatorpin {{}} {cpu} --live", needed=False)
            answers = self._ask(dialogues, "suspend {}")
        return {machine: answer.moment for machine, answer in answers.items()}

    def save(self, machine: str, name: str) -> None:
        """Save into the qcow2 file; the machine is paused or stopped, and stays so."""
        self.virsh.copy("snapshot-create-as", "--domain", machine, "--name", name)

    def revert(self, machine: str, name: str, *, live: bool) -> None:
        """Revert to the snapshot; a machine that runs is loaded in place, and is paused or runs as before.

        libvirt itself always starts a new QEMU, which takes some seconds, and in which an emulated CPU has
        to translate everything again: that is left for machines that are off, or cannot be loaded.
        """
        state_now = self.states([machine]).get(machine)
        on = state_now in (RUNNING, PAUSED)
        if live and on and self._has_size_of(machine, name) and self._load(machine, name):
            return
        if state_now == SAVED:
            self._forget_memory(machine)
        state = ["--paused"] if live else []
        self.virsh.copy("snapshot-revert", machine, name, *state, "--force")

    def _has_size_of(self, machine: str, name: str) -> bool:
        """Return whether a machine is as large as it was then: with more CPUs QEMU would load it, too."""
        now, saved = self.virsh.documents([f"dumpxml {machine}", f"snapshot-dumpxml {machine} {name}"])
        then = saved.find("domain") if saved is not None else None
        if now is None or then is None:
            return True
        return all(now.findtext(part) == then.findtext(part) for part in ("vcpu", "memory"))

    def _load(self, machine: str, name: str) -> bool:
        """Load a snapshot in the machine's own QEMU; return whether that was possible."""
        # QEMU's monitor says nothing when it did as told, and ends with exit code 0 when not.
        if self.virsh.copy("qemu-monitor-command", machine, "--hmp", f"loadvm {name}").strip():
            return False
        self.virsh.copy("snapshot-current", machine, name)
        return True

    def resume(self, ids: Sequence[str]) -> None:
        """Resume all machines over connections that are open already."""
        with self._connected(ids) as dialogues:
            self._ask(dialogues, f"emulatorpin {{}} {ALL_CPUS} --live", needed=False)
            self._ask(dialogues, "resume {}")
        # None may be left standing still, whatever libvirt said.
        self.virsh.resume(ids)

    def delete(self, machine: str, name: str) -> None:
        """Delete a snapshot; its children become those of its parent."""
        self.virsh.copy("snapshot-delete", machine, name)

    def forget(self, ids: Sequence[str]) -> None:
        """Remove saved memory, and what libvirt knows of the snapshots; their data goes with the disks."""
        states = self.states(ids)
        for machine, held in self.list(list(states)).items():
            if states[machine] == SAVED:
                self._forget_memory(machine)
            for name in held.names:
                self.virsh("snapshot-delete", machine, name, "--metadata")

    def list(self, ids: Sequence[str]) -> Mapping[str, Held]:
        """Return each machine's snapshots; a machine without any has no current one."""
        found = {}
        for machine in ids:
            current, names = self.virsh.lists(
                f"snapshot-current {machine} --name", f"snapshot-list {machine} --name"
            )
            found[machine] = Held(tuple(names), current[0] if current else None)
        return found

    def _forget_memory(self, machine: str) -> None:
        """Delete the memory that a machine was stopped with: libvirt would start it from there."""
        self.virsh("managedsave-remove", machine)

    def _definition(self, machine: str) -> ET.Element:
        root = self.virsh.xml("dumpxml", machine)
        if root is None:
            raise SnapshotError(f"libvirt has no machine {machine}", hint="kubelab status")
        return root

    @contextlib.contextmanager
    def _connected(self, ids: Sequence[str]) -> Iterator[dict[str, Dialogue]]:
        """Give a virsh for each machine; its first answer comes when it is connected."""
        argv = ["virsh", "--quiet", "--connect", URI]
        with contextlib.ExitStack() as stack:
            yield {
                machine: stack.enter_context(Dialogue(argv, MARK, {"LC_ALL": "C", "VIRSH_HISTSIZE": "0"}))
                for machine in ids
            }

    def _ask(
        self, dialogues: Mapping[str, Dialogue], command: str, *, needed: bool = True
    ) -> dict[str, Answer]:
        """Run a command, with {} for the machine; raises MachineBusy, and ToolFailed when it was `needed`."""
        lines = {machine: f"{command.format(machine)}; {ECHO_MARK}" for machine in dialogues}
        answers = ask_all(dialogues, lines, deadline=ANSWER_DEADLINE, cancel=self.cancel)
        for machine, answer in answers.items():
            if "error: " in answer.text:
                words = command.format(machine).split()
                error = ToolFailed(["virsh", *words], 1, _errors(answer.text), hint=HINT)
                at_work = busy(error)
                if at_work or needed:
                    raise at_work or error
        return answers


def _disks(root: ET.Element) -> Sequence[ET.Element]:
    return [disk for disk in root.findall("devices/disk") if disk.get("device", "disk") == "disk"]


def _attribute(root: ET.Element, path: str, name: str) -> str:
    element = root.find(path)
    return element.get(name, "") if element is not None else ""


def _errors(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("error: "))
