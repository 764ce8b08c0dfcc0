"""A mirror of real parts on loopback: `python -m tests.e2e.real_mirror [BUNDLE] [--cluster]`.

A docker-registry and a file server are filled from BUNDLE, by default one built from source, laid out as the
release sites are. `kubelab bundle create` makes a bundle from them, whose digest must be that of BUNDLE, and
then finds it. After that the registry misbehaves in ways that only a real one can; every exit code and
message is printed. Needs skopeo and docker-registry, and for busybox the host's own Debian mirror.

With --cluster a lab is made of the mirror's bundle on real machines, with a CNI of the user's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from provision.artifacts.bundle import Bundle
from provision.artifacts.images.recipes import NODE_PROGRAMS
from provision.artifacts.release.origin import CNI_PROGRAMS
from provision.artifacts.sites import split_registry
from tests.fakes.artifacts.mirror import Mirror, certificates, serving

PREFIX = "k8s"
PODS = ("kubectl", "--", "get", "nodes,pods", "--all-namespaces", "--output=wide")
COMMANDS = (("up",), ("verify",), ("status",), PODS)
OWN_CNI = Path(__file__).parent / "cni" / "own-bridge.yaml"
START_WITHIN = 10.0
NAME, PASSWORD = "me", "secret-word"


class Wrong(Exception):
    """Something is not as it must be."""


def main() -> None:
    """Run it all; exit code 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--cluster", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving() as mirror:
        try:
            bundle = Bundle.open(arguments.bundle or from_source(Path(folder)))
            made = check(bundle, Path(folder), mirror)
            if arguments.cluster:
                cluster(Path(folder), made)
        except Wrong as wrong:
            sys.exit(f"wrong: {wrong}")


def from_source(root: Path) -> Path:
    """Return the folder of a bundle built from source, in the cache of the user who runs this."""
    file = root / "source.yaml"
    file.write_text("name: source\nartifacts: source\n")
    argv = [sys.executable, "-m", "provision", "bundle", "create", "--json", "-f", str(file)]
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, check=True)
    folder: str = json.loads(done.stdout.splitlines()[-1])["data"]["folder"]
    return Path(folder)


def check(bundle: Bundle, root: Path, mirror: Mirror) -> Path:
    """Fill the mirror, make the bundle twice, then see every fault; return the folder of the bundle."""
    programs = {name: (bundle.root / "binaries" / name).read_bytes() for name in NODE_PROGRAMS}
    cni = {name: (bundle.root / "binaries/cni" / name).read_bytes() for name in CNI_PROGRAMS}
    mirror.release(bundle.kubernetes, programs, cni)
    lab = Lab(root, mirror.url, bundle.kubernetes)
    with registry(root) as address:
        push(bundle, address)
        lab.write(images=f"http://{address}/{PREFIX}")
        first, seconds = lab.create()
        print(f"first run: {seconds:.0f} s, digest {first['digest']}")
        compare(bundle, Bundle.open(Path(first["folder"])))
        asked = len(mirror.asked)
        second, seconds = lab.create()
        print(f"second run: {seconds:.1f} s, {len(mirror.asked) - asked} requests")
        if second != first or len(mirror.asked) != asked:
            raise Wrong("the second run did something")
        lab.write(images=f"http://{address}/elsewhere")
        lab.fails("no such image")
        lab.write(images=f"{address}/{PREFIX}")
        lab.fails("answers without TLS")
    lab.write(images=f"http://{address}/gone")
    lab.fails("refuses the connection")
    secured(root, lab)
    return Path(first["folder"])


def secured(root: Path, lab: Lab) -> None:
    """See the faults of registries with TLS and with a password."""
    ca, pair = certificates(root)
    with registry(root, tls=pair) as address:
        lab.write(images=f"{address}/{PREFIX}")
        lab.fails("unknown authority")
        lab.write(images=f"{address}/{PREFIX}", ca=str(ca))
        print(f"with its authority: {lab.create()[0]['digest']}")
    with registry(root, tls=pair, password=True) as address:
        lab.write(images=f"{address}/{PREFIX}", ca=str(ca))
        lab.fails("wants a password")
        certs = root / "certs"
        certs.mkdir()
        shutil.copyfile(ca, certs / "ca.crt")
        login = ["skopeo", "login", f"--cert-dir={certs}", f"-u={NAME}", "--password-stdin", address]
        subprocess.run(login, input=PASSWORD, text=True, check=True, capture_output=True, env=lab.environment)
        print(f"with its password: {lab.create()[0]['digest']}")
    ca, pair = certificates(root, expired=True)
    with registry(root, tls=pair) as address:
        lab.write(images=f"{address}/{PREFIX}", ca=str(ca))
        lab.fails("has expired")


def cluster(root: Path, bundle: Path) -> None:
    """Make a lab of `bundle` with a CNI of one's own, see it green, and destroy it."""
    folder = root / "cluster"
    folder.mkdir()
    shutil.copy(OWN_CNI, folder)
    lab = {
        "name": "mirrored",
        "cni": {"name": "own", "manifest": OWN_CNI.name},
        "artifacts": {"bundle": str(bundle)},
        "workers": {"count": 1},
        "network": {"nodes": "192.168.171.0/24"},
    }
    (folder / "lab.yaml").write_text(yaml.safe_dump(lab))
    try:
        for command in COMMANDS:
            done = subprocess.run([sys.executable, "-m", "provision", *command], cwd=folder, check=False)
            if done.returncode != 0:
                raise Wrong(f"kubelab {command[0]} ended with exit code {done.returncode}")
    finally:
        run([sys.executable, "-m", "provision", "destroy", "-f", str(folder / "lab.yaml")])


class Lab:
    """A lab.yaml that names the mirror, and a cache and logins of its own."""

    def __init__(self, root: Path, files: str, kubernetes: str) -> None:
        self.file = root / "lab.yaml"
        self.files = files
        self.kubernetes = kubernetes
        logins = {"HOME": str(root), "REGISTRY_AUTH_FILE": str(root / "auth.json")}
        self.environment = {
            **os.environ,
            **logins,
            "KUBELAB_CACHE": str(root / "cache"),
            "NO_PROXY": "127.0.0.1",
        }

    def write(self, **mirror: str) -> None:
        where = {"mirror": {"files": self.files, **mirror}}
        lab = {"name": "lab", "kubernetes": self.kubernetes, "cni": "bridge", "artifacts": where}
        self.file.write_text(yaml.safe_dump(lab))

    def create(self) -> tuple[dict[str, Any], float]:
        """Return the answer of `kubelab bundle create`, and how many seconds it took."""
        code, events, seconds = self._run()
        if code != 0:
            raise Wrong(f"exit code {code}: {events['error']}")
        answer: dict[str, Any] = events["result"]["data"]
        return answer, seconds

    def fails(self, words: str) -> None:
        """Print how it fails; it must say `words`, and not the password."""
        code, events, seconds = self._run()
        if code != 1 or words not in events["error"]["message"] or PASSWORD in json.dumps(events):
            raise Wrong(f"exit code {code} where {words!r} was to be said: {events.get('error')}")
        print(f"exit code {code} after {seconds:.0f} s: {events['error']['message']}")
        print(f"    hint: {events['error']['hint']}")

    def _run(self) -> tuple[int, dict[str, Any], float]:
        begun = time.monotonic()
        argv = [sys.executable, "-m", "provision", "bundle", "create", "--json", "-f", str(self.file)]
        done = subprocess.run(argv, env=self.environment, text=True, stdout=subprocess.PIPE, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {event["event"]: event for event in events}, time.monotonic() - begun


@contextlib.contextmanager
def registry(root: Path, *, tls: tuple[Path, Path] | None = None, password: bool = False) -> Iterator[str]:
    """Give the address of a docker-registry on loopback, which keeps its images in `root`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root / "registry")}},
        "http": {"addr": address},
    }
    if tls is not None:
        config["http"]["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    if password:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (root / "htpasswd").write_text(f"{NAME}:{hashed}\n")
        config["auth"] = {"htpasswd": {"realm": "mirror", "path": str(root / "htpasswd")}}
    (root / "registry.yml").write_text(yaml.safe_dump(config))
    argv = ["docker-registry", "serve", str(root / "registry.yml")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(address, process)
            yield address
        finally:
            process.terminate()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return once something listens at `address`."""
    host, _, port = address.partition(":")
    end = time.monotonic() + START_WITHIN
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.05)
    raise Wrong(f"docker-registry does not listen at {address}")


def push(bundle: Bundle, address: str) -> None:
    """Put the images of `bundle` into the registry; busybox is made on every host anew."""
    for entry in bundle.images():
        path = split_registry(entry.ref)[1]
        if entry.name != "busybox":
            source, target = f"docker-archive:{bundle.path(entry)}", f"docker://{address}/{PREFIX}/{path}"
            run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", source, target])


def compare(wanted: Bundle, got: Bundle) -> None:
    """Raise Wrong unless both hold the same files; print the digest of every image's registry."""
    got.verify()
    expected = {entry.path: entry.sha256 for entry in wanted.entries}
    found = {entry.path: entry.sha256 for entry in got.entries}
    differ = [path for path in expected | found if expected.get(path) != found.get(path)]
    if differ or wanted.digest != got.digest:
        raise Wrong(f"not as in {wanted.root}: {', '.join(differ)}")
    print(f"digest as in {wanted.source}: {got.digest}")
    for entry in got.images():
        print(f"    {entry.ref} {entry.digest}")


def run(argv: Sequence[str]) -> None:
    """Run a program that must not fail."""
    subprocess.run(argv, check=True)


if __name__ == "__main__":
    main()
