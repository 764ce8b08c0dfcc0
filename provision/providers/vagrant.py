"""The lab's machines through Vagrant: made, started and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory
from provision.errors import LabError, MissingTool, VagrantError
from provision.host.files import home_dir
from provision.host.records import read_small
from provision.providers.base import Provider
from provision.providers.machine_id import is_machine_id
from provision.report.base import Reporter
from provision.workspace import Workspace

if TYPE_CHECKING:
    from provision.providers.vagrant_client import VagrantClient

HINT = "`kubelab doctor` checks Vagrant and the hypervisor; `kubelab up` goes on from here"
DAMAGED_ID = "remove that file, then: kubelab destroy; kubelab up"
TOOL_HINT = "kubelab doctor --fix"


class Machines(Protocol):
    """The virtual machines of one lab.

    By the names of their nodes where they are asked for those of lab.yaml, by their own where others may be
    there too: a machine keeps its name whatever its node is called.
    """

    def ids(self) -> Mapping[str, str]:
        """Return node name -> the hypervisor's id, of the machines that Vagrant made."""

    def known_ids(self) -> Mapping[str, str]:
        """Return machine name -> id, also of machines whose nodes lab.yaml has no more."""

    def states(self) -> Mapping[str, str]:
        """Return node name -> "running", "paused", "stopped" or "saved", of the machines that exist."""

    def up(self) -> None:
        """Make and start every machine that is not running; returns once SSH answers."""

    def box_folder(self, box: BoxReference) -> Path:
        """Return where Vagrant keeps a box, whether or not it is there."""

    def add_box(self, box: BoxReference) -> None:
        """Make a box known to Vagrant, unless it is."""

    def destroy(self, *names: str) -> None:
        """Remove every machine, or those called `names` alone."""


@dataclass(frozen=True)
class VagrantMachines:
    """Machines made by Vagrant; their states are asked of the hypervisor, which answers at once."""

    workspace: Workspace
    inventory: Inventory
    provider: Provider
    report: Reporter

    def ids(self) -> Mapping[str, str]:
        """Return the ids in Vagrant's own files; raises LabError for a file that holds something else."""
        return self.inventory.by_name(self._ids(node.machine for node in self.inventory.nodes))

    def known_ids(self) -> Mapping[str, str]:
        """Return the ids in Vagrant's own files, of every machine with a name of this lab."""
        return self._ids(self.workspace.machines_made())

    def states(self) -> Mapping[str, str]:
        """Return the states of the machines that the hypervisor has under the ids Vagrant keeps."""
        ids = self.ids()
        states = self.provider.states(list(ids.values()))
        return {name: states[machine] for name, machine in ids.items() if machine in states}

    def up(self) -> None:
        """Run `vagrant up` for all machines, at once where the provider can."""
        parallel = "--parallel" if self.provider.parallel else "--no-parallel"
        self._vagrant("up", "--no-destroy-on-error", parallel, f"--provider={self.provider.name}")

    def box_folder(self, box: BoxReference) -> Path:
        """Return the folder of one version of a box for this provider."""
        home = Path(os.environ.get("VAGRANT_HOME") or home_dir() / ".vagrant.d")
        return home / "boxes" / box.name / box.version / self.provider.name

    def add_box(self, box: BoxReference) -> None:
        """Add the box from its metadata file, unless Vagrant has it."""
        if not self.box_folder(box).exists():
            self._vagrant("box", "add", "--force", f"--provider={self.provider.name}", box.url)

    def destroy(self, *names: str) -> None:
        """Run `vagrant destroy`, if Vagrant has made anything here; of `names`, for those that it made."""
        known = self.known_ids()
        made = [name for name in names if name in known]
        if self.workspace.has_vagrantfile() and (made if names else known):
            self._vagrant("destroy", "--force", "--no-parallel", *made)

    def _ids(self, names: Iterable[str]) -> dict[str, str]:
        files = {name: self.workspace.machine_id_file(name, self.provider.name) for name in names}
        return {name: found for name, file in files.items() if (found := _machine_id(file))}

    def _vagrant(self, *arguments: str) -> None:
        """Run Vagrant, with both of its streams in the run log; raises VagrantError, MissingTool."""
        if shutil.which("vagrant") is None:
            raise MissingTool("Vagrant is not installed", hint=TOOL_HINT)
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            client = self._client(errors)
            lines: list[str] = []
            try:
                for line in client.lines(*arguments):
                    lines.append(line)
                    self.report.progress(line.rstrip())
            except subprocess.CalledProcessError as failed:
                # On its standard output it tells what it does, on the other one what went wrong.
                output = _text(errors) or "".join(lines)
                raise VagrantError(["vagrant", *arguments], failed.returncode, output, hint=HINT) from None
            except FileNotFoundError as error:
                raise MissingTool(
                    f"the program `{error.filename}` is not installed", hint=TOOL_HINT
                ) from None
            finally:
                self.report.said("vagrant", _text(errors))

    def _client(self, errors: IO[str]) -> VagrantClient:
        # At import it looks for Vagrant, and prints a warning where there is none.
        from provision.providers.vagrant_client import VagrantClient

        @contextlib.contextmanager
        def keep() -> Iterator[IO[str]]:
            yield errors

        environment = {**os.environ, "VAGRANT_NO_COLOR": "1", "VAGRANT_CHECKPOINT_DISABLE": "1"}
        # The user may have settings of their own, for other projects.
        environment["VAGRANT_CWD"] = str(self.workspace.root)
        environment["VAGRANT_DOTFILE_PATH"] = str(self.workspace.root / ".vagrant")
        environment["VAGRANT_VAGRANTFILE"] = self.workspace.vagrantfile.name
        return VagrantClient(root=str(self.workspace.root), env=environment, err_cm=keep)


def _machine_id(file: Path) -> str:
    """Return the id that Vagrant keeps in a file; empty without one, or where Vagrant was killed early."""
    try:
        found = read_small(file).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except ValueError as error:
        raise LabError(f"{file} is damaged: {error}", hint=DAMAGED_ID) from None
    if found and not is_machine_id(found):
        raise LabError(f"{file} is damaged: it holds no id of a machine", hint=DAMAGED_ID)
    return found


def _text(file: IO[str]) -> str:
    """Return all that stands in a file."""
    file.seek(0)
    return file.read()
