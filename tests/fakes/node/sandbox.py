"""Nodes and an API server made of shell stubs: the scripts of the steps run for real, in folders of a test.

A node's absolute paths are rewritten into its folder, and its PATH holds harmless tools and stubs alone.
"""

from __future__ import annotations

import datetime as dt
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from provision.cluster.health import KUBE_SYSTEM
from provision.cluster.kubectl import Kubectl
from provision.cluster.leaders import LEADERS
from provision.errors import CommandFailed, Result
from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.runner import FakeShell

TOOLS = ("base64", "cat", "chmod", "cp", "dirname", "grep", "gzip", "ls", "mkdir", "mv", "rm", "sed", "sh")
TOOLS += ("sha256sum", "tail", "touch", "wc")
IMAGES = {
    "pause": "registry.k8s.io/pause:3.10.2",
    "etcd": "registry.k8s.io/etcd:3.6.8-0",
    "coredns": "registry.k8s.io/coredns/coredns:v1.14.1",
}
KUBEADM = """
kube=etc/kubernetes
joined() {{ mkdir -p $kube; echo kubelet-client-current.pem > $kube/kubelet.conf; touch {api}/nodes/{name}; }}
case "$1 $2" in
"init phase") touch {api}/addons;;
init*) mkdir -p $kube/pki; cp ca.crt $kube/pki; cp admin.conf $kube; joined; touch {api}/ready {api}/addons;;
join*)
    if [ -e {api}/nodes/{name} ]; then echo "a Node {name} already exists in the cluster"; exit 1; fi
    joined;;
reset*) rm -rf $kube/pki $kube/*.conf;;
esac
"""
_ABSOLUTE = re.compile(r"(?<![\w./+-])/(?=(?:boot|etc|home|lib|opt|proc|root|run|srv|sys|usr|var)\b)")
_ROOT = re.compile(r"(?<=-C )/(?=\s)")

SYSTEMCTL = 'case "$*" in *is-active*) test -e active;; *) exit 1;; esac'
# Does the work before it returns, so that a test needs no waiting.
SYSTEMD_RUN = """
printf 'systemd-run %s\\n' "$*" >> calls
while :; do case $1 in --*) shift;; *) break;; esac; done
touch active; "$@"; rm active
"""
# Nothing is unpacked anywhere but in the node's folder.
TAR = 'case "$*" in *"-C $root"*) exec {tar} "$@";; *) echo "tar $*" >&2; exit 97;; esac'
SLEEP = "echo pause >> pauses; if test -e on-pause; then . ./on-pause; fi"


class Sandbox:
    """A node: a Runner whose `/` is the folder `root`. Stubs run in that folder and see it as `$root`.

    The file `active` there says that the unit is at work, `calls` is what was started.
    """

    def __init__(self, node: str, root: Path) -> None:
        self.node = node
        self.root = root
        self.bin = root / "stubs"
        self.bin.mkdir(parents=True)
        self.whats: list[str] = []
        self.after: Callable[[str], None] = lambda script: None
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or "/missing")
        self.program("systemctl", SYSTEMCTL)
        self.program("systemd-run", SYSTEMD_RUN)
        self.program("sleep", SLEEP)
        self.program("tar", TAR.format(tar=shutil.which("tar")))
        self.kubeadm("")

    def program(self, name: str, body: str) -> None:
        """Put a program on the node's PATH."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\nroot={shlex.quote(str(self.root))}\ncd $root\n{body}\n")
        file.chmod(0o755)

    def kubeadm(self, body: str) -> None:
        """Let kubeadm do this, after its arguments were written down."""
        self.program("kubeadm", f"printf 'kubeadm %s\\n' \"$*\" >> calls\n{body}")

    def on_pause(self, body: str) -> None:
        """Let this happen at every pause of a script that waits."""
        (self.root / "on-pause").write_text(body)

    def path(self, path: str) -> Path:
        """Return where an absolute path of the node lies."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str = "") -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def shell(self) -> FakeShell:
        return FakeShell(self)

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def pauses(self) -> int:
        log = self.root / "pauses"
        return len(log.read_text().splitlines()) if log.exists() else 0

    @property
    def verbs(self) -> list[str]:
        """Return what kubeadm was asked to do, such as "init"; its phases by their full names."""
        asked = [call.split()[1:] for call in self.calls if call.startswith("kubeadm")]
        return [" ".join(words[:3]) if words[1:2] == ["phase"] else words[0] for words in asked]

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = True,
        stdin: str = "",
        deadline: float = 60.0,
        check: bool = True,
        what: str = "",
    ) -> Result:
        self.whats.append(what)
        text = command if isinstance(command, str) else shlex.join(command)
        here = _ROOT.sub(f"{self.root}", _ABSOLUTE.sub(f"{self.root}/", text))
        script = f"main() {{\n{here}\n}}\nmain </dev/null\n"
        done = subprocess.run(
            ["/bin/sh", "-eu"],
            input=script,
            capture_output=True,
            text=True,
            env={"PATH": str(self.bin)},
            cwd=self.root,
            check=False,
        )
        self.after(text)
        result = Result(done.stdout, done.stderr, done.returncode)
        if check and not result.ok:
            raise CommandFailed(self.node, what or text[:60], result)
        return result

    def put(self, content: str | bytes, path: str, *, mode: int = 0o644) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_bytes(content.encode() if isinstance(content, str) else content)
        self.path(path).chmod(mode)

    def get(self, path: str) -> bytes:
        try:
            return self.path(path).read_bytes()
        except FileNotFoundError:
            raise CommandFailed(self.node, f"read {path}", Result("", "no such file", 1)) from None


class Api:
    """The cluster as a stub of kubectl shows it, kept in files that stubs of kubeadm may change.

    `ready`: the API server answers; `addons`: they are there; `nodes/NAME`: the Node objects;
    `leases/NAMESPACE/NAME`: the Leases, with when they were renewed.
    """

    def __init__(self, root: Path, kubectl: Kubectl) -> None:
        self.root = root
        self.clock = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
        self.kubeconfig = kubectl.kubeconfig
        (root / "nodes").mkdir(parents=True)
        for name in LEADERS:
            self.renew(name)
        kubectl.program.parent.mkdir(parents=True, exist_ok=True)
        kubectl.program.write_text(f"""#!/bin/sh
shift 2
cd {shlex.quote(str(root))}
printf '%s\\n' "$*" >> calls
test -e ready || {{ echo "connection refused" >&2; exit 1; }}
case "$*" in
"get --raw"*) ;;
*coredns*) test -e addons;;
"get nodes"*)
    printf '{{"items": ['
    comma=
    for name in $(ls nodes); do printf '%s{{"metadata": {{"name": "%s"}}}}' "$comma" "$name"; comma=,; done
    printf ']}}';;
"get leases"*)
    printf '{{"items": ['
    comma=
    for lease in leases/*/*; do
        path=${{lease#*/}}
        printf '%s{{"metadata": {{"namespace": "%s", "name": "%s"}}, ' "$comma" "${{path%/*}}" "${{path#*/}}"
        printf '"spec": {{"renewTime": "%s"}}}}' "$(cat "$lease")"
        comma=,
    done
    printf ']}}';;
"delete leases"*) shift 4; for name; do rm -f "leases/kube-system/$name"; done;;
"delete node"*) rm -f "nodes/$3";;
apply*) cat > applied;;
*) echo "unscripted: $*" >&2; exit 99;;
esac
""")
        kubectl.program.chmod(0o755)

    def set(self, *names: str) -> None:
        """Make these files: `set("ready", "nodes/lab-w1")`."""
        for name in names:
            (self.root / name).touch()

    def reached(self) -> None:
        """Let the host have a kubeconfig, and the API server answer with all add-ons."""
        self.kubeconfig.write_text("{}")
        self.set("ready", "addons")

    def renew(self, name: str, seconds_ago: float = 0.0, namespace: str = KUBE_SYSTEM) -> None:
        """Let a leader, or in the namespace of nodes a kubelet, have renewed its Lease."""
        lease = self.root / "leases" / namespace / name
        lease.parent.mkdir(parents=True, exist_ok=True)
        lease.write_text((self.clock - dt.timedelta(seconds=seconds_ago)).isoformat())

    @property
    def leaders(self) -> set[str]:
        return {path.name for path in (self.root / "leases" / KUBE_SYSTEM).iterdir()}

    @property
    def nodes(self) -> set[str]:
        return {path.name for path in (self.root / "nodes").iterdir()}

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []


@dataclass
class Cluster:
    """A lab whose nodes are sandboxes, before anything was done to them."""

    lab: Lab
    api: Api
    nodes: dict[str, Sandbox]

    @property
    def first(self) -> Sandbox:
        return self.nodes["lab-cp1"]

    def workers(self) -> list[Sandbox]:
        return [node for name, node in self.nodes.items() if name != "lab-cp1"]

    def argvs(self) -> str:
        """Return everything that could be read in a process list."""
        return "\n".join([*self.api.calls, *(call for node in self.nodes.values() for call in node.calls)])


def make_cluster(root: Path, **keys: Any) -> Cluster:
    """Return a cluster to be; kubeadm's stub does on each node what kubeadm leaves on success."""
    bundle = make_bundle(root / "images", IMAGES)
    nodes: dict[str, Sandbox] = {}
    changes = {"find_bundle": lambda: bundle, "connect": lambda node: nodes[node.name]}
    lab = make_lab(root, changes=changes, **keys)
    api = Api(root / "api", lab.ctx.kubectl)
    for node in lab.ctx.inventory.nodes:
        nodes[node.name] = Sandbox(node.name, root / node.name)
        nodes[node.name].kubeadm(KUBEADM.format(api=shlex.quote(str(api.root)), name=node.name))
    (root / "lab-cp1/ca.crt").write_bytes(certificate())
    (root / "lab-cp1/admin.conf").write_text(admin_conf())
    return Cluster(lab, api, nodes)


def certificate() -> bytes:
    """Return a fresh certificate authority's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def admin_conf() -> str:
    """Return the kubeconfig that kubeadm writes."""
    name = "kubernetes-admin@kubernetes"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": {"server": "https://192.168.60.11:6443"}}],
            "users": [{"name": "kubernetes-admin", "user": {"client-key-data": "c2VjcmV0"}}],
            "contexts": [{"name": name, "context": {"cluster": "kubernetes", "user": "kubernetes-admin"}}],
            "current-context": name,
        }
    )
