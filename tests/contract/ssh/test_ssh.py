"""ParamikoRunner against a real SSH server on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from provision.errors import (
    Cancelled,
    CommandFailed,
    CommandTimeout,
    ConnectFailed,
    LabError,
    RemoteError,
)
from provision.ssh import channel
from provision.ssh import runner as ssh
from provision.ssh.runner import ParamikoRunner
from tests.fakes.ssh import SshServer, new_key

SECRET = "abcdef.0123456789abcdef"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def runner(server: SshServer) -> Iterator[ParamikoRunner]:
    made = ParamikoRunner(server.endpoint(), timeout=5)
    yield made
    made.close()


def test_an_argv_reaches_the_program_as_it_is(runner: ParamikoRunner) -> None:
    result = runner.run(["printf", "%s|", "a b", "$HOME", "'", "*", ""])
    assert result.stdout == "a b|$HOME|'|*||"
    assert result.ok


def test_streams_and_exit_code_are_told_apart(runner: ParamikoRunner) -> None:
    result = runner.run("echo out; echo err >&2; exit 7", check=False)
    assert (result.stdout, result.stderr, result.code) == ("out\n", "err\n", 7)


def test_a_failure_carries_its_result_and_its_name(runner: ParamikoRunner) -> None:
    with pytest.raises(CommandFailed) as caught:
        runner.run("echo why >&2; exit 3", what="kubeadm join")
    assert str(caught.value) == "lab-cp1: `kubeadm join` ended with exit code 3"
    assert caught.value.details == "why"


def test_a_script_stops_at_its_first_error(runner: ParamikoRunner) -> None:
    result = runner.run("false\necho went on", check=False)
    assert (result.stdout, result.code) == ("", 1)
    assert "unset_name" in runner.run("echo $unset_name", check=False).stderr


def test_a_command_in_a_script_cannot_eat_the_rest_of_it(runner: ParamikoRunner) -> None:
    assert runner.run("cat\necho the rest ran").stdout == "the rest ran\n"


def test_a_heredoc_in_a_script_is_whole(runner: ParamikoRunner) -> None:
    assert runner.run("cat <<'END'\n$x `y`\nEND\necho after").stdout == "$x `y`\nafter\n"


def test_both_large_streams_are_drained_at_once(runner: ParamikoRunner) -> None:
    script = """
yes 0123456789abcde | head -c 1000000 >&2 &
yes fedcba987654321 | head -c 1000000
wait
"""
    result = runner.run(script, deadline=20)
    assert (len(result.stdout), len(result.stderr)) == (1_000_000, 1_000_000)
    assert set(result.stderr.splitlines()[:-1]) == {"0123456789abcde"}


def test_large_stdin_reaches_a_program_that_is_slow_to_read_it(runner: ParamikoRunner) -> None:
    text = "0123456789abcdef" * (2**20 // 4)
    result = runner.run(["sh", "-c", "sleep 0.2; sha256sum"], stdin=text, deadline=20)
    assert result.stdout.split()[0] == hashlib.sha256(text.encode()).hexdigest()


def test_a_program_that_leaves_its_stdin_unread_is_no_trouble(runner: ParamikoRunner) -> None:
    assert runner.run(["echo", "done"], stdin="x" * 4_000_000).stdout == "done\n"


def test_the_deadline_is_for_the_whole_command_and_its_output_is_kept(runner: ParamikoRunner) -> None:
    began = time.monotonic()
    with pytest.raises(CommandTimeout) as caught:
        runner.run("while :; do echo tick; sleep 0.05; done", deadline=0.25, what="a loop")
    assert time.monotonic() - began < 2
    assert caught.value.details.startswith("tick")
    assert "a loop" in str(caught.value)
    assert runner.run(["echo", "the connection lives"]).ok


def test_endless_output_does_not_outrun_the_deadline(runner: ParamikoRunner) -> None:
    with pytest.raises(CommandTimeout):
        runner.run(["yes"], deadline=0.2)


def test_a_server_that_never_starts_the_command_meets_the_deadline(
    server: SshServer, runner: ParamikoRunner
) -> None:
    runner.run(["true"])
    server.stuck.set()
    began = time.monotonic()
    with pytest.raises(CommandTimeout):
        runner.run(["true"], deadline=0.3)
    assert time.monotonic() - began < 2


def test_cancel_ends_a_running_command(server: SshServer) -> None:
    cancel = threading.Event()
    runner = ParamikoRunner(server.endpoint(), timeout=5, cancel=cancel)
    runner.run(["true"])
    timer = threading.Timer(0.1, cancel.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        runner.run(["sleep", "30"])
    assert time.monotonic() - began < 2
    runner.close()
    with pytest.raises(Cancelled):
        runner.run(["true"])


def test_a_connection_that_breaks_is_an_error_and_made_again(
    server: SshServer, runner: ParamikoRunner
) -> None:
    timer = threading.Timer(0.15, server.drop)
    timer.start()
    with pytest.raises(ConnectFailed) as caught:
        runner.run("echo begun; sleep 30", what="kubeadm init")
    assert "kubeadm init" in str(caught.value)
    assert runner.run(["echo", "again"]).stdout == "again\n"
    assert server.connections == 2


def test_a_connection_lost_while_idle_is_made_again_unseen(server: SshServer, runner: ParamikoRunner) -> None:
    runner.run(["true"])
    server.drop()
    assert runner.run(["echo", "again"]).stdout == "again\n"


def test_a_node_that_accepts_and_is_slow_to_speak_is_waited_for(
    server: SshServer, runner: ParamikoRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "TCP_SECONDS", 0.1)
    server.reluctance = 0.5
    assert runner.run(["echo", "here"]).stdout == "here\n"


def test_a_node_that_never_speaks_is_given_up_in_time(server: SshServer) -> None:
    server.reluctance = 60
    with pytest.raises(ConnectFailed, match=r"lab-cp1: no SSH connection .* no answer within 0.3 s"):
        ParamikoRunner(server.endpoint(), timeout=0.3).run(["true"])


CONNECT = """
import sys
from pathlib import Path
from provision.errors import ConnectFailed
from provision.ssh.runner import Endpoint, ParamikoRunner
port, key, known = sys.argv[1:]
endpoint = Endpoint("lab-cp1", "127.0.0.1", int(port), "vagrant", Path(key), Path(known))
try:
    ParamikoRunner(endpoint, timeout=0.5).run(["true"])
except ConnectFailed as error:
    print(error)
"""


def test_paramikos_own_thread_prints_no_traceback(server: SshServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:

        def hang_up() -> None:
            mute.accept()[0].close()

        accept = threading.Thread(target=hang_up)
        accept.start()
        known = server.endpoint()
        arguments = [str(mute.getsockname()[1]), str(known.key_file), str(known.known_hosts)]
        ended = subprocess.run(
            [sys.executable, "-c", CONNECT, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        accept.join()
    assert "lab-cp1" in ended.stdout
    assert ended.stderr == ""


def test_a_connection_that_breaks_after_the_output_ended_is_no_exit_code(
    server: SshServer, runner: ParamikoRunner
) -> None:
    server.rewrite = lambda line: f"exec {line.removeprefix('sudo -n ')}"
    timer = threading.Timer(0.15, server.drop)
    timer.start()
    with pytest.raises(ConnectFailed):
        runner.run(["sh", "-c", "exec >&- 2>&-; exec sleep 30"], check=False)


def test_a_command_ended_by_a_signal_has_failed(runner: ParamikoRunner) -> None:
    with pytest.raises(CommandFailed):
        runner.run(["sh", "-c", "kill -9 $$"], sudo=False)


def test_an_unknown_host_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.write_text("")
    with pytest.raises(ConnectFailed, match="known_hosts"):
        ParamikoRunner(server.endpoint(known_hosts=empty)).run(["true"])
    assert server.connections == 0


def test_without_any_recorded_key_no_connection_is_made(server: SshServer, tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed) as caught:
        ParamikoRunner(server.endpoint(known_hosts=tmp_path / "none")).run(["true"])
    assert caught.value.hint


def test_a_changed_host_key_is_refused_with_what_to_do(server: SshServer, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    server.write_known_hosts(other, new_key(tmp_path / "other_key"))
    with pytest.raises(ConnectFailed) as caught:
        ParamikoRunner(server.endpoint(known_hosts=other)).run(["true"])
    assert "another host key than the one recorded" in caught.value.message
    assert "kubelab destroy" in caught.value.hint
    assert server.connections == 0


def test_a_wrong_client_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    server.client_file = tmp_path / "stranger"
    new_key(server.client_file)
    with pytest.raises(ConnectFailed, match="Authentication failed"):
        ParamikoRunner(server.endpoint()).run(["true"])


def test_a_key_in_the_older_form_is_refused_for_what_it_is(server: SshServer, tmp_path: Path) -> None:
    server.client_file = tmp_path / "older"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(server.client_file))
    with pytest.raises(ConnectFailed, match="Authentication failed"):
        ParamikoRunner(server.endpoint()).run(["true"])


def test_pin_mode_accepts_the_key_and_returns_what_to_record(server: SshServer, tmp_path: Path) -> None:
    runner = ParamikoRunner(server.endpoint(known_hosts=tmp_path / "none", pin=True))
    assert runner.run(["echo", "hello"]).stdout == "hello\n"
    assert runner.host_key() == ("ssh-ed25519", server.host_key.get_base64())
    server.write_known_hosts(tmp_path / "none", new_key(tmp_path / "other_key"))
    runner.trust_recorded_key()
    assert runner.run(["true"]).ok
    runner.close()
    with pytest.raises(ConnectFailed):
        runner.run(["true"])


def test_a_key_is_taken_from_the_first_connection_and_no_other_is_accepted(
    server: SshServer, tmp_path: Path
) -> None:
    # Somebody in the network takes the address over, once the right machine has proved who it is.
    runner = ParamikoRunner(server.endpoint(known_hosts=tmp_path / "none", pin=True), timeout=5)
    right = server.host_key.get_base64()
    assert runner.run(["true"]).ok
    server.host_key = new_key(tmp_path / "other_key")
    server.drop()
    assert runner.host_key() == ("ssh-ed25519", right)
    with pytest.raises(ConnectFailed, match="has another host key than the one seen a moment ago"):
        runner.run(["true"])


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_a_command_that_says_without_end_is_ended_and_the_node_works_on(
    runner: ParamikoRunner, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setattr(channel, "MOST_MIB", 1)
    with pytest.raises(RemoteError, match="said more than 1 MiB"):
        runner.run(f"yes {stream}", deadline=60)
    with contextlib.closing(runner.shell()) as shell:
        with pytest.raises(RemoteError, match="said more than 1 MiB"):
            shell.run(f"yes {stream}", 60)
        assert shell.run("echo on", 5)[0] == b"on\n"


def test_a_shell_that_tells_no_exit_code_is_an_error(server: SshServer, runner: ParamikoRunner) -> None:
    server.rewrite = lambda line: f"{line} | sed -u 's/> 0$/> zero/'"
    with contextlib.closing(runner.shell()) as shell, pytest.raises(ConnectFailed, match="told no exit code"):
        shell.run("echo on", 5)


def test_put_and_get_keep_bytes_and_modes(runner: ParamikoRunner, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    target = tmp_path / "a folder" / "below" / "it's"
    runner.put(content, str(target), mode=0o640)
    assert runner.get(str(target)) == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in target.parents[:2]] == [0o755, 0o755]
    runner.put("text", str(target))
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("text", 0o644)
    assert [path.name for path in target.parent.iterdir()] == ["it's"]
    with pytest.raises(CommandFailed, match="read /no/such"):
        runner.get("/no/such")


def test_a_file_whose_bytes_did_not_all_arrive_replaces_nothing(
    server: SshServer, runner: ParamikoRunner, tmp_path: Path
) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    # A server that sees its connection break gives the program the end of its input, early.
    server.rewrite = lambda line: f"head -c 10 | {line.removeprefix('sudo -n ')}"
    with pytest.raises(CommandFailed):
        runner.put("x" * 1000, str(target))
    assert target.read_text() == "old"


def test_many_commands_share_one_connection(server: SshServer, runner: ParamikoRunner) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: runner.run(["echo", str(number)]).stdout, range(16)))
    assert results == [f"{number}\n" for number in range(16)]
    assert server.connections == 1


def test_what_travels_on_stdin_is_in_no_error(server: SshServer, runner: ParamikoRunner) -> None:
    said = []
    with pytest.raises(CommandFailed) as failed:
        runner.run(["sh", "-c", "cat >/dev/null; exit 1"], stdin=SECRET)
    said += [str(failed.value), failed.value.details]
    with pytest.raises(CommandFailed) as failed:
        runner.run(f"# join\ntoken={SECRET}\nexit 1")
    said += [str(failed.value), failed.value.details]
    with pytest.raises(CommandTimeout) as late:
        runner.run(["sh", "-c", "cat >/dev/null; sleep 30"], stdin=SECRET, deadline=0.2)
    said += [str(late.value), late.value.details]
    threading.Timer(0.1, server.drop).start()
    with pytest.raises(ConnectFailed) as broken:
        runner.run(["sh", "-c", "cat >/dev/null; sleep 30"], stdin=SECRET)
    said += [str(broken.value), broken.value.details]
    assert SECRET not in "\n".join(said)


@pytest.mark.parametrize("content", [b"", b"\xff", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz"])
def test_a_damaged_private_key_names_its_file(server: SshServer, tmp_path: Path, content: bytes) -> None:
    server.client_file = tmp_path / "cut"
    server.client_file.write_bytes(content)
    with pytest.raises(LabError, match=f"{server.client_file}, the lab's SSH key, is damaged"):
        ParamikoRunner(server.endpoint()).run(["true"])
    server.client_file.unlink()
    with pytest.raises(LabError, match=f"{server.client_file}, the lab's SSH key, cannot be read"):
        ParamikoRunner(server.endpoint()).run(["true"])


@pytest.mark.parametrize("content", [b"127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1N\n", b"\xff\xfe\n"])
def test_a_damaged_known_hosts_names_its_file(server: SshServer, tmp_path: Path, content: bytes) -> None:
    known = tmp_path / "known"
    known.write_bytes(content)
    with pytest.raises(LabError, match=f"{known} is damaged") as caught:
        ParamikoRunner(server.endpoint(known_hosts=known)).run(["true"])
    assert "kubelab up" in caught.value.hint
