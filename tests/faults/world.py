"""A host with a lab, made of files: the stub programs, their state, the lab, and what belongs to others."""

from __future__ import annotations

import contextlib
import json
import marshal
import multiprocessing
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from provision.artifacts.bundle import Bundle, entry_of, write_index
from provision.box.recipe import BoxRecipe
from tests.fakes.stubs import STUBS
from tests.faults.guests import ADDRESSES, Guest
from tests.faults.kubelab import Order, run

LAB_YAML = """\
name: lab
provider: libvirt
cni: none
controlPlanes: {memory: 1700MiB}
workers: {count: 1, cpus: 1, memory: 1GiB}
artifacts: {bundle: ../bundle}
"""
PROGRAM = """\
#!{python} -SE
import sys
sys.path.insert(0, {stubs!r})
import trap
{body}
"""
BODIES = {
    "virsh": "import virsh\ntrap.arm_virsh(virsh, {bin!r})\nsys.exit(virsh.main())",
    "vagrant": "import vagrant\nsys.exit(vagrant.main())",
    "kubectl": "import api_kubectl\nsys.exit(api_kubectl.main({bin!r}))",
    "ip": "sys.exit(trap.run({bin!r}, 'ip', ' '.join(sys.argv[1:]), lambda: print('[]') or 0))",
}
IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns")
IMAGES += ("pause",)
# Seconds; a command whose pauses take no time takes one or two, on a host that is not busy.
LONGEST = 300.0
MARK = "KUBELAB_FAULTS"
OTHERS = {
    "web": {"state": "running", "network": "default", "disk": ["/vms/lab-w7.img", "qcow2"]},
    "other-cp1": {
        "state": "paused",
        "network": "kubelab-other",
        "disk": ["/vms/other-cp1.img", "qcow2"],
        "source": "/home/alice/other/Vagrantfile",
        "snapshots": {"old": "running", "new": "running"},
        "current": "old",
    },
    "lab-w1-copy": {"state": "shutoff", "network": "default", "disk": ["/vms/lab-w1-copy.img", "qcow2"]},
}
# A disk that is in use by `web`, one that was kept, another lab's, and the box image that it stands on.
OTHER_BOX = "kubelab-1.35.9-0123456789ab_vagrant_box_image_1.0.0_box.img"
OTHER_VOLUMES = {
    "lab-w7.img": {"size": 9},
    "lab-w9.img": {"size": 9},
    "other-cp1.img": {"size": 9, "backing": OTHER_BOX},
    OTHER_BOX: {"size": 9},
    "data of alice.qcow2": {"size": 9},
}
OTHER_NETWORKS = {
    name: {"xml": f"<network><name>{name}</name></network>", "active": True}
    for name in ("default", "kubelab-other")
}


@dataclass(frozen=True)
class Seen:
    """How a command ended: its exit code (negative: the signal that ended it), and what it said."""

    words: str
    code: int | None
    out: str
    err: str


@dataclass
class World:
    """The folder `root` has `lab`, `bin` (stubs and their state), `bundle`, `cache` and `home`."""

    root: Path
    guests: dict[str, Guest] = field(default_factory=dict)
    context: Any = field(default_factory=lambda: multiprocessing.get_context("forkserver"))

    @property
    def lab(self) -> Path:
        return self.root / "now" / "lab"

    @property
    def bin(self) -> Path:
        return self.root / "now" / "bin"

    @property
    def state(self) -> dict[str, Any]:
        """Return what libvirt has."""
        found: dict[str, Any] = marshal.loads((self.bin / "state").read_bytes())
        return found

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.root / "now" / "home"),
            "KUBELAB_CACHE": str(self.root / "cache"),
            # Labs of other worlds have the same name.
            "KUBELAB_LOCKS": str(self.root / "locks"),
            "VAGRANT_HOME": str(self.root / "now" / "home" / "vagrant"),
            "LC_ALL": "de_DE.UTF-8",
            "TMPDIR": tempfile.gettempdir(),
            MARK: str(self.root),
        }

    def kubelab(self, words: str, **options: Any) -> Seen:
        """Run a command to its end, and end it where it does not come to one."""
        ports = {name: (ADDRESSES[name], guest.port) for name, guest in self.guests.items()}
        order = Order(words.split(), self.lab, self.bin, self.environment, ports, **options)
        process: ForkServerProcess = self.context.Process(target=run, args=(order,))
        process.start()
        process.join(LONGEST)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        process.close()
        said = [(self.bin / name).read_text(errors="replace") for name in ("out", "err")]
        return Seen(f"kubelab {words}", code, *said)

    def arm(self, trap: Mapping[str, Any] | None) -> None:
        """Set a trap, or take all away."""
        for name in ("trap.json", "trap.count", "trap.fired"):
            (self.bin / name).unlink(missing_ok=True)
        if trap is not None:
            (self.bin / "trap.json").write_text(json.dumps(trap))

    @property
    def fired(self) -> bool:
        """Return whether what was to happen did."""
        return (self.bin / "trap.fired").exists()

    def reset(self, start: str, *, aged: bool = False) -> None:
        """Be as `start` was kept."""
        shutil.rmtree(self.root / "now", ignore_errors=True)
        shutil.copytree(self.root / start, self.root / "now", symlinks=True)
        for guest in self.guests.values():
            guest.reset(aged=aged)

    def keep(self, name: str) -> None:
        """Keep what is now as `name`, for `reset`."""
        shutil.copytree(self.root / "now", self.root / name, symlinks=True)

    def leftovers(self, patience: float = 3.0) -> list[str]:
        """Return the programs that run on, though the commands that started them are over."""
        end = time.monotonic() + patience
        while found := list(self._processes()):
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        for pid, _ in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return [line for _, line in found]

    def _processes(self) -> Iterator[tuple[int, str]]:
        mark = f"{MARK}={self.root}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if line:
                        yield int(folder.name), line.strip()


@contextlib.contextmanager
def made(root: Path) -> Iterator[World]:
    """Give a world, with the states that rows begin with, all made by kubelab itself."""
    world = World(root)
    context = world.context
    context.set_forkserver_preload(["tests.faults.kubelab"])
    _write(world)
    with contextlib.ExitStack() as stack:
        key = world.lab / ".kubelab" / "lab" / "id_ed25519"
        for name in ADDRESSES:
            world.guests[name] = stack.enter_context(Guest(name, root / "ssh" / name, world.bin, key))
        world.keep("nothing")
        _must(world, "up")
        world.keep("ready")
        _must(world, "snapshot save old")
        world.keep("saved")
        for name, words in (("stopped", "stop"), ("kept", "stop --save")):
            world.reset("saved")
            _must(world, words)
            world.keep(name)
        yield world


def _must(world: World, words: str) -> None:
    seen = world.kubelab(words)
    unknown = [script for guest in world.guests.values() for script in guest.unknown]
    if seen.code != 0 or unknown or world.state["unknown"]:
        sys.exit(f"the world of the faults is broken: {seen}\n{unknown}\n{world.state['unknown']}")


def _write(world: World) -> None:
    """Write the host as it is before anything of the lab is there."""
    for folder in (world.lab, world.bin / "guests", world.bin / "pool", world.root / "now" / "home"):
        folder.mkdir(parents=True)
    (world.lab / "lab.yaml").write_text(LAB_YAML)
    for name in ("virsh", "vagrant", "ip"):
        _program(world, world.bin / name, name)
    domains = {name: {"uuid": _uuid(at), **fields} for at, (name, fields) in enumerate(OTHERS.items())}
    state = {"networks": OTHER_NETWORKS, "domains": domains, "volumes": OTHER_VOLUMES, "pools": ["default"]}
    (world.bin / "state").write_bytes(marshal.dumps({**state, "fail": {}, "calls": [], "unknown": []}, 2))
    bundle = _bundle(world, world.root / "now" / "bundle")
    _box(world, BoxRecipe(bundle.kubernetes, bundle.digest))


def _uuid(number: int) -> str:
    return f"0a11ce00-0000-4000-8000-{number:012x}"


def _program(world: World, file: Path, name: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    body = BODIES[name].format(bin=str(world.bin))
    file.write_text(PROGRAM.format(python=sys.executable, stubs=str(STUBS), body=body))
    file.chmod(0o755)


def _bundle(world: World, root: Path) -> Bundle:
    _program(world, root / "binaries" / "kubectl", "kubectl")
    entries = [entry_of(root, "binaries/kubectl", "binary", version="1.36.3")]
    for name in IMAGES:
        file = root / "images" / f"{name}.tar"
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
        ref = f"registry.k8s.io/{name}:1"
        entries.append(entry_of(root, f"images/{name}.tar", "image", ref=ref, version="1"))
    write_index(root, kubernetes="1.36.3", source="test", recipe="0" * 64, entries=entries)
    return Bundle.open(root)


def _box(world: World, recipe: BoxRecipe) -> None:
    """Put a box into the cache, as the builder would."""
    image = world.root / "box.img"
    image.write_bytes(b"box" * 100)
    folder = world.root / "cache" / "boxes" / recipe.key
    folder.mkdir(parents=True)
    with tarfile.open(folder / recipe.file.name, "w") as box:
        box.add(image, "box.img")
