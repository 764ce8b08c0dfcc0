"""What must hold after every fault: of the command that met it, and once the next command is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provision.config.inventory import inventory_of
from provision.config.schema import load_config
from provision.snapshots.manifests import Manifests
from tests.fakes.stubs.trap import SIGNALS
from tests.faults.fault import Fault
from tests.faults.guests import PWNED
from tests.faults.scenes import VICTIM
from tests.faults.world import OTHER_NETWORKS, OTHER_VOLUMES, OTHERS, Seen, World

# Of docs/commands.md: 70 is a fault of kubelab itself, so it is none of these.
CODES = {0, 1, 2, 3, 130}
UNREAD = 141
OURS = ("lab-cp1", "lab-w1")
KIB_A_MIB = 1024
# What `destroy` leaves in the state folder on purpose.
LEFT = ("run.log", "lock")


@dataclass(frozen=True)
class Others:
    """What belongs to others: their domains, volumes and networks, as they were."""

    domains: dict[str, Any]
    volumes: dict[str, Any]
    networks: dict[str, Any]

    @classmethod
    def of(cls, world: World, scene: str) -> Others:
        """Return it as it is now; in alice's lab the machines are hers."""
        names = {**OTHERS, **(dict.fromkeys(OURS) if scene == "alice's lab" else {})}
        state = world.state
        disks = {f"{name}.img" for name in names}
        return cls(
            {name: domain for name, domain in state["domains"].items() if name in names},
            {name: each for name, each in state["volumes"].items() if name in disks or name in OTHER_VOLUMES},
            {name: each for name, each in state["networks"].items() if name in OTHER_NETWORKS},
        )


def at_once(world: World, fault: Fault, seen: Seen, others: Others) -> Iterator[str]:
    """Yield what is wrong when the command that met the fault is over."""
    if not world.fired and (fault.trap or fault.refusal):
        yield "the fault did not happen: the row has to name a call that is made"
    yield from _ended(fault, seen)
    yield from _said(seen)
    yield from (f"a program runs on: {line}" for line in world.leftovers())
    yield from _untouched(world, others, fault.scene)
    yield from _guest_is_data(world)
    if not fault.kills:
        yield from _none_paused(world)


def mended(world: World, fault: Fault, seen: Seen, others: Others) -> Iterator[str]:
    """Yield what is wrong after the next command."""
    settled = fault.mends and fault.scene != "alice's lab"
    if settled and seen.code != 0:
        yield f"`{seen.words}` ended with {seen.code}: {_last(seen)}"
    yield from _said(seen)
    yield from (f"a program runs on: {line}" for line in world.leftovers())
    yield from _untouched(world, others, fault.scene)
    yield from _guest_is_data(world)
    yield from _none_paused(world)
    if fault.mends and (world.lab / ".kubelab" / "lab" / "journal.json").exists():
        yield "a journal is left"
    if settled and (world.lab / ".kubelab" / "lab" / "start.json").exists():
        yield "a record of an unfinished start is left"
    if not (world.lab / VICTIM).exists():
        yield f"the user's {VICTIM} is gone"
    if settled and fault.then == "destroy":
        yield from _nothing_left(world)
    elif settled:
        yield from _whole(world, fault)
    unknown = [*world.state["unknown"], *(text for guest in world.guests.values() for text in guest.unknown)]
    if unknown:
        yield f"the stand-ins did not understand: {unknown[:3]}"


def _ended(fault: Fault, seen: Seen) -> Iterator[str]:
    if seen.code is None:
        yield "it did not come to an end"
        return
    allowed = set(CODES)
    if fault.signal == "KILL":
        allowed = {-SIGNALS["KILL"]}
    elif fault.signal:
        # One that has done its work by then may end well.
        allowed = {130, 0}
    if fault.screen not in ("file", "closed"):
        allowed.add(UNREAD)
    if seen.code not in allowed:
        yield f"it ended with exit code {seen.code} instead of {sorted(allowed)}: {_last(seen)}"
    if seen.code not in (0, UNREAD) and not fault.kills and not seen.err.strip() and fault.screen == "file":
        yield f"it ended with exit code {seen.code} and said nothing"


def _said(seen: Seen) -> Iterator[str]:
    text = seen.out + seen.err
    if "Traceback (most recent call last)" in text:
        yield f"it printed a traceback: {text.strip().splitlines()[-1]}"
    for line in text.splitlines():
        if "\x1b" in line or "\x00" in line:
            yield f"it printed control characters: {line!r}"
            return


def _last(seen: Seen) -> str:
    lines = [line for line in (seen.err or seen.out).splitlines() if "error" in line] or seen.err.splitlines()
    return lines[-1] if lines else "it said nothing"


def _untouched(world: World, before: Others, scene: str) -> Iterator[str]:
    now = Others.of(world, scene)
    for kind in ("domains", "volumes", "networks"):
        was, found = getattr(before, kind), getattr(now, kind)
        for name in was:
            if name not in found:
                yield f"others' {kind} {name} is gone"
            elif was[name] != found[name]:
                yield f"others' {kind} {name} was changed: {was[name]} -> {found[name]}"


def _guest_is_data(world: World) -> Iterator[str]:
    """What a guest says is nowhere a script, an argument, or a part of the kubeconfig."""
    for guest in world.guests.values():
        for script in guest.scripts:
            if PWNED in script:
                yield f"the text of a guest is in a script for {guest.name}: {script[-200:]!r}"
                break
    kubeconfig = world.lab / ".kubelab" / "lab" / "kubeconfig"
    if kubeconfig.exists() and PWNED in kubeconfig.read_text(errors="replace"):
        yield "the host's kubeconfig has what the guest wrote"


def _none_paused(world: World) -> Iterator[str]:
    domains = world.state["domains"]
    paused = [name for name in OURS if domains.get(name, {}).get("state") == "paused"]
    if paused:
        yield f"paused: {', '.join(paused)}"


def _nothing_left(world: World) -> Iterator[str]:
    """All that was made for the lab is gone."""
    state = world.state
    left = [name for name in state["domains"] if name not in OTHERS]
    left += [name for name in state["volumes"] if name not in OTHER_VOLUMES]
    left += [name for name in state["networks"] if name not in OTHER_NETWORKS]
    files = (world.lab / ".kubelab" / "lab").glob("*")
    left += [file.name for file in files if not file.name.startswith(LEFT)]
    left += [str(file.relative_to(world.lab)) for file in (world.lab / ".vagrant").rglob("id")]
    if left:
        yield f"left: {', '.join(left)}"


def _whole(world: World, fault: Fault) -> Iterator[str]:
    """The machines of lab.yaml run, Vagrant knows them, and the manifests tell of what they hold."""
    domains = world.state["domains"]
    nodes = {node.name: node for node in inventory_of(load_config(world.lab / "lab.yaml")).nodes}
    machines = {name: domains.get(name) for name in nodes}
    if gone := [name for name in OURS if name not in nodes and name in domains]:
        yield f"still there: {', '.join(gone)}"
    missing = [name for name, domain in machines.items() if domain is None]
    if missing:
        yield f"no machine: {', '.join(missing)}"
        return
    domains = {name: domain for name, domain in machines.items() if domain is not None}
    for name, domain in domains.items():
        file = world.lab / ".vagrant" / "machines" / name / "libvirt" / "id"
        if not file.exists() or file.read_text() != domain["uuid"]:
            yield f"Vagrant does not know {name}"
        if domain["state"] != "running":
            yield f"{name} is {domain['state']}"
        if domain["memory"] != nodes[name].memory * KIB_A_MIB:
            yield f"{name} has {domain['memory']} KiB of memory"
    known, broken = Manifests(world.lab / "snapshots" / "lab", "lab").all()
    held = {name: set(domain.get("snapshots", {})) for name, domain in domains.items()}
    for name, names in held.items():
        if not set(known) <= names <= set(known) | set(broken):
            yield f"{name} holds {sorted(names)}, and the manifests are {sorted(known)}"
    points = {name: domain.get("current") for name, domain in domains.items()}
    # Without one, libvirt's own is the parent of the one that was deleted.
    if len({*points.values()} - {None}) > 1:
        yield f"different points in time: {json.dumps(points)}"
    wanted = {"ready", *fault.keeps}
    if fault.start == "saved" and "delete" not in fault.words:
        wanted.add("old")
    if lost := wanted - set(known) - set(broken):
        yield f"the snapshot is lost: {', '.join(sorted(lost))}"
