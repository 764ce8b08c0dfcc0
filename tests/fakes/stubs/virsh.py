"""A `virsh` that keeps its state in the file beside it, and speaks as libvirt 9 does.

State: networks name -> {xml, active}; domains name -> {uuid, state, network, disk (file and format),
further (serial -> file of a qcow2 disk), loader, folder, saved (the state it was saved in), heeds (how
often its power button has to be pressed), snapshots (name -> state it was saved in), current, busy (calls
it refuses), rss, emulator (the CPUs of QEMU's own threads), vcpu (its element), memory (in KiB), was
(snapshot -> memory and vcpu it was saved with), hostname}; volumes name -> {size, backing, pool, gib (what
it can hold)}; `fail` command -> message; `calls` is what was asked, `unknown` what it could not understand.
Without a command it takes one a line from standard input, as virsh does.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATE = os.path.join(os.path.dirname(sys.argv[0]), "state")
POOL_FOLDER = "/var/lib/libvirt/images"
GERMAN = {
    "no network": "kein Netzwerk",
    "no domain": "keine Domain",
    "not found": "nicht gefunden",
    "failed to get": "konnte nicht erhalten",
    "is not": "ist nicht",
}
KINDS = {
    "net": ("network", "Network not found: no network with matching name"),
    "vol": ("vol", "Storage volume not found: no storage vol with matching path"),
    "pool": ("pool", "Storage pool not found: no storage pool with matching name"),
    "dom": ("domain", ""),
}


class Refused(Exception):
    """What virsh prints on standard error, one line a text."""


def missing(kind: str, name: str) -> Refused:
    word, reason = KINDS[kind]
    lines = [f"failed to get {word} '{name}'"]
    # Of a domain that is not there virsh gives no reason.
    return Refused("\n".join([*lines, f"{reason} '{name}'"] if reason else lines))


class Virsh:
    def __init__(self, state: dict[str, Any]) -> None:
        self.networks = state["networks"]
        self.domains = state["domains"]
        self.volumes = state["volumes"]
        self.pools = state["pools"]

    def find(self, kind: str, name: str) -> Any:
        things = {"net": self.networks, "vol": self.volumes, "dom": self.domains}[kind]
        if name not in things:
            found = [thing for thing in things.values() if thing.get("uuid") == name]
            if not found:
                raise missing(kind, name)
            return found[0]
        return things[name]

    def pool(self, name: str) -> None:
        if name not in self.pools:
            raise missing("pool", name)

    def net_list(self, *flags: str) -> None:
        for name, network in self.networks.items():
            if network["active"] or "--all" in flags:
                print(name)
        print()

    def net_dumpxml(self, name: str) -> None:
        print(self.find("net", name)["xml"])

    def net_define(self, file: str) -> None:
        import xml.etree.ElementTree as ET

        root = ET.parse(file).getroot()
        self.networks[root.findtext("name")] = {"xml": ET.tostring(root, "unicode"), "active": False}

    def net_start(self, name: str) -> None:
        self.find("net", name)["active"] = True

    def net_destroy(self, name: str) -> None:
        network = self.find("net", name)
        if not network["active"]:
            reason = f"Requested operation is not valid: network '{name}' is not active"
            raise Refused(f"Failed to destroy network {name}\n{reason}")
        network["active"] = False

    def net_undefine(self, name: str) -> None:
        self.find("net", name)
        del self.networks[name]

    def net_update(self, name: str, verb: str, section: str, entry: str, *flags: str) -> None:
        import xml.etree.ElementTree as ET

        network = self.find("net", name)
        if "--live" in flags and not network["active"]:
            raise Refused("Failed to update network\nRequested operation is not valid: network is not active")
        root, new = ET.fromstring(network["xml"]), ET.fromstring(entry)
        hosts = root.find("ip/dhcp")
        assert hosts is not None and section == "ip-dhcp-host"
        same = [host for host in hosts if host.attrib == new.attrib]
        near = [host for host in hosts if {*host.attrib.values()} & {*new.attrib.values()}]
        if verb == "delete":
            if not same:
                raise Refused("Failed to update network\nno matching DHCP host entry was found")
            hosts.remove(same[0])
        elif near:
            raise Refused("Failed to update network\nthere is an existing dhcp host entry in network")
        else:
            hosts.append(new)
        network["xml"] = ET.tostring(root, "unicode")

    def list(self, *flags: str) -> None:
        wanted = [flag.removeprefix("--state-") for flag in flags if flag.startswith("--state-")]
        for name, domain in self.domains.items():
            if "--with-managed-save" in flags and "saved" not in domain:
                continue
            if not wanted or domain["state"] in wanted:
                print(domain["uuid"] if "--uuid" in flags else name)
        print()

    def define(self, file: str) -> None:
        import xml.etree.ElementTree as ET

        root = ET.parse(file).getroot()
        domain = self.find("dom", root.findtext("uuid"))
        vcpu, memory = root.find("vcpu"), root.find("memory")
        assert vcpu is not None and memory is not None and memory.text
        domain |= {"vcpu": ET.tostring(vcpu, "unicode"), "memory": int(memory.text)}

    def snapshot_dumpxml(self, machine: str, name: str) -> None:
        domain = self.find("dom", machine)
        self.snapshot(domain, name)
        kib, vcpu = domain.get("was", {}).get(name, (domain.get("memory", 0), domain.get("vcpu", "")))
        size = f"<memory unit='KiB'>{kib}</memory>{vcpu}" if kib else ""
        print(f"<domainsnapshot><name>{name}</name><domain>{size}</domain></domainsnapshot>")

    def dumpxml(self, name: str, *flags: str) -> None:
        domain = self.find("dom", name)
        devices = f"<interface><source network='{domain['network']}'/></interface>"
        if "disk" in domain:
            file, kind = domain["disk"]
            devices += f"<disk device='disk'><driver type='{kind}'/><source file='{file}'/></disk>"
            devices += "<disk device='cdrom'><driver type='raw'/></disk>"
        if "folder" in domain:
            devices += f"<filesystem><source dir='{domain['folder']}'/></filesystem>"
        loader = f"<os><loader type='{domain['loader']}'/></os>" if "loader" in domain else ""
        for file in domain.get("more_disks", []):
            devices += f"<disk device='disk'><driver type='qcow2'/><source file='{file}'/></disk>"
        for serial, file in domain.get("further", {}).items():
            parts = f"<driver type='qcow2'/><source file='{file}'/><serial>{serial}</serial>"
            devices += f"<disk device='disk'>{parts}</disk>"
        source = domain.get("source", "")
        (name,) = (known for known, each in self.domains.items() if each is domain)
        description = f"Source: {source}" if source else domain.get("description", "")
        loader += f"<description>{description}</description>" if description else ""
        head = f"<name>{name}</name><uuid>{domain['uuid']}</uuid>{loader}"
        vcpu, kib = domain.get("vcpu", ""), domain.get("memory", 0)
        size = f"<memory unit='KiB'>{kib}</memory>{vcpu}" if kib else ""
        strings = f"<entry>io.systemd.credential:system.hostname={domain.get('hostname', name)}</entry>"
        system = f"<sysinfo type='smbios'><oemStrings>{strings}</oemStrings></sysinfo>"
        head += system if "hostname" in domain else ""
        print(f"<domain>{head}{size}<devices>{devices}</devices></domain>")

    def dommemstat(self, name: str) -> None:
        domain = self.find("dom", name)
        if domain["state"] == "shutoff":
            raise Refused(f"Failed to get memory statistics for domain '{name}'\ndomain is not running")
        print(f"actual 3145728\nrss {domain.get('rss', 1024)}")

    def emulatorpin(self, name: str, cpus: str, flag: str) -> None:
        assert flag == "--live"
        self.change(name)["emulator"] = cpus

    def change(self, name: str) -> Any:
        """Return a domain that is to be changed, unless another job is at work on it."""
        domain = self.find("dom", name)
        if domain.get("busy", 0):
            domain["busy"] -= 1
            raise Refused(
                "Timed out during operation: cannot acquire state change lock "
                "(held by monitor=remoteDispatchDomainSnapshotCreateXML)"
            )
        return domain

    def suspend(self, name: str) -> None:
        domain = self.change(name)
        if domain["state"] == "shutoff":
            raise Refused(
                f"Failed to suspend domain '{name}'\nRequested operation is not valid: domain is not running"
            )
        domain["state"] = "paused"

    def resume(self, name: str) -> None:
        domain = self.change(name)
        if domain["state"] != "paused":
            reason = "is already running" if domain["state"] == "running" else "is not running"
            raise Refused(
                f"Failed to resume domain '{name}'\nRequested operation is not valid: domain {reason}"
            )
        domain["state"] = "running"

    def snapshot_create_as(self, _: str, machine: str, __: str, name: str) -> None:
        domain = self.change(machine)
        if name in domain.setdefault("snapshots", {}):
            raise Refused(f"operation failed: domain moment {name} already exists")
        domain["snapshots"][name] = domain["state"]
        domain["current"] = name

    def snapshot(self, domain: Any, name: str) -> str:
        if name not in domain.get("snapshots", {}):
            raise Refused(f"Domain snapshot not found: no domain snapshot with matching name '{name}'")
        return str(domain["snapshots"][name])

    def snapshot_revert(self, machine: str, name: str, *flags: str) -> None:
        domain = self.change(machine)
        state = self.snapshot(domain, name)
        assert "--force" in flags
        domain["state"] = "paused" if "--paused" in flags else state
        domain["current"] = name

    def snapshot_delete(self, machine: str, name: str, *flags: str) -> None:
        domain = self.change(machine)
        self.snapshot(domain, name)
        del domain["snapshots"][name]
        if domain["current"] == name:
            domain["current"] = None

    def snapshot_list(self, machine: str, flag: str) -> None:
        assert flag == "--name"
        for name in self.find("dom", machine).get("snapshots", {}):
            print(name)
        print()

    def qemu_monitor_command(self, machine: str, flag: str, command: str) -> None:
        assert flag == "--hmp"
        domain = self.change(machine)
        verb, name = command.split()
        assert verb == "loadvm"
        if domain["state"] == "shutoff":
            raise Refused("Requested operation is not valid: domain is not running")
        if domain.get("unloadable") or name not in domain.get("snapshots", {}):
            print(f"Error: Snapshot '{name}' does not exist in one or more devices")

    def snapshot_current(self, machine: str, flag: str) -> None:
        if flag != "--name":
            domain = self.change(machine)
            self.snapshot(domain, flag)
            domain["current"] = flag
            return
        current = self.find("dom", machine).get("current")
        if not current:
            raise Refused(f"domain '{machine}' has no current snapshot")
        print(current, end="")

    def destroy(self, name: str) -> None:
        domain = self.find("dom", name)
        if domain["state"] == "shutoff":
            reason = "Requested operation is not valid: domain is not running"
            raise Refused(f"Failed to destroy domain '{name}'\n{reason}")
        domain["state"] = "shutoff"

    def start(self, name: str, *flags: str) -> None:
        domain = self.change(name)
        if domain["state"] != "shutoff":
            raise Refused(f"Failed to start domain '{name}'\nDomain is already active")
        memory = domain.pop("saved", "running")
        domain["state"] = "paused" if "--paused" in flags else memory

    def shutdown(self, name: str, _: str, mode: str) -> None:
        assert mode == "acpi"
        domain = self.change(name)
        if domain["state"] == "shutoff":
            reason = "Requested operation is not valid: domain is not running"
            raise Refused(f"Failed to shutdown domain '{name}'\n{reason}")
        domain["heeds"] = domain.get("heeds", 1) - 1
        if domain["heeds"] == 0:
            domain["state"] = "shutoff"

    def managedsave(self, name: str) -> None:
        domain = self.change(name)
        if domain["state"] == "shutoff":
            reason = "Requested operation is not valid: domain is not running"
            raise Refused(f"Failed to save domain '{name}' state\n{reason}")
        domain |= {"saved": domain["state"], "state": "shutoff"}

    def managedsave_remove(self, name: str) -> None:
        self.change(name).pop("saved", None)

    def undefine(self, name: str, *flags: str) -> None:
        domain = self.find("dom", name)
        for known in [known for known, each in self.domains.items() if each is domain]:
            del self.domains[known]

    def pool_list(self, flag: str) -> None:
        assert flag == "--name"
        print("\n".join([*self.pools, ""]))

    def pool_refresh(self, name: str) -> None:
        self.pool(name)

    def vol_list(self, pool: str) -> None:
        self.pool(pool)
        names = [name for name, each in self.volumes.items() if each.get("pool", "default") == pool]
        width = max(map(len, names), default=0)
        for name in names:
            print(f" {name:<{width}}   {POOL_FOLDER}/{name}")
        print()

    def vol_dumpxml(self, _: str, pool: str, name: str) -> None:
        self.pool(pool)
        volume = self.find("vol", name)
        backing = volume.get("backing")
        chain = f"<backingStore><path>{POOL_FOLDER}/{backing}</path></backingStore>" if backing else ""
        gib = volume.get("gib")
        capacity = f"<capacity unit='bytes'>{gib * 2**30}</capacity>" if gib else ""
        print(f"<volume>{capacity}<physical unit='bytes'>{volume['size']}</physical>{chain}</volume>")

    def vol_delete(self, _: str, pool: str, name: str) -> None:
        self.pool(pool)
        self.find("vol", name)
        del self.volumes[name]

    def vol_create_as(self, pool: str, name: str, capacity: str, *flags: str) -> None:
        self.pool(pool)
        if name in self.volumes:
            raise Refused(f"Failed to create vol {name}\nstorage volume name '{name}' already in use.")
        self.volumes[name] = {"size": 196_624, "capacity": capacity, "format": flags}

    def vol_upload(self, _: str, pool: str, name: str, file: str) -> None:
        self.pool(pool)
        self.find("vol", name)["size"] = os.path.getsize(file)


def run(words: list[str], state: dict[str, Any]) -> int:
    """Run one command; return its exit code."""
    if words[0] == "echo":
        print(" ".join(words[1:]), end="")
        return 0
    state["calls"].append(" ".join(words))
    command = getattr(Virsh(state), words[0].replace("-", "_"), None)
    try:
        if command is None:
            raise TypeError(words[0])
        if words[0] in state["fail"]:
            raise Refused(state["fail"][words[0]])
        command(*words[1:])
    except Refused as refused:
        for line in str(refused).splitlines():
            print(f"error: {line if os.environ.get('LC_ALL') == 'C' else translated(line)}", file=sys.stderr)
        return 1
    except TypeError as error:
        state["unknown"].append(f"{words}: {error}")
        return 1
    return 0


def translated(line: str) -> str:
    for english, german in GERMAN.items():
        line = line.replace(english, german)
    return line


def obey(commands: list[list[str]]) -> int:
    """Run commands while no other process does; return the exit code of the last."""
    with open(f"{STATE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(STATE, "rb") as file:
            state = marshal.load(file)
        code = 0
        for command in commands:
            code = run(command, state)
        temporary = f"{STATE}.{os.getpid()}"
        with open(temporary, "wb") as file:
            marshal.dump(state, file, 2)
        os.replace(temporary, STATE)
    return code


def split(text: str) -> list[list[str]]:
    return [command.split() for command in text.split(";")]


def converse() -> int:
    """Take commands from standard input; as virsh does, repeat each behind a prompt."""
    print("virsh # ", end="", flush=True)
    for line in sys.stdin:
        print(line, end="", flush=True)
        obey(split(line.replace('"', "")))
        sys.stderr.flush()
        print("virsh # ", end="", flush=True)
    return 0


def main() -> int:
    quiet, connect, _, *words = sys.argv[1:]
    assert (quiet, connect) == ("--quiet", "--connect")
    if not words:
        return converse()
    # One argument may hold several commands; the exit code is that of the last.
    return obey(split(words[0]) if len(words) == 1 else [words])
