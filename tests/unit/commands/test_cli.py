from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from provision import __version__
from provision.cli import COMMANDS, group
from provision.config.schema import sample

CHECKOUT = str(Path(__file__).parents[3])
MAIN = [sys.executable, "-c", "from provision.cli import main; main()"]
Kubelab = Callable[..., Result]


@pytest.fixture
def kubelab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubelab:
    """Return what runs `kubelab ARGUMENTS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return lambda *arguments: CliRunner().invoke(group, list(arguments))


def lab(text: str = "") -> None:
    Path("lab.yaml").write_text(f"name: lab\n{text}")


def events(result: Result) -> dict[str, Any]:
    """Return event name -> its last event, of a run with --json."""
    return {event["event"]: event for event in map(json.loads, result.stdout.splitlines())}


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    return subprocess.run(
        [*MAIN, *arguments], env=environment, text=True, capture_output=True, check=False, **options
    )


def test_help_names_every_command(kubelab: Kubelab) -> None:
    text = kubelab("--help").stdout
    for name, words in COMMANDS.items():
        assert name in text
        assert words.split(",")[0] in text
    assert "130 interrupted" in " ".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_help_that_the_overview_promises(kubelab: Kubelab, name: str) -> None:
    command = group.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.short_help == COMMANDS[name]
    assert kubelab(name, "--help").exit_code == 0
    leaves = getattr(command, "commands", {name: command}).values()
    for leaf in leaves:
        assert {"file", "json", "debug"} <= {option.name for option in leaf.params}


def test_help_imports_nothing_slow() -> None:
    script = (
        "import sys\nfrom provision.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    slow = {'pydantic', 'rich', 'paramiko', 'vagrant', 'jinja2', 'yaml', 'cryptography'}\n"
        "    print(sorted(slow & set(sys.modules)))\n"
    )
    for arguments in (["--help"], ["--version"], ["up", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, "PYTHONPATH": CHECKOUT},
            text=True,
            capture_output=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_version_and_usage_errors_of_the_real_command(tmp_path: Path) -> None:
    assert process("--version", cwd=tmp_path).stdout == f"kubelab, version {__version__}\n"
    unknown = process("snapshoot", cwd=tmp_path)
    assert (unknown.returncode, "snapshoot" in unknown.stderr) == (2, True)
    assert process("render", "--no-such-option", cwd=tmp_path).returncode == 2


def test_init_writes_into_a_device(kubelab: Kubelab, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert kubelab("init", "--force", "--file", str(pipe)).exit_code == 0
    assert (b"name: lab" in os.read(reader, 60_000), pipe.is_fifo()) == (True, True)
    os.close(reader)


def test_init_writes_the_sample_and_does_not_write_over_a_file(kubelab: Kubelab) -> None:
    assert kubelab("init").exit_code == 0
    assert Path("lab.yaml").read_text() == sample()
    Path("lab.yaml").write_text("mine")
    again = kubelab("init")
    assert (again.exit_code, Path("lab.yaml").read_text()) == (2, "mine")
    assert "--force" in again.stderr
    assert kubelab("init", "--force").exit_code == 0
    assert Path("lab.yaml").read_text() == sample()


def test_render_writes_once_and_then_says_unchanged(kubelab: Kubelab) -> None:
    lab("workers: {count: 1}")
    first = kubelab("render", "--json")
    assert (first.exit_code, events(first)["result"]["data"]["changed"]) == (0, True)
    written = Path("Vagrantfile").stat()
    assert "lab-w1" in Path("Vagrantfile").read_text()
    second = kubelab("render")
    assert second.exit_code == 0
    assert "unchanged" in second.stdout
    assert Path("Vagrantfile").stat() == written
    lab("workers: {count: 0}")
    assert events(kubelab("render", "--json"))["result"]["data"]["changed"]


def test_render_prints_what_kubeadm_would_read_and_writes_nothing(kubelab: Kubelab) -> None:
    keys = "cni: bridge\nkubelet: {maxPods: 90}\nartifacts: source\n"
    lab(f"{keys}kubeadm: {{schedulerExtraArgs: {{v: '2'}}}}\n")
    shown = kubelab("render", "--kubeadm")
    assert shown.exit_code == 0
    documents = {each["kind"]: each for each in yaml.safe_load_all(shown.stdout)}
    assert documents["KubeletConfiguration"]["maxPods"] == 90
    scheduler = documents["ClusterConfiguration"]["scheduler"]["extraArgs"]
    assert {"name": "v", "value": "2"} in scheduler
    assert not Path("Vagrantfile").exists()
    result = events(kubelab("render", "--kubeadm", "--json"))["result"]
    assert result["data"]["documents"] == shown.stdout
    lab(f"{keys}kubeadm: {{patches: nowhere}}\n")
    assert kubelab("render", "--kubeadm").exit_code == 2


def test_render_writes_beside_the_labs_file_wherever_it_is_called(kubelab: Kubelab) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/lab.yaml").write_text("name: other\n")
    assert kubelab("render", "--file", "elsewhere/lab.yaml").exit_code == 0
    assert "other-cp1" in Path("elsewhere/Vagrantfile").read_text()
    assert [path.name for path in Path().iterdir()] == ["elsewhere"]


@pytest.mark.parametrize("content", [b"Vagrant.configure(2)\n", b"\xff", b"", None])
def test_a_vagrantfile_of_the_users_own_is_never_written_over(
    kubelab: Kubelab, content: bytes | None
) -> None:
    lab()
    mine = Path("Vagrantfile")
    mine.mkdir() if content is None else mine.write_bytes(content)
    for arguments in (["render"], ["up", "--dry-run"], ["up"]):
        result = kubelab(*arguments)
        assert (result.exit_code, "is not kubelab's" in result.stderr) == (2, True), result.stderr
        assert "a folder of its own" in result.stderr
    assert mine.is_dir() if content is None else mine.read_bytes() == content


def test_two_labs_in_one_folder_have_a_vagrantfile_each(kubelab: Kubelab) -> None:
    for name in ("blue", "green"):
        Path(f"{name}.yaml").write_text(f"name: {name}\n")
        assert kubelab("render", "--file", f"{name}.yaml").exit_code == 0
    assert "blue-cp1" in Path("Vagrantfile").read_text()
    assert "green-cp1" in Path("Vagrantfile.green").read_text()
    for name in ("blue", "green"):
        again = kubelab("render", "--file", f"{name}.yaml", "--json")
        assert not events(again)["result"]["data"]["changed"]
    # One that has its place keeps it.
    Path("Vagrantfile").unlink()
    assert "Vagrantfile.green" in kubelab("render", "--file", "green.yaml").stdout
    assert not Path("Vagrantfile").exists()


@pytest.mark.parametrize("command", ["render", "up", "status", "destroy", "kubeconfig", "ssh-config"])
@pytest.mark.parametrize("text", ["wokers: {count: 1}\n", "workers: {cout: 1}\n"])
def test_an_unknown_key_is_refused_before_anything_is_written(
    kubelab: Kubelab, command: str, text: str
) -> None:
    lab(text)
    result = kubelab(command, "--json")
    assert result.exit_code == 2
    error = events(result)["error"]
    assert error["exit_code"] == 2
    assert f"did you mean `{'workers' if 'wokers' in text else 'count'}`?" in error["message"]
    assert [path.name for path in Path().iterdir()] == ["lab.yaml"]


def test_up_says_how_to_go_on_unless_lab_yaml_has_to_be_changed_first(kubelab: Kubelab) -> None:
    lab("wokers: {count: 1}\n")
    assert "resume" not in events(kubelab("up", "--json"))["error"]
    lab()
    assert events(kubelab("up", "--json"))["error"]["resume"] == "kubelab up"
    Path("my lab.yaml").write_text("name: lab\n")
    stopped = events(kubelab("up", "--json", "--file", "my lab.yaml"))["error"]
    assert stopped["resume"] == "kubelab up --file 'my lab.yaml'"


def test_without_a_lab_file_the_next_command_is_named(kubelab: Kubelab) -> None:
    result = kubelab("up")
    assert (result.exit_code, "kubelab init" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("provider: hosts\n", "provider"),
        ("controlPlanes: {count: 3}\n", "controlPlanes.count"),
        ('kubernetes: "1.12"\n', "kubernetes"),
    ],
)
def test_what_is_not_there_yet_says_so_before_anything_is_written(
    kubelab: Kubelab, text: str, key: str
) -> None:
    lab(text)
    for command in ("render", "status"):
        result = kubelab(command, "--json")
        assert result.exit_code == 2
        error = events(result)["error"]
        assert error["message"].startswith(f"{key}: ")
        assert not Path("Vagrantfile").exists()


def test_what_needs_a_cluster_says_how_to_get_one(kubelab: Kubelab) -> None:
    lab()
    for arguments in (["kubeconfig"], ["ssh-config"], ["kubectl", "get", "nodes"], ["ssh", "lab-cp1"]):
        result = kubelab(*arguments)
        assert (result.exit_code, "kubelab up" in result.stderr) == (1, True), arguments
    wrong = kubelab("ssh", "lab-cp2")
    assert (wrong.exit_code, "lab-cp1" in wrong.stderr) == (2, True)


def test_kubeconfig_is_printed_as_it_is_or_merged(kubelab: Kubelab) -> None:
    lab()
    state = Path(".kubelab/lab")
    state.mkdir(parents=True)
    user = {"name": "lab-admin", "user": {"client-key-data": "c2VjcmV0IGtleQ=="}}
    names = {"clusters": [{"name": "lab"}], "contexts": [{"name": "lab"}], "current-context": "lab"}
    text = json.dumps({"kind": "Config", "users": [user], **names})
    (state / "kubeconfig").write_text(text)
    assert kubelab("kubeconfig").stdout == text
    merged = kubelab("kubeconfig", "--into", "mine", "--json")
    assert events(merged)["result"]["data"] == {"file": "mine", "context": "lab"}
    assert "c2VjcmV0IGtleQ==" in Path("mine").read_text()
    assert kubelab("kubeconfig", "--merge").exit_code == 0
    assert Path("home/.kube/config").read_text() == Path("mine").read_text()


def test_behind_a_proxy_the_users_own_kubectl_is_thought_of(
    kubelab: Kubelab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab()
    state = Path(".kubelab/lab")
    state.mkdir(parents=True)
    names = {"clusters": [{"name": "lab"}], "contexts": [{"name": "lab"}], "current-context": "lab"}
    users = [{"name": "lab-admin"}]
    (state / "kubeconfig").write_text(json.dumps({"kind": "Config", "users": users, **names}))
    told = kubelab("kubeconfig", "--into", "mine")
    assert "NO_PROXY=127.0.0.1,localhost,::1,192.168.60.0/24,10.96.0.0/12" in told.stdout + told.stderr
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name)
    told = kubelab("kubeconfig", "--into", "mine")
    assert "NO_PROXY" not in told.stdout + told.stderr


def test_a_file_that_cannot_be_written_is_an_error_and_no_traceback(kubelab: Kubelab) -> None:
    Path("file").touch()
    result = kubelab("init", "--file", "file/lab.yaml")
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "file" in result.stderr
    assert "Traceback" in kubelab("init", "--file", "file/lab.yaml", "--debug").stderr


def test_a_second_command_on_the_same_lab_is_refused(kubelab: Kubelab) -> None:
    lab()
    hold = "import sys; from pathlib import Path; from provision.workspace import Workspace\n"
    hold += "with Workspace(Path(), 'lab').lock(): print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": CHECKOUT},
    )
    assert holder.stdout and holder.stdin
    with holder:
        holder.stdout.readline()
        result = kubelab("render")
        holder.stdin.close()
    assert (result.exit_code, "another kubelab command" in result.stderr) == (1, True)
    assert kubelab("render").exit_code == 0


@pytest.mark.parametrize("number", ["INT", "TERM"])
def test_an_interrupted_command_ends_with_130_and_takes_its_programs_along(
    tmp_path: Path, number: str
) -> None:
    # The first program that `doctor` starts interrupts it at once, when its start may not be over.
    stub = tmp_path / "ip"
    stub.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nkill -{number} $PPID\nexec sleep 60\n")
    stub.chmod(0o755)
    # A shell that starts the tests in the background has them ignore Ctrl-C, and so would the command.
    heed = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {MAIN[-1]}"
    path = {"PYTHONPATH": CHECKOUT, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = subprocess.run(
        [*MAIN[:-1], heed, "doctor"],
        env={**os.environ, **path},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (command.returncode, "interrupted" in command.stderr) == (130, True)
    assert "Traceback" not in command.stderr
    stat = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_damaged_box_does_not_hide_the_others(
    kubelab: Kubelab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    whole = '{"name": "good", "kubernetes": "1.36.3", "bundle": "b"}'
    contents = {"a": whole, "b": "{", "c": "[" * 200_000, "d": "[]", "e": '{"name": "x"}', "f": "\udcff"}
    for name, text in contents.items():
        folder = tmp_path / "cache/boxes" / name
        folder.mkdir(parents=True)
        (folder / "contents.json").write_bytes(text.encode(errors="surrogateescape"))
        (folder / "kubelab.box").touch()
    (tmp_path / "cache/boxes/a/kubelab.box").write_bytes(b"x" * 2**20)
    result = kubelab("box", "list")
    assert (result.exit_code, "good" in result.stdout) == (0, True)
    assert result.stderr.count("is damaged") == len(contents) - 1
    boxes = events(kubelab("box", "list", "--json"))["result"]["data"]["boxes"]
    assert [(box["name"], box["mib"]) for box in boxes] == [("good", 1)]


def test_files_of_the_lab_that_are_no_text_are_no_traceback(kubelab: Kubelab) -> None:
    lab()
    state = Path(".kubelab/lab")
    state.mkdir(parents=True)
    for name in ("kubeconfig", "ssh_config"):
        (state / name).write_bytes(b"\xff")
    assert kubelab("kubeconfig").stdout_bytes == b"\xff"
    # It is made anew from lab.yaml.
    assert kubelab("ssh-config").stdout.startswith("Host lab-cp1\n")
    machine = Path(".vagrant/machines/lab-cp1/libvirt/id")
    machine.parent.mkdir(parents=True)
    machine.write_bytes(b"\xff")
    result = kubelab("status")
    assert (result.exit_code, f"{machine.resolve()} is damaged" in result.stderr) == (1, True)


def test_a_folder_whose_name_is_no_utf8_is_refused(kubelab: Kubelab) -> None:
    folder = Path("caf\udce9")
    folder.mkdir()
    (folder / "lab.yaml").write_text("name: lab\n")
    result = kubelab("render", "--file", str(folder / "lab.yaml"))
    assert (result.exit_code, "not UTF-8" in result.stderr) == (2, True)
    assert [path.name for path in folder.iterdir()] == ["lab.yaml"]
