"""A stand-in for VBoxManage: what it prints and how it fails, over a state kept in a JSON file."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

STATE = Path(os.environ["VBOX_STATE"])


def fail(message: str, code: str) -> NoReturn:
    print(f"VBoxManage: error: {message}", file=sys.stderr)
    print(f"VBoxManage: error: Details: code {code}, component VirtualBoxWrap", file=sys.stderr)
    sys.exit(1)


def find(state: dict[str, Any], wanted: str) -> dict[str, Any]:
    for machine in state["machines"]:
        if wanted in (machine["id"], machine["name"]):
            return machine
    fail(f"Could not find a registered machine named '{wanted}'", "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)")


def show_machine(machine: dict[str, Any]) -> None:
    print(f'name="{machine["name"]}"')
    print(f'groups="{machine.get("groups", "/")}"')
    print(f'UUID="{machine["id"]}"\nmemory=2048\ncpus=2')
    print(f'VMState="{machine["state"]}"\nVMStateChangeTime="2026-01-02T03:04:05.000000000"')
    print('"SATA Controller-0-0"="/vms/disk.vdi"')
    print('natnet1="nat"\nmacaddress1="080027416E0E"\nnic1="nat"')
    if machine.get("hostonly"):
        print(f'hostonlyadapter2="{machine["hostonly"]}"\nmacaddress2="525400000001"\nnic2="hostonly"')
    if machine.get("description"):
        print(f'description="{machine["description"]}"')


def show_link(link: dict[str, Any]) -> None:
    print(f"Name:            {link['name']}\nGUID:            786f6276-656e-4074-8000-0a0027000000")
    print(f"DHCP:            Disabled\nIPAddress:       {link['ip']}\nNetworkMask:     {link['mask']}")
    print("IPV6Address:     \nIPV6NetworkMaskPrefixLength: 0\nHardwareAddress: 0a:00:27:00:00:00")
    print(f"MediumType:      Ethernet\nStatus:          Up\nVBoxNetworkName: Host-{link['name']}\n")


def control(machine: dict[str, Any], verb: str) -> None:
    if machine["state"] not in ("running", "paused"):
        fail(f"Machine '{machine['name']}' is not currently running.", "VBOX_E_INVALID_VM_STATE")
    if verb == "resume" and machine["state"] != "paused":
        fail("VM not paused", "VBOX_E_INVALID_VM_STATE (0x80bb0002)")
    machine["state"] = {"resume": "running", "poweroff": "poweroff"}[verb]


def unregister(state: dict[str, Any], machine: dict[str, Any]) -> None:
    if machine.get("locked", 0):
        machine["locked"] -= 1
        STATE.write_text(json.dumps(state))
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


def main(arguments: list[str]) -> None:
    state = json.loads(STATE.read_text())
    state["calls"].append(" ".join(arguments))
    match arguments:
        case ["--version"]:
            print("7.0.26r168464")
        case ["list", "vms"]:
            for machine in state["machines"]:
                print(f'"{machine["name"]}" {{{machine["id"]}}}')
        case ["list", "hostonlyifs"]:
            for link in state["links"]:
                show_link(link)
        case ["showvminfo", wanted, "--machinereadable"]:
            show_machine(find(state, wanted))
        case ["controlvm", wanted, verb]:
            control(find(state, wanted), verb)
        case ["unregistervm", wanted, "--delete"]:
            unregister(state, find(state, wanted))
        case ["hostonlyif", *rest]:
            host_only(state, rest)
        case ["getextradata" | "setextradata" as verb, *rest]:
            extra_data(state, verb, rest)
        case _:
            print(f"VBoxManage: error: Unknown command: {arguments}", file=sys.stderr)
            sys.exit(2)
    STATE.write_text(json.dumps(state))


if __name__ == "__main__":
    main(sys.argv[1:])
