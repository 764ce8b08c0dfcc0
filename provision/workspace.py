"""The folder a lab lives in: its files, its lock, its run log, and the cache beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from provision.errors import ConfigError, LabError
from provision.host.locks import host_lock, try_lock

# Seconds. A command that only looks whether another one is at work holds the lock for a moment.
A_LOOK = 0.5
# By this a Vagrantfile is known as kubelab's, which may be written over.
WRITTEN_BY = "Written by `kubelab render`"


@dataclass(frozen=True)
class Workspace:
    """Paths of one lab: `root` is the folder of lab.yaml, `name` the lab's name."""

    root: Path
    name: str

    @property
    def vagrantfile(self) -> Path:
        """Return the lab's Vagrantfile; where the folder has that of another lab, one with its own name."""
        first, own = self.root / "Vagrantfile", self.root / f"Vagrantfile.{self.name}"
        text = _text(first)
        anothers = WRITTEN_BY in text and f"name: '{self.name}-cp1'" not in text
        return own if anothers or own.exists() else first

    def has_vagrantfile(self) -> bool:
        """Return whether the lab's Vagrantfile is there, and kubelab wrote it."""
        return WRITTEN_BY in _text(self.vagrantfile)

    def refuse_foreign_vagrantfile(self) -> None:
        """Raise ConfigError where somebody else's file is in the place of the lab's Vagrantfile."""
        file = self.vagrantfile
        if (file.exists() or file.is_symlink()) and not self.has_vagrantfile():
            raise ConfigError(
                f"{file} is not kubelab's, so it is not written over",
                hint="put lab.yaml into a folder of its own, or that file somewhere else",
            )

    @property
    def state(self) -> Path:
        """Return the folder of what belongs to this lab alone: keys, ssh_config, logs."""
        return self.root / ".kubelab" / self.name

    @property
    def ssh_key(self) -> Path:
        return self.state / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.state / "ssh_config"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def run_log(self) -> Path:
        return self.state / "run.log"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots" / self.name

    @property
    def decision(self) -> Path:
        """Return the file that says what lab.yaml's open values came to."""
        return self.state / "decision.json"

    @property
    def journal(self) -> Path:
        """Return the file that says which snapshot command is running."""
        return self.state / "journal.json"

    @property
    def start_record(self) -> Path:
        """Return the file that says what the next start of the lab has to know."""
        return self.state / "start.json"

    @property
    def relay(self) -> Path:
        """Return the file that says which process leads ports of the host to the lab."""
        return self.state / "relay.json"

    def machine_id_file(self, node: str, provider: str) -> Path:
        """Return the file in which Vagrant keeps the hypervisor's id of `node`."""
        return self.root / ".vagrant" / "machines" / node / provider / "id"

    def machine_folders(self) -> list[str]:
        """Return the names of the machines, of any lab, that Vagrant keeps anything of in this folder."""
        return sorted(folder.name for folder in (self.root / ".vagrant" / "machines").glob("*"))

    def has_machines(self) -> bool:
        """Return whether Vagrant has made a machine of this lab."""
        return bool(self.machines_made())

    def machines_made(self) -> list[str]:
        """Return the names of the lab's machines that Vagrant keeps an id of."""
        return sorted(filter(self._is_ours, self.every_machine()))

    def every_machine(self) -> set[str]:
        """Return the names of the machines in this folder, of any lab, that Vagrant keeps an id of."""
        return {file.parents[1].name for file in self._id_files()}

    def providers_used(self) -> list[str]:
        """Return the providers that the lab's machines were made with."""
        return sorted({file.parent.name for file in self._id_files() if self._is_ours(file.parents[1].name)})

    def _id_files(self) -> Iterator[Path]:
        return (self.root / ".vagrant" / "machines").glob("*/*/id")

    def _is_ours(self, machine: str) -> bool:
        # The commands know this module, and their --help must not wait for what that one imports.
        from provision.config.names import machine_names

        return machine_names(self.name).fullmatch(machine) is not None

    def prepare(self) -> None:
        """Make the private state folder."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)

    def busy(self) -> bool:
        """Return whether another command holds the lab."""
        lock = filelock.FileLock(self.state / "lock", timeout=0)
        try:
            with lock:
                return False
        except filelock.Timeout:
            return True

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lab for one command; a lock of a process that died is free by itself.

        Its name is held too: a lab of the same name in another folder would be made of the same machines.
        """
        self.prepare()
        lock = filelock.FileLock(self.state / "lock", timeout=A_LOOK)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise LabError(
                f"another kubelab command is working on the lab {self.name}",
                hint="wait for it to end, then run this again",
            ) from None
        try:
            with try_lock(host_lock(f"lab-{self.name}")) as free:
                if not free:
                    raise LabError(
                        f"another kubelab command is working on a lab called {self.name}, in another folder",
                        hint="wait for it to end, or choose another name",
                    )
                yield
        finally:
            lock.release()


def _text(file: Path) -> str:
    """Return what a small file says, or an empty string for anything else."""
    # The commands know this module, and their --help must not wait for what that one imports.
    from provision.host.records import read_small

    try:
        return read_small(file).decode(errors="replace")
    except (FileNotFoundError, ValueError):
        return ""
