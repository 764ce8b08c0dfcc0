"""Plain pytest-testinfra with what `kubelab ssh-config` and `kubelab inventory` give."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.ssh.host_keys import ssh_config
from tests.fakes.lab import make_lab
from tests.fakes.ssh import SshServer

TESTS = """
def test_who_and_where(host):
    assert host.check_output("id -un") == "root"
    assert host.file("/etc/hostname").exists


def test_exit_code_and_streams(host):
    done = host.run("echo out; echo err >&2; exit 3")
    assert (done.rc, done.stdout, done.stderr) == (3, "out\\n", "err\\n")
"""


@pytest.mark.parametrize("hosts", ["ssh://lab-cp1", "paramiko://lab-cp1"])
def test_a_users_testinfra_reaches_a_node_with_our_ssh_config(tmp_path: Path, hosts: str) -> None:
    root = tmp_path / "my lab"
    root.mkdir()
    lab = make_lab(root, workers={"count": 0})
    space = lab.ctx.workspace
    with SshServer(tmp_path / "server") as server:
        server.rewrite = lambda line: line.removeprefix("sudo ")
        # The test's server listens on loopback, at a port that was free.
        text = ssh_config(lab.ctx.workspace, lab.ctx.inventory).replace("192.168.60.11", server.host)
        space.ssh_config.write_text(text.replace("Port 22\n", f"Port {server.port}\n"))
        space.ssh_key.write_bytes(server.client_file.read_bytes())
        space.ssh_key.chmod(0o600)
        space.known_hosts.write_text(server.known_hosts.read_text())
        (tmp_path / "test_node.py").write_text(TESTS)
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "test_node.py"]
        argv += [f"--hosts={hosts}", f"--ssh-config={space.ssh_config}", "--sudo"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            argv, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        assert server.connections > 0
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"PASSED test_node.py::test_who_and_where[{hosts}]" in done.stdout
