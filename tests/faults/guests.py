"""The lab's nodes: SSH servers in this process that do what kubelab's scripts ask for, or something else."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko

from provision.errors import Result
from provision.node.clock import SHOW
from tests.fakes.node.clock import NodeClock
from tests.fakes.node.credentials import CLIENT, NOW, PKI, certificate, kubeconfig
from tests.fakes.node.runner import OK, Call
from tests.fakes.repair import Machine
from tests.fakes.snapshots import prepared
from tests.fakes.ssh import SshServer, new_key
from tests.fakes.stubs import api_kubectl, trap

# What a script is for, by a part of it; the first that fits.
PURPOSES = {
    "== units": "survey",
    "== machine": "prepare to be saved",
    "openssl x509": "sign",
    "openssl req": "renew certificates",
    "certs renew": "renew certificates",
    "mv -Tf": "install certificates",
    "product_uuid": "machine id",
    "/var/lib/kubelab/provision": "scripts of lab.yaml",
    "swapoff -a": "prepare",
    "/proc/swaps": "probe",
    "echo working": "state of kubeadm",
    "init phase addon": "add-ons",
    "kubeadm init": "kubeadm init",
    "kubeadm join": "kubeadm join",
    "-s /etc/kubernetes/pki/ca.crt": "join credentials",
    "/etc/kubernetes/admin.conf": "admin.conf",
    "/proc/$$/stat": "shell",
    "kill -9 -": "end of a shell",
    SHOW: "clock",
    "systemctl restart kubelet": "restart",
    "echo booted": "greet",
}
FRAME = re.compile(
    rb"printf '([0-9a-f]{16})<\\n'; printf '\1<\\n' >&2\n\( eval (.*?) \) </dev/null\nkubelab_code=[^\n]*\n",
    re.DOTALL,
)
# What a guest answers that belongs to an attacker; each would touch the file PWNED, if it were run.
PWNED = "pwned-by-the-guest"
SAYS: dict[str, Any] = {
    "exec": lambda: _admin_conf(exec={"apiVersion": "client.authentication.k8s.io/v1", "command": PWNED}),
    "token file": lambda: _admin_conf(tokenFile=f"/etc/{PWNED}"),
    "an end of a here-document": lambda: f"REQUEST\ntouch /{PWNED}\n",
    "an end in a certificate": lambda: f"== lab-w1\nCERTIFICATE\ntouch /{PWNED}\n",
    "escapes": lambda: f"\x1b]0;{PWNED}\x07\x1b[2J\u202e\n",
    "no text": lambda: "\x00\ufffd" * 100,
    "nothing": lambda: "",
    "a huge number": lambda: "9" * 5000 + "\n",
    "another id": lambda: "00000000-0000-4000-8000-000000000000\n",
}


def days(count: float) -> float:
    """Return the days from the fakes' present to `count` days from now."""
    return (time.time() - NOW) / 86400 + count


def _admin_conf(**user: Any) -> str:
    import yaml

    document = yaml.safe_load(kubeconfig(days(365)))
    document["users"][0]["user"] = user
    return yaml.safe_dump(document)


class Guest(SshServer):
    """One node. `bin` is the folder of the stubs, in which its own file is; `scripts` is all it was told."""

    def __init__(self, name: str, folder: Path, bin: Path, key: Path) -> None:
        self.name, self.bin, self._key = name, bin, key
        self.file = bin / "guests" / name
        self.scripts: list[str] = []
        self.unknown: list[str] = []
        self.clock = NodeClock()
        self.machine = Machine(name, time.time, name.endswith("cp1"), [])
        self.aged = False
        self.lock = threading.Lock()
        super().__init__(folder)
        self.own_key = self.host_key

    @property
    def client_key(self) -> paramiko.PKey:
        """Return the key that may log in: as on a real machine, the one of the lab that made it."""
        with contextlib.suppress(OSError, ValueError, IndexError, paramiko.SSHException):
            text = self._key.with_name(f"{self._key.name}.pub").read_text()
            kind, data, _ = text.split()
            return paramiko.PKey.from_type_string(kind, base64.b64decode(data))
        return paramiko.RSAKey.generate(1024)

    @client_key.setter
    def client_key(self, key: paramiko.PKey) -> None:
        """Ignore that of the server in general."""

    def reset(self, *, aged: bool = False) -> None:
        """Forget all that happened; an `aged` node's kubelet has a certificate that ended."""
        self.drop()
        self.host_key = self.own_key
        self.scripts, self.unknown, self.clock = [], [], NodeClock()
        self.aged = aged
        self.machine = Machine(self.name, time.time, self.name.endswith("cp1"), [])
        left = days(-1 if aged else 200)
        self.machine.files = {CLIENT: left, f"{PKI}/ca.crt": days(3000)}

    def change_host_key(self) -> None:
        """Be another machine from the next connection on."""
        self.host_key = new_key(self.folder / "host_key")

    def execute(self, channel: paramiko.Channel, line: str) -> None:
        """Do what a command line says, a root shell or a script on standard input."""
        with contextlib.suppress(OSError, EOFError, TimeoutError, paramiko.SSHException):
            if line == "sudo -n sh":
                for nonce, script in self._frames(channel):
                    self._say(channel, self.answer(script, channel), nonce)
            else:
                given = b"".join(iter(lambda: channel.recv(65536), b"")).decode(errors="replace")
                result = self.answer(given if line.endswith("sh -eu") else line, channel)
                self._say(channel, result)
                channel.send_exit_status(result.code)
            channel.close()

    def answer(self, script: str, channel: paramiko.Channel) -> Result:
        """Return what the node says to a script, between its two traps."""
        purpose = next((name for part, name in PURPOSES.items() if part in script), "")
        self.scripts.append(script)
        # One that was cut off by the end of the connection is empty.
        if not purpose and script:
            self.unknown.append(script)
        call = f"{self.name}: {purpose}"
        other = self._deviate(trap.pending(str(self.bin), "ssh", call, "before"), channel)
        if other is not None:
            return other
        with self.lock:
            result = self._obey(purpose, script)
        return self._deviate(trap.pending(str(self.bin), "ssh", call, "after"), channel) or result

    def _deviate(self, deeds: list[str], channel: paramiko.Channel) -> Result | None:
        """Do what a trap wants; return what is said in place of the answer, None for the answer itself."""
        for deed in deeds:
            if deed in trap.SIGNALS:
                trap.tell(trap.kubelab(str(self.bin)), deed)
            elif deed in ("hang", "hang past the deadline"):
                # Not the next command: this thread may learn late that its own has ended.
                pid = trap.kubelab(str(self.bin))
                while not channel.closed and not self.closing.is_set():
                    time.sleep(trap.STEP)
                    if deed != "hang":
                        trap.tell(pid, trap.LATE)
            elif deed == "endless":
                while True:
                    channel.sendall(b"all work and no play makes a dull boy\n" * 1000)
            elif deed == "another key":
                self.change_host_key()
                self.drop()
            elif deed == "die":
                self.drop()
            elif deed == "garbage":
                return Result(trap.GARBAGE.decode(errors="replace"), "", 0)
            elif deed == "fail":
                return Result("", "sh: it was made to fail here\n", 1)
            else:
                return Result(SAYS[deed](), "", 0)
        return None

    def _obey(self, purpose: str, script: str) -> Result:
        state = json.loads(self.file.read_text()) if self.file.exists() else {}
        before = dict(state)
        result = self._work(purpose, script, state)
        if state != before:
            self.file.write_text(json.dumps(state))
        return result

    def _work(self, purpose: str, script: str, state: dict[str, Any]) -> Result:
        """Do what a script is for, and change `state` as it would change the node; return what it says."""
        call = Call(script, True, "", 1, "")
        finished = state.get("kubeadm") == "finished"
        if purpose == "prepare":
            state["prepared"] = True
        elif purpose in ("kubeadm init", "kubeadm join"):
            state["kubeadm"] = "finished"
        elif purpose in ("survey", "sign", "renew certificates", "install certificates", "restart"):
            return self.machine.answer(call)
        elif purpose == "clock":
            return self.clock.answer(call)
        elif purpose == "prepare to be saved":
            return prepared(state["id"].upper(), days(-1 if self.aged else 200), days(200))
        elif purpose == "probe":
            return Result("speed 10\n", "", 0 if state.get("prepared") else 1)
        elif purpose == "admin.conf" and not finished:
            return Result("", "cat: no such file\n", 1)
        said: dict[str, Callable[[], str]] = {
            "machine id": lambda: f"{state['id'].upper()}\n",
            "state of kubeadm": lambda: f"{state['kubeadm']}\n",
            "join credentials": lambda: certificate(days(3650)) if finished else "",
            "admin.conf": lambda: kubeconfig(days(365)),
            "shell": lambda: "424242\n",
        }
        return Result(said[purpose](), "", 0) if purpose in said else OK

    def _frames(self, channel: paramiko.Channel) -> Iterator[tuple[str, str]]:
        """Yield nonce and script of every command that a root shell is given."""
        buffer = b""
        while data := channel.recv(65536):
            buffer += data
            while found := FRAME.search(buffer):
                buffer = buffer[found.end() :]
                (script,) = shlex.split(found[2].decode())
                yield found[1].decode(), script

    def _say(self, channel: paramiko.Channel, result: Result, nonce: str = "") -> None:
        out, err = result.stdout, result.stderr
        if nonce:
            out, err = f"{nonce}<\n{out}{nonce}> {result.code}\n", f"{nonce}<\n{err}{nonce}>\n"
        # What is written last on standard output ends the command, so the other stream is first.
        channel.sendall_stderr(err.encode(errors="replace"))
        channel.sendall(out.encode(errors="replace"))


ADDRESSES = {f"lab-{place}": ip for place, ip in api_kubectl.ADDRESSES.items()}
