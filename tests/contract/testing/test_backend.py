"""The root shell of a node, and testinfra over it, against a real SSH server on loopback."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provision.config.inventory import inventory_of
from provision.engine.waiting import RealClock, poll_until
from provision.errors import Cancelled, CommandFailed, CommandTimeout, ConnectFailed
from provision.node.runner import run_in
from provision.ssh.runner import ParamikoRunner
from provision.ssh.shell import RootShell
from provision.testing.node import LabNode
from tests.fakes.config import make_config
from tests.fakes.ssh import SshServer, new_key

DEADLINE = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def runner(server: SshServer) -> Iterator[ParamikoRunner]:
    made = ParamikoRunner(server.endpoint(), timeout=5)
    yield made
    made.close()


@pytest.fixture
def shell(runner: ParamikoRunner) -> Iterator[RootShell]:
    made = runner.shell()
    yield made
    made.close()


@pytest.fixture
def node(runner: ParamikoRunner) -> Iterator[LabNode]:
    first = inventory_of(make_config()).first
    made = LabNode(first, runner.shell, lambda seconds: seconds / 10)
    yield made
    made.disconnect()


def count_shells(server: SshServer) -> list[str]:
    """Return a list that gets every command line the server is given from now on."""
    lines: list[str] = []

    def note(line: str) -> str:
        lines.append(line)
        return line

    server.rewrite = note
    return lines


def gone(pid: int) -> None:
    """Wait until a process has ended."""

    def ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    poll_until(ended, what=f"the end of process {pid}", deadline=DEADLINE, clock=RealClock(), interval=0.05)


def test_streams_and_exit_code_are_told_apart(shell: RootShell) -> None:
    assert shell.run("echo out; echo err >&2; exit 7", DEADLINE) == (b"out\n", b"err\n", 7)
    assert shell.run("printf 'no newline'; printf neither >&2", DEADLINE) == (b"no newline", b"neither", 0)
    assert shell.run("kill -TERM $(exec sh -c 'echo $PPID')", DEADLINE)[2] == 128 + 15


def test_many_commands_share_one_shell(server: SshServer, shell: RootShell) -> None:
    lines = count_shells(server)
    assert [shell.run(f"exit {code}", DEADLINE)[2] for code in (0, 1, 2)] == [0, 1, 2]
    assert lines == ["sudo -n sh"]
    assert server.connections == 1


def test_a_command_leaves_nothing_to_the_next(shell: RootShell) -> None:
    shell.run("cd /; x=1; umask 000; set -eu; trap 'echo trapped' EXIT; exec >/dev/null 2>&1", DEADLINE)
    assert shell.run('echo "$x"; umask; pwd', DEADLINE)[0] == f"\n{_umask()}\n{Path.cwd()}\n".encode()


def test_a_command_has_no_input(shell: RootShell) -> None:
    assert shell.run("cat; echo after", DEADLINE) == (b"after\n", b"", 0)
    assert shell.run("echo next", DEADLINE) == (b"next\n", b"", 0)


def test_a_script_ends_at_its_first_failure_and_is_named_by_what_it_does(shell: RootShell) -> None:
    assert run_in(shell, "lab-w1", "echo all\necho right", deadline=DEADLINE, what="greet") == "all\nright\n"
    with pytest.raises(CommandFailed, match="greet"):
        run_in(shell, "lab-w1", "false\necho later", deadline=DEADLINE, what="greet")
    with pytest.raises(CommandTimeout, match="`greet` did not end") as late:
        run_in(shell, "lab-w1", "echo here; exec cat /dev/zero >/dev/null", deadline=0.5, what="greet")
    assert late.value.details == "here"


def test_text_that_is_no_shell_breaks_nothing(shell: RootShell) -> None:
    for wrong in ("echo 'open", "if", "( ", "}", "echo $("):
        out, err, code = shell.run(wrong, DEADLINE)
        assert (out, code) == (b"", 2)
        assert b"yntax error" in err
    assert shell.run("echo 'a\nb' # end", DEADLINE) == (b"a\nb\n", b"", 0)


def test_both_large_streams_are_drained_at_once(shell: RootShell) -> None:
    script = "yes 0123456789abcde | head -c 3000000 >&2 & yes fedcba987654321 | head -c 3000000; wait"
    out, err, code = shell.run(script, DEADLINE)
    assert (len(out), len(err), code) == (3_000_000, 3_000_000, 0)
    assert set(out.split()) == {b"fedcba987654321"}
    assert set(err.split()) == {b"0123456789abcde"}


def test_a_large_command_arrives_whole(shell: RootShell) -> None:
    text = "0123456789abcdef" * 2**16
    assert shell.run(f"text='{text}'; echo ${{#text}}", DEADLINE)[0] == f"{len(text)}\n".encode()


def test_bytes_stay_as_they_are(shell: RootShell, tmp_path: Path) -> None:
    content = bytes(range(256)) * 300
    (tmp_path / "file").write_bytes(content)
    assert shell.run(f"cat {tmp_path}/file; cat {tmp_path}/file >&2", DEADLINE) == (content, content, 0)


def test_a_command_that_outruns_its_deadline_is_killed_and_named(shell: RootShell, tmp_path: Path) -> None:
    with pytest.raises(CommandTimeout) as late:
        shell.run(f"echo so far; sh -c 'echo $$ >{tmp_path}/pid; sleep 300'; true", 1.0)
    assert str(late.value).startswith("lab-cp1: `echo so far; sh -c")
    assert str(late.value).endswith("did not end within 1 s")
    assert late.value.details == "so far"
    gone(int((tmp_path / "pid").read_text()))
    assert shell.run("echo next", DEADLINE) == (b"next\n", b"", 0)


def test_endless_output_does_not_outrun_the_deadline(shell: RootShell) -> None:
    with pytest.raises(CommandTimeout):
        shell.run("yes", 0.5)
    assert shell.run("echo next", DEADLINE)[0] == b"next\n"


def test_a_shell_that_was_ended_is_an_error_and_made_again(shell: RootShell) -> None:
    with pytest.raises(ConnectFailed, match="the root shell ended during `echo why"):
        shell.run("echo why >&2; kill -KILL $$", DEADLINE)
    assert shell.run("echo next", DEADLINE)[0] == b"next\n"


def test_a_connection_that_breaks_is_an_error_and_made_again(server: SshServer, shell: RootShell) -> None:
    assert shell.run("echo first", DEADLINE)[0] == b"first\n"
    threading.Timer(0.2, server.drop).start()
    with pytest.raises(ConnectFailed, match=r"lab-cp1: .*`sleep 300`"):
        shell.run("sleep 300", DEADLINE)
    assert shell.run("echo next", DEADLINE)[0] == b"next\n"
    assert server.connections == 2


def test_a_connection_lost_while_idle_is_made_again_unseen(
    server: SshServer, runner: ParamikoRunner, shell: RootShell
) -> None:
    shell.run("true", DEADLINE)
    runner.close()
    assert shell.run("echo next", DEADLINE)[0] == b"next\n"
    assert server.connections == 2


def test_a_sudo_that_refuses_says_why(server: SshServer, shell: RootShell) -> None:
    server.rewrite = lambda line: "echo 'sudo: a password is required' >&2; exit 1"
    with pytest.raises(ConnectFailed, match="sudo: a password is required"):
        shell.run("true", DEADLINE)


def test_a_strangers_host_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    server.write_known_hosts(other, new_key(tmp_path / "other_key"))
    with pytest.raises(ConnectFailed, match="another host key than the one recorded"):
        ParamikoRunner(server.endpoint(known_hosts=other)).shell().run("true", DEADLINE)
    assert server.connections == 0


def test_commands_of_several_threads_do_not_mix(server: SshServer, shell: RootShell) -> None:
    lines = count_shells(server)

    def ask(number: int) -> tuple[bytes, bytes, int]:
        return shell.run(
            f"for i in 1 2 3; do echo {number}; echo {number} >&2; done; exit {number}", DEADLINE
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(32)))
    for number, answer in enumerate(answers):
        assert answer == (f"{number}\n".encode() * 3, f"{number}\n".encode() * 3, number)
    assert lines == ["sudo -n sh"]


def test_cancel_ends_a_running_command(runner: ParamikoRunner, shell: RootShell) -> None:
    shell.run("true", DEADLINE)
    threading.Timer(0.2, runner.cancel.set).start()
    with pytest.raises(Cancelled, match="sleep 300"):
        shell.run("sleep 300", DEADLINE)


def test_testinfra_quotes_arguments_and_knows_the_exit_code(node: LabNode) -> None:
    ended = node.run("printf %%s %s; echo wrong >&2; exit 3", "a 'b' $HOME *")
    assert (ended.stdout, ended.stderr, ended.rc) == ("a 'b' $HOME *", "wrong\n", 3)
    assert not ended.succeeded
    assert node.check_output("echo '50%'") == "50%"
    with pytest.raises(AssertionError, match="Unexpected exit code 1"):
        node.check_output("false")


def test_testinfra_modules_work(node: LabNode, tmp_path: Path) -> None:
    file = tmp_path / "it's a file"
    file.write_bytes("bytes \xff".encode("latin-1"))
    assert node.file(str(file)).exists
    assert node.file(str(file)).content == file.read_bytes()
    assert not node.file(str(tmp_path / "none")).exists
    assert node.check_output("echo 'grüße'") == "grüße"
    assert node.sysctl("kernel.ostype") == "Linux"
    assert node.exists("sh")


def test_a_timeout_is_scaled_and_names_node_and_command(node: LabNode) -> None:
    with pytest.raises(CommandTimeout, match="lab-cp1: `sleep 300` did not end"):
        node.run("sleep 300", timeout=5)


def test_a_node_connects_again_after_it_was_disconnected(server: SshServer, node: LabNode) -> None:
    lines = count_shells(server)
    assert node.check_output("echo first") == "first"
    node.disconnect()
    assert node.check_output("echo second") == "second"
    assert lines == ["sudo -n sh"] * 2


def _umask() -> str:
    mask = os.umask(0)
    os.umask(mask)
    return f"{mask:04o}"
