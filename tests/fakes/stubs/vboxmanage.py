"""A stand-in for VBoxManage: what it prints and how it fails, over a state kept in a file."""

from __future__ import annotations

import fcntl
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

STATE = os.environ["VBOX_STATE"]


def fail(message: str, code: str) -> NoReturn:
    print(f"VBoxManage: error: {message}", file=sys.stderr)
    print(f"VBoxManage: error: Details: code {code}, component VirtualBoxWrap", file=sys.stderr)
    sys.exit(1)


def keep(state: dict[str, Any]) -> None:
    with open(STATE, "wb") as file:
        marshal.dump(state, file, 2)


def find(state: dict[str, Any], wanted: str) -> dict[str, Any]:
    for machine in state["machines"]:
        if wanted in (machine["id"], machine["name"]):
            return machine
    fail(f"Could not find a registered machine named '{wanted}'", "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)")


def show_machine(machine: dict[str, Any]) -> None:
    print(f'name="{machine["name"]}"')
    print(f'groups="{machine.get("groups", "/")}"')
    print(f'UUID="{machine["id"]}"\nmemory={machine.get("memory", 2048)}\ncpus={machine.get("cpus", 2)}')
    print(f'VMState="{machine["state"]}"\nVMStateChangeTime="2026-01-02T03:04:05.000000000"')
    print('"SATA Controller-0-0"="/vms/disk.vdi"')
    print(f'CfgFile="{machine.get("folder", "/vms")}/{machine["name"]}.vbox"')
    print('natnet1="nat"\nmacaddress1="080027416E0E"\nnic1="nat"')
    if machine.get("hostonly"):
        print(f'hostonlyadapter2="{machine["hostonly"]}"\nmacaddress2="525400000001"\nnic2="hostonly"')
    if machine.get("description"):
        print(f'description="{machine["description"]}"')


def show_disk(path: str) -> None:
    if path != "/vms/disk.vdi":
        fail(f"Could not find file for the medium '{path}'", "VBOX_E_FILE_ERROR (0x80bb0004)")
    print("UUID:           uuid-of-disk\nParent UUID:    base\nState:          locked write")
    print(f"Location:       {path}\nCapacity:       12288 MBytes\nSize on disk:   2 MBytes")


def show_all(state: dict[str, Any], kind: str) -> None:
    if kind == "hostonlyifs":
        for link in state["links"]:
            show_link(link)
    else:
        for machine in state["machines"]:
            print(f'"{machine["name"]}" {{{machine["id"]}}}')


def show_link(link: dict[str, Any]) -> None:
    print(f"Name:            {link['name']}\nGUID:            786f6276-656e-4074-8000-0a0027000000")
    print(f"DHCP:            Disabled\nIPAddress:       {link['ip']}\nNetworkMask:     {link['mask']}")
    print("IPV6Address:     \nIPV6NetworkMaskPrefixLength: 0\nHardwareAddress: 0a:00:27:00:00:00")
    print(f"MediumType:      Ethernet\nStatus:          Up\nVBoxNetworkName: Host-{link['name']}\n")


def control(state: dict[str, Any], machine: dict[str, Any], verb: str) -> None:
    if verb == "startvm":
        start(state, machine)
        return
    if machine["state"] not in ("running", "paused"):
        fail(f"Machine '{machine['name']}' is not currently running.", "VBOX_E_INVALID_VM_STATE")
    if verb == "resume" and machine["state"] != "paused":
        fail("VM not paused", "VBOX_E_INVALID_VM_STATE (0x80bb0002)")
    if verb == "pause" and machine["state"] != "running":
        fail("Invalid machine state: Paused", "VBOX_E_INVALID_VM_STATE (0x80bb0002)")
    if verb in ("poweroff", "savestate"):
        machine["locked"] = machine.get("slow", machine.get("locked", 0))
    after = {"pause": "paused", "resume": "running", "poweroff": "poweroff", "savestate": "saved"}
    # A guest may be deaf to its power button.
    after["acpipowerbutton"] = "poweroff" if machine.get("heeds", True) else machine["state"]
    machine["state"] = after[verb]


def start(state: dict[str, Any], machine: dict[str, Any]) -> None:
    locked = machine.get("locked", 0)
    if locked:
        machine["locked"] -= 1
        keep(state)
    if locked or machine["state"] in ("running", "paused"):
        fail(
            f"The machine '{machine['name']}' is already locked by a session (or being locked or unlocked)",
            "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)",
        )
    print(f'Waiting for VM "{machine["name"]}" to power on...')
    machine["state"] = "running"


def list_snapshots(machine: dict[str, Any]) -> None:
    if not machine.get("snapshots"):
        print("This machine does not have any snapshots")
        sys.exit(1)
    suffix: dict[str | None, str] = {None: ""}
    for number, (name, snapshot) in enumerate(machine["snapshots"].items()):
        # Numbers go down the tree: -1, -1-1; a brother is -2.
        suffix[name] = f"{suffix[snapshot['parent']]}-{number}" if number else ""
        print(f'SnapshotName{suffix[name]}="{name}"\nSnapshotUUID{suffix[name]}="uuid-of-{name}"')
    current = machine["current"]
    print(f'CurrentSnapshotName="{current}"\nCurrentSnapshotUUID="uuid-of-{current}"')
    print(f'CurrentSnapshotNode="SnapshotName{suffix[current]}"')


def snapshot(state: dict[str, Any], machine: dict[str, Any], verb: str, name: str) -> None:
    if (verb, name) == ("list", "--machinereadable"):
        list_snapshots(machine)
        return
    known = machine.setdefault("snapshots", {})
    print("0%...10%...20%...100%", file=sys.stderr)
    if verb == "take":
        memory = machine["state"] if machine["state"] in ("running", "paused") else None
        known[name] = {"parent": machine.get("current"), "memory": memory}
        machine["current"] = name
        print(f"Snapshot taken. UUID: uuid-of-{name}")
        return
    if name not in known:
        fail(f"Could not find a snapshot named '{name}'", "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)")
    if verb == "restore":
        if machine["state"] in ("running", "paused"):
            fail(
                "Cannot delete the current state of the running machine (machine state: Running)",
                "VBOX_E_INVALID_VM_STATE (0x80bb0002)",
            )
        if machine.get("locked", 0):
            machine["locked"] -= 1
            keep(state)
            fail(
                f"The machine '{machine['name']}' is already locked by a session "
                "(or being locked or unlocked)",
                "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)",
            )
        machine["current"] = name
        machine["state"] = "saved" if known[name]["memory"] else "poweroff"
    if verb == "delete":
        children = [child for child in known.values() if child["parent"] == name]
        if len(children) > 1:
            fail(
                f"Snapshot '{name}' of the machine '{machine['name']}' cannot be deleted, because it has "
                f"{len(children)} child snapshots, which is more than the one snapshot allowed for deletion",
                "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)",
            )
        for child in children:
            child["parent"] = known[name]["parent"]
        if machine["current"] == name:
            machine["current"] = known[name]["parent"]
        del known[name]


def unregister(state: dict[str, Any], machine: dict[str, Any]) -> None:
    if machine.get("locked", 0):
        machine["locked"] -= 1
        keep(state)
        fail(
            f"Cannot unregister the machine '{machine['name']}' while it is locked",
            "VBOX_E_INVALID_OBJECT_STATE",
        )
    state["machines"].remove(machine)


def host_only(state: dict[str, Any], arguments: list[str]) -> None:
    match arguments:
        case ["create"]:
            name = f"vboxnet{len(state['links'])}"
            state["links"].append({"name": name, "ip": "0.0.0.0", "mask": "0.0.0.0"})
            print("0%...10%...100%", file=sys.stderr)
            print(f"Interface '{name}' was successfully created")
        case ["ipconfig", name, "--ip", ip, "--netmask", mask]:
            import ipaddress

            if ipaddress.ip_address(ip) not in ipaddress.ip_network(state["allowed"]):
                fail("Access denied (extended info not available)", "E_ACCESSDENIED (0x80070005)")
            next(link for link in state["links"] if link["name"] == name).update(ip=ip, mask=mask)
        case ["remove", name]:
            state["links"] = [link for link in state["links"] if link["name"] != name]


def extra_data(state: dict[str, Any], verb: str, arguments: list[str]) -> None:
    match verb, arguments:
        case "getextradata", ["global", key]:
            print(f"Value: {state['notes'][key]}" if key in state["notes"] else "No value set!")
        case "setextradata", ["global", key]:
            state["notes"].pop(key, None)
        case "setextradata", ["global", key, value]:
            state["notes"][key] = value


def answer(arguments: list[str]) -> None:
    with open(STATE, "rb") as file:
        state = marshal.load(file)
    state["calls"].append(" ".join(arguments))
    match arguments:
        case ["--version"]:
            print("7.0.26r168464")
        case ["list", "vms" | "hostonlyifs" as kind]:
            show_all(state, kind)
        case ["showvminfo", wanted, "--machinereadable"]:
            show_machine(find(state, wanted))
        case ["showmediuminfo", "disk", path]:
            show_disk(path)
        case ["controlvm", wanted, verb] | ["startvm" as verb, wanted, "--type", "headless"]:
            control(state, find(state, wanted), verb)
        case ["modifyvm", wanted, "--cpus", cpus, "--memory", memory]:
            machine = find(state, wanted)
            if machine["state"] not in ("poweroff", "aborted"):
                fail(
                    "The machine is already locked for a session", "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)"
                )
            machine |= {"cpus": int(cpus), "memory": int(memory)}
        case ["snapshot", wanted, verb, name]:
            snapshot(state, find(state, wanted), verb, name)
        case ["unregistervm", wanted, "--delete"]:
            unregister(state, find(state, wanted))
        case ["hostonlyif", *rest]:
            host_only(state, rest)
        case ["getextradata" | "setextradata" as verb, *rest]:
            extra_data(state, verb, rest)
        case _:
            print(f"VBoxManage: error: Unknown command: {arguments}", file=sys.stderr)
            sys.exit(2)
    keep(state)


def main() -> None:
    with open(f"{STATE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer(sys.argv[1:])
