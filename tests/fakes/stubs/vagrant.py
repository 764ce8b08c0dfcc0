"""A `vagrant` with its libvirt plugin: it makes machines in the state of the stub of virsh beside it.

Made in the order of the real one: the disk, the domain, its id in Vagrant's files, the start. Each of these
is a call for traps, such as `define lab-w1`; a new machine is a guest on which nothing was done yet.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import marshal
import os
import re
import shutil
import sys
import uuid

import trap
import virsh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
GUESTS, POOL = os.path.join(HERE, "guests"), os.path.join(HERE, "pool")
ROOT = os.environ.get("VAGRANT_CWD", ".")


@contextlib.contextmanager
def state() -> Iterator[dict[str, Any]]:
    """Give libvirt's state, to be changed."""
    with open(f"{virsh.STATE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(virsh.STATE, "rb") as file:
            found = marshal.load(file)
        yield found
        with open(f"{virsh.STATE}.new", "wb") as file:
            marshal.dump(found, file, 2)
        os.replace(f"{virsh.STATE}.new", virsh.STATE)


def setting(pattern: str) -> list[Any]:
    with open(os.path.join(ROOT, os.environ["VAGRANT_VAGRANTFILE"])) as file:
        return re.findall(pattern, file.read())


def id_file(name: str) -> str:
    return os.path.join(os.environ["VAGRANT_DOTFILE_PATH"], "machines", name, "libvirt", "id")


def known(name: str) -> str | None:
    try:
        with open(id_file(name)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def add_box(url: str) -> int:
    import tarfile

    with open(url.removeprefix("file://")) as file:
        catalog = json.load(file)
    (version,) = catalog["versions"]
    target = os.path.join(os.environ["VAGRANT_HOME"], "boxes", catalog["name"], version["version"])
    os.makedirs(f"{target}.new", exist_ok=True)
    with tarfile.open(version["providers"][0]["url"].removeprefix("file://")) as box:
        box.extractall(os.path.join(f"{target}.new", "libvirt"), filter="data")
    os.replace(f"{target}.new", target)
    return 0


def make(name: str) -> None:
    ident = str(uuid.uuid4())
    image = os.path.join(POOL, f"{name}.img")
    box, version = setting(r"vm\.box = '(.*)'")[0], setting(r"box_version = '(.*)'")[0]

    def volume() -> int:
        with state() as found:
            if f"{name}.img" in found["volumes"] or name in found["domains"]:
                print("Volume for domain is already created.", file=sys.stderr)
                sys.exit(1)
            backing = f"{box}_vagrant_box_image_{version}_box.img"
            found["volumes"][f"{name}.img"] = {"size": 196_624, "backing": backing}
        with open(image, "wb") as file:
            file.write(b"x" * 8192)
        return 0

    def define() -> int:
        ((vcpu, mib),) = setting(rf"name: '{name}'.* cpus: (\d+), memory: (\d+)")
        with state() as found:
            found["domains"][name] = {
                "uuid": ident,
                "vcpu": f"<vcpu>{vcpu}</vcpu>",
                "memory": int(mib) * 1024,
                "state": "shutoff",
                "network": setting(r"management_network_name = '(.*)'")[0],
                "disk": [image, "qcow2"],
                "source": os.path.join(ROOT, "Vagrantfile"),
            }
        with open(os.path.join(GUESTS, name), "w") as file:
            json.dump({"id": ident, "kubeadm": "empty", "prepared": False}, file)
        return 0

    def keep() -> int:
        os.makedirs(os.path.dirname(id_file(name)), exist_ok=True)
        with open(id_file(name), "w") as file:
            file.write(ident)
        return 0

    for moment, work in (("volume", volume), ("define", define), ("id", keep)):
        code = trap.run(HERE, "vagrant", f"{moment} {name}", work)
        if code:
            sys.exit(code)


def start(name: str) -> int:
    with state() as found:
        for domain in found["domains"].values():
            if domain["uuid"] == known(name) and domain["state"] == "shutoff":
                domain["state"] = "running"
    return 0


def up() -> int:
    for name in setting(r"\{ name: '(.*?)'"):
        print(f"==> {name}: Bringing the machine up")
        if known(name) is None:
            make(name)
        code = trap.run(HERE, "vagrant", f"start {name}", lambda name=name: start(name))
        if code:
            return code
    return 0


def remove(name: str) -> int:
    ident = known(name)
    with state() as found:
        for domain, fields in list(found["domains"].items()):
            if fields["uuid"] == ident:
                del found["domains"][domain]
                found["volumes"].pop(f"{domain}.img", None)
    shutil.rmtree(os.path.dirname(id_file(name)))
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(GUESTS, name))
    return 0


def destroy(names: list[str]) -> int:
    for name in names or setting(r"\{ name: '(.*?)'"):
        if known(name) is not None:
            code = trap.run(HERE, "vagrant", f"remove {name}", lambda name=name: remove(name))
            if code:
                return code
    return 0


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if words[:2] == ["box", "add"]:
        return trap.run(HERE, "vagrant", "box add", lambda: add_box(words[2]))
    verbs = {"up": up, "destroy": lambda: destroy(words[1:])}
    return trap.run(HERE, "vagrant", words[0], verbs[words[0]])
