"""VagrantMachines against a stub `vagrant` on PATH."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.box.reference import BoxReference
from provision.config.inventory import inventory_of
from provision.errors import LabError, MissingTool, VagrantError
from provision.providers.vagrant import VagrantMachines
from provision.report.base import RecordingReporter
from provision.workspace import WRITTEN_BY, Workspace
from tests.fakes.config import make_config
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.provider import FakeProvider

BOX = BoxReference("kubelab-1.36.3-abc", "1.0.0", "file:///cache/box.json", 12)
Stub = Callable[[str], None]


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VagrantMachines:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    config = make_config(workers={"count": 1})
    space = Workspace(tmp_path, config.name)
    space.vagrantfile.write_text(f"# {WRITTEN_BY}\nname: '{config.name}-cp1'\n")
    return VagrantMachines(space, inventory_of(config), FakeProvider(), RecordingReporter())


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Return what puts a `vagrant` on PATH: it writes its arguments down, then runs a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(script: str) -> None:
        program = folder / "vagrant"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{script}\n')
        program.chmod(0o755)

    write("")
    return write


def calls(machines: VagrantMachines) -> list[str]:
    log = machines.workspace.root / "calls"
    return log.read_text().splitlines() if log.exists() else []


def made(machines: VagrantMachines, node: str, ident: str) -> None:
    """Write what Vagrant keeps of a machine it made."""
    file = machines.workspace.machine_id_file(node, "libvirt")
    file.parent.mkdir(parents=True)
    file.write_text(f"{ident}\n")


def progress(machines: VagrantMachines) -> list[str]:
    assert isinstance(machines.report, RecordingReporter)
    return [event["text"] for event in machines.report.of("progress")]


def test_up_asks_for_all_machines_at_once_and_streams(machines: VagrantMachines, stub: Stub) -> None:
    stub('pwd; echo "$VAGRANT_CWD"; echo "==> lab-cp1: Booting"')
    machines.up()
    assert calls(machines) == ["up --no-destroy-on-error --parallel --provider=libvirt"]
    root = str(machines.workspace.root)
    assert progress(machines) == [root, root, "==> lab-cp1: Booting"]


def test_the_users_own_vagrant_settings_lead_to_no_other_lab(
    machines: VagrantMachines, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_CWD", "/elsewhere")
    monkeypatch.setenv("VAGRANT_DOTFILE_PATH", "/elsewhere/.vagrant")
    monkeypatch.setenv("VAGRANT_VAGRANTFILE", "Vagrantfile.other")
    stub('echo "$VAGRANT_CWD"; echo "$VAGRANT_DOTFILE_PATH"; echo "$VAGRANT_VAGRANTFILE"')
    machines.up()
    root = machines.workspace.root
    assert progress(machines) == [str(root), str(root / ".vagrant"), "Vagrantfile"]


def test_a_provider_that_cannot_is_asked_for_one_machine_after_another(
    machines: VagrantMachines, stub: Stub
) -> None:
    machines.provider.parallel = False
    machines.up()
    assert calls(machines) == ["up --no-destroy-on-error --no-parallel --provider=libvirt"]


def test_each_line_is_told_while_vagrant_works(machines: VagrantMachines, stub: Stub) -> None:
    go = machines.workspace.root / "go"
    # It ends well only if its first line was told before its end.
    stub(f"echo booting; n=0; until [ -e {go} ]; do n=$((n+1)); [ $n -lt 100 ] || exit 1; sleep 0.02; done")

    class Answering(RecordingReporter):
        def event(self, name: str, fields: dict[str, object]) -> None:
            go.touch()

    VagrantMachines(machines.workspace, machines.inventory, machines.provider, Answering()).up()


def test_a_failure_says_why_and_the_run_log_gets_all_of_it(machines: VagrantMachines, stub: Stub) -> None:
    frame = "/usr/lib/ruby/vagrant/action/warden.rb:48:in `call'"
    stub(f"echo '==> lab-cp1: Creating'; printf '%s\\n' 'no space left' {shlex.quote(frame)} >&2; exit 3")
    with pytest.raises(VagrantError) as caught:
        machines.up()
    assert caught.value.code == 3
    assert caught.value.details == "no space left"
    assert isinstance(machines.report, RecordingReporter)
    assert machines.report.of("said") == [{"source": "vagrant", "text": f"no space left\n{frame}\n"}]
    assert "kubelab up" in caught.value.hint


def test_much_on_standard_error_is_no_deadlock(machines: VagrantMachines, stub: Stub) -> None:
    stub("yes warning | head -c 1000000 >&2; echo done")
    machines.up()
    assert progress(machines) == ["done"]


def test_output_that_is_no_utf8_is_still_shown(machines: VagrantMachines, stub: Stub) -> None:
    stub(r"printf 'r\366om\nmore\n'")
    machines.up()
    assert progress(machines) == ["r\ufffdom", "more"]


def test_an_error_that_is_no_utf8_is_still_shown(machines: VagrantMachines, stub: Stub) -> None:
    stub(r"printf 'no r\366om\n' >&2; exit 1")
    with pytest.raises(VagrantError) as caught:
        machines.up()
    assert caught.value.details.startswith("no r")


def test_ids_are_those_of_the_labs_nodes_in_vagrants_files(machines: VagrantMachines) -> None:
    assert machines.ids() == {}
    made(machines, "lab-cp1", "5ca1ab1e-0000-4000-8000-000000000001")
    made(machines, "other-cp1", "5ca1ab1e-0000-4000-8000-000000000002")
    assert machines.ids() == {"lab-cp1": "5ca1ab1e-0000-4000-8000-000000000001"}


def test_an_id_file_that_is_still_empty_is_of_no_machine(machines: VagrantMachines) -> None:
    made(machines, "lab-cp1", "")
    assert machines.ids() == {}


@pytest.mark.parametrize(
    "text",
    [
        f"{id_of('lab-w1')} --name; destroy innocent; echo",
        f"{id_of('lab-w1')}\ndestroy innocent",
        "innocent",
        "--all",
        "\udcff",
        "x" * (2**20 + 1),
    ],
)
def test_an_id_that_is_none_never_becomes_a_part_of_a_command(machines: VagrantMachines, text: str) -> None:
    made(machines, "lab-w1", "")
    file = machines.workspace.machine_id_file("lab-w1", "libvirt")
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LabError, match=f"{file} is damaged") as caught:
        machines.ids()
    assert "kubelab up" in caught.value.hint


def test_states_are_the_hypervisors_not_vagrants(machines: VagrantMachines) -> None:
    made(machines, "lab-cp1", id_of("1"))
    made(machines, "lab-w1", id_of("2"))
    assert isinstance(machines.provider, FakeProvider)
    machines.provider.machines = {id_of("1"): "paused", id_of("another"): "running"}
    assert machines.states() == {"lab-cp1": "paused"}


def test_a_box_is_added_once(machines: VagrantMachines, stub: Stub) -> None:
    machines.add_box(BOX)
    assert calls(machines) == ["box add --force --provider=libvirt file:///cache/box.json"]
    machines.box_folder(BOX).mkdir(parents=True)
    machines.add_box(BOX)
    assert len(calls(machines)) == 1
    assert machines.box_folder(BOX).is_relative_to(os.environ["VAGRANT_HOME"])


def test_single_machines_are_destroyed_if_vagrant_made_them(machines: VagrantMachines, stub: Stub) -> None:
    file = machines.workspace.machine_id_file("lab-w2", "libvirt")
    file.parent.mkdir(parents=True)
    file.write_text(id_of("lab-w2"))
    machines.destroy("lab-w2", "lab-w3")
    machines.destroy("lab-w3")
    assert calls(machines) == ["destroy --force --no-parallel lab-w2"]


def test_destroy_runs_only_when_there_is_something(machines: VagrantMachines, stub: Stub) -> None:
    machines.destroy()
    assert calls(machines) == []
    made(machines, "lab-w1", id_of("2"))
    machines.destroy()
    assert calls(machines) == ["destroy --force --no-parallel"]
    # Vagrant would destroy the machines that this one has.
    machines.workspace.vagrantfile.write_text("the user's own\n")
    machines.destroy()
    machines.workspace.vagrantfile.unlink()
    machines.destroy()
    assert len(calls(machines)) == 1


@pytest.mark.parametrize("there", ["setpriv", "vagrant"])
def test_a_missing_program_is_named(
    machines: VagrantMachines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    only = tmp_path / "only"
    only.mkdir()
    (only / there).symlink_to(shutil.which("true") or "/bin/true")
    monkeypatch.setenv("PATH", str(only))
    with pytest.raises(MissingTool) as caught:
        machines.up()
    missing = {"vagrant": "setpriv", "setpriv": "Vagrant"}[there]
    assert missing in caught.value.message
    assert "kubelab doctor" in caught.value.hint


PARENT = """
import sys
from pathlib import Path
from provision.config.inventory import inventory_of
from provision.providers.vagrant import VagrantMachines
from provision.report.base import RecordingReporter
from provision.workspace import Workspace
from tests.fakes.config import make_config
from tests.fakes.providers.provider import FakeProvider

config = make_config()
space = Workspace(Path(sys.argv[1]), config.name)
VagrantMachines(space, inventory_of(config), FakeProvider(), RecordingReporter()).up()
"""


def test_nothing_is_said_of_a_missing_vagrant_before_it_is_needed(tmp_path: Path) -> None:
    code = "import provision.lab.opening"
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_vagrant_ends_with_a_kubelab_that_is_killed(
    machines: VagrantMachines, stub: Stub, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    stub(f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60")
    checkout = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": checkout}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env=environment)
    try:
        assert soon(pid_file.exists)
        pid = int(pid_file.read_text())
        os.kill(parent.pid, signal.SIGKILL)
        assert soon(lambda: not runs(pid))
    finally:
        parent.kill()
        parent.wait()


def runs(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_vagrant_knows_machines_by_their_own_names_and_kubelab_nodes_by_theirs(
    machines: VagrantMachines, stub: Stub
) -> None:
    named = dataclasses.replace(
        machines, inventory=inventory_of(make_config(nodes={"lab-w1": {"name": "w1-k8s"}}))
    )
    made(named, "lab-w1", id_of("lab-w1"))
    made(named, "lab-w9", id_of("lab-w9"))
    assert named.ids() == {"w1-k8s": id_of("lab-w1")}
    assert named.known_ids() == {"lab-w1": id_of("lab-w1"), "lab-w9": id_of("lab-w9")}
    named.destroy("lab-w1")
    assert calls(named) == ["destroy --force --no-parallel lab-w1"]
