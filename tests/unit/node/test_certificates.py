"""The script that reads a control plane's certificates, run for real on files of a test."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from provision.errors import Result
from provision.node.certificates import expiries
from tests.fakes.lab import make_context
from tests.fakes.node.credentials import CLIENT, PKI, at, certificate
from tests.fakes.node.runner import Call, FakeRunner

KEY = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n"


class Files(FakeRunner):
    """A node whose files lie in `root`."""

    def __init__(self, root: Path) -> None:
        super().__init__("lab-cp1", [(lambda call: True, self._execute)])
        self.root = root
        self.said = ""

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _execute(self, call: Call) -> Result:
        script = call.command.replace(" /etc/", f" {self.root}/etc/").replace(" /var/", f" {self.root}/var/")
        done = subprocess.run(["sh", "-eu"], input=script, text=True, capture_output=True, check=False)
        self.said = done.stdout
        return Result(done.stdout.replace(str(self.root), ""), done.stderr, done.returncode)


def test_the_first_to_end_comes_first_and_no_key_leaves_the_node(tmp_path: Path) -> None:
    context, node = make_context(tmp_path / "lab"), Files(tmp_path / "node")
    node.write(f"{PKI}/ca.crt", certificate(3000))
    node.write(f"{PKI}/ca.key", KEY)
    node.write(f"{PKI}/etcd/server.crt", certificate(200))
    # The kubelet keeps its key in the same file, and a certificate may come with those that signed it.
    node.write(CLIENT, certificate(250) + certificate(100) + KEY)
    data, secret = (base64.b64encode(text.encode()).decode() for text in (certificate(50), KEY))
    node.write(
        "/etc/kubernetes/admin.conf",
        f"    client-certificate-data: {data}\n    client-key-data: {secret}\n",
    )
    node.write("/etc/kubernetes/kubelet.conf", f"    client-certificate: {CLIENT}\n")
    found = expiries(context.inventory.first, node, 5)
    assert [(each.file, each.end) for each in found] == [
        ("/etc/kubernetes/admin.conf", at(50)),
        (CLIENT, at(100)),
        (f"{PKI}/etcd/server.crt", at(200)),
        (f"{PKI}/ca.crt", at(3000)),
    ]
    assert [each.days(at(99.5)) for each in found] == [-50, 0, 100, 2900]
    assert "PRIVATE" not in node.said
    assert secret not in node.said


def test_a_node_without_any_has_none(tmp_path: Path) -> None:
    assert expiries(make_context(tmp_path / "lab").inventory.first, Files(tmp_path / "node"), 5) == []
