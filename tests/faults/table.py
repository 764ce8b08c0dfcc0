"""The table: every fault that kubelab has to survive.

To add one, write a line where its like are. A boundary is a program and a part of its call, with `#2` for the
second such call. Each boundary meets everything in PROGRAM and in SIGNALS.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.fault import Fault, Trap
from tests.faults.kubelab import Refusal

YEAR = 365 * 86400.0

# Who is told to mend it, and what there is before. `up` begins on a host without a lab.
COMMANDS = {
    "up": ("up", "nothing"),
    "up --yes": ("up --yes", "saved"),
    "up --restart": ("up --restart", "saved"),
    "snapshot save new": ("snapshot list", "saved"),
    "snapshot restore old": ("snapshot list", "saved"),
    "snapshot delete old": ("snapshot list", "saved"),
    "reset": ("snapshot list", "saved"),
    "stop": ("start", "saved"),
    "stop --save": ("start", "saved"),
    "start": ("start", "stopped"),
    # The same with memory that was kept: the words tell the two apart.
    "start --file lab.yaml": ("up", "kept"),
    "destroy": ("destroy", "saved"),
}

# What lab.yaml says by then.
EDITS = {"up --yes": "a worker less", "up --restart": "more memory"}

BOUNDARIES = {
    "up": """
        ip -json -4 addr
        virsh list --all --name
        vagrant box add
        virsh vol-create-as
        virsh vol-upload
        virsh net-define
        virsh net-start
        vagrant up
        vagrant volume lab-w1
        vagrant define lab-w1
        vagrant id lab-w1
        vagrant start lab-cp1
        ssh lab-w1: machine id
        ssh lab-cp1: probe
        ssh lab-w1: prepare
        ssh lab-cp1: kubeadm init
        ssh lab-cp1: admin.conf
        ssh lab-cp1: join credentials
        ssh lab-w1: kubeadm join
        kubectl get --raw
        kubectl get nodes,pods,deployments
        virsh suspend #2
        virsh snapshot-create-as
        virsh resume
        """,
    "up --yes": """
        kubectl patch node lab-w1
        kubectl drain lab-w1
        kubectl delete node lab-w1
        vagrant destroy
        vagrant remove lab-w1
        virsh vol-list
        virsh net-update
        """,
    "up --restart": """
        kubectl get node lab-cp1
        virsh shutdown
        virsh define
        virsh start
        """,
    "snapshot save new": """
        virsh dumpxml
        ssh lab-cp1: prepare to be saved
        kubectl get nodes
        virsh dommemstat
        virsh emulatorpin
        virsh suspend
        virsh snapshot-create-as
        virsh snapshot-create-as #2
        virsh resume
        virsh resume #2
        """,
    "snapshot restore old": """
        virsh snapshot-list
        virsh suspend
        virsh qemu-monitor-command
        virsh qemu-monitor-command #2
        virsh snapshot-current
        virsh resume
        kubectl get nodes,leases
        kubectl get secrets
        """,
    "snapshot delete old": """
        virsh snapshot-list
        virsh snapshot-delete
        virsh snapshot-delete #2
        """,
    "reset": """
        virsh list --state-running
        virsh suspend #2
        virsh qemu-monitor-command
        virsh resume #2
        """,
    "stop": """
        virsh list --all --uuid
        virsh shutdown
        virsh shutdown #2
        """,
    "stop --save": """
        ssh lab-cp1: prepare to be saved
        virsh suspend
        virsh managedsave
        virsh managedsave #2
        """,
    "start": """
        virsh net-list
        virsh start
        virsh start #2
        ssh lab-w1: greet
        ssh lab-cp1: probe
        kubectl get nodes,pods
        kubectl get nodes,leases
        """,
    "start --file lab.yaml": """
        virsh start
        virsh start #2
        virsh resume
        virsh resume #2
        kubectl get nodes,leases
        """,
    "destroy": """
        virsh snapshot-delete
        vagrant destroy
        vagrant remove lab-cp1
        virsh list --all --name
        virsh vol-list
        virsh vol-delete
        virsh net-destroy
        virsh net-undefine
        """,
}

# What a program does instead of its work. When it hangs, its deadline passes at once.
PROGRAM = {
    "fails": ("fail",),
    "hangs": ("hang past the deadline",),
    "answers garbage": ("garbage",),
    "is killed": ("die",),
}
# What kubelab gets while the program is at work, or after it did it.
SIGNALS = ("INT", "TERM", "HUP", "KILL")
# Vagrant downloads and boots for as long as it takes; who waits too long presses Ctrl-C. And what it does
# between its beginning and its end (the calls with a machine's name) it does or fails to do.
NOT_OF_VAGRANT = ("hangs",)
NOT_INSIDE_VAGRANT = ("hangs", "answers garbage")

# Where the output goes.
SCREENS = {
    "its output is closed": "closed",
    "its output is a full disk": "full",
    "nobody reads its output": "unread",
    "the reader of its output goes away": "head 2",
}

# command | which access | to which file | error | which of them, 0 for all
FILES = """
    up                   | write  | decision.json     | ENOSPC | 1
    up                   | write  | /box.json         | ENOSPC | 0
    up                   | write  | id_ed25519        | ENOSPC | 0
    up                   | write  | Vagrantfile       | EROFS  | 0
    up                   | rename | Vagrantfile       | EIO    | 1
    up                   | write  | known_hosts       | ENOSPC | 1
    up                   | write  | ssh_config        | ENOSPC | 1
    up                   | write  | kubeconfig        | ENOSPC | 1
    up                   | sync   | kubeconfig        | EIO    | 1
    up                   | write  | journal.json      | ENOSPC | 0
    up                   | write  | ready.json        | ENOSPC | 0
    up                   | write  | run.log           | EACCES | 0
    snapshot save new    | write  | journal.json      | ENOSPC | 0
    snapshot save new    | sync   | journal.json      | EIO    | 1
    snapshot save new    | rename | journal.json      | EROFS  | 1
    snapshot save new    | read   | journal.json      | EIO    | 0
    snapshot save new    | remove | journal.json      | EACCES | 1
    snapshot save new    | write  | new.json          | ENOSPC | 0
    snapshot save new    | sync   | new.json          | EIO    | 1
    snapshot save new    | rename | new.json          | EROFS  | 1
    snapshot save new    | write  | /lab/             | EROFS  | 0
    snapshot save new    | write  | run.log           | ENOSPC | 0
    snapshot restore old | write  | journal.json      | ENOSPC | 1
    snapshot restore old | write  | journal.json      | ENOSPC | 2
    snapshot restore old | write  | journal.json      | EIO    | 3
    snapshot restore old | write  | journal.json      | ENOSPC | 0
    snapshot restore old | read   | old.json          | EIO    | 0
    snapshot restore old | remove | journal.json      | EIO    | 1
    snapshot restore old | write  | /lab/             | EROFS  | 0
    snapshot delete old  | write  | journal.json      | ENOSPC | 0
    snapshot delete old  | read   | old.json          | EIO    | 0
    snapshot delete old  | remove | old.json          | EROFS  | 1
    snapshot delete old  | write  | lock              | EROFS  | 0
    reset                | write  | journal.json      | ENOSPC | 2
    reset                | read   | id_ed25519        | EACCES | 0
    stop --save          | write  | start.json        | ENOSPC | 0
    start                | write  | start.json        | ENOSPC | 1
    start                | remove | start.json        | EIO    | 1
    start                | write  | run.log           | ENOSPC | 0
    destroy              | remove | id_ed25519        | EACCES | 1
    destroy              | remove | journal.json      | EIO    | 1
    destroy              | write  | run.log           | EROFS  | 0
    destroy              | read   | libvirt/id        | EIO    | 0
    destroy              | write  | /lab/             | EROFS  | 0
    """

# A guest that belongs to somebody else: who is asked, and what it says instead.
HOSTILE = """
    up                   | lab-cp1: admin.conf           | exec
    up                   | lab-cp1: admin.conf           | token file
    up                   | lab-cp1: admin.conf           | escapes
    up                   | lab-cp1: admin.conf           | nothing
    up                   | lab-cp1: admin.conf           | no text
    up                   | lab-cp1: admin.conf           | endless
    up                   | lab-cp1: state of kubeadm     | escapes
    up                   | lab-w1: machine id            | another id
    up                   | lab-w1: machine id            | endless
    up                   | lab-w1: machine id            | escapes
    up                   | lab-w1: probe                 | escapes
    up                   | lab-w1: clock                 | a huge number
    up                   | lab-w1: clock                 | no text
    up                   | lab-w1: prepare               | endless
    up                   | lab-cp1: join credentials     | escapes
    snapshot save new    | lab-w1: prepare to be saved   | endless
    snapshot save new    | lab-w1: prepare to be saved   | escapes
    snapshot save new    | lab-w1: clock                 | a huge number
    snapshot save new    | lab-w1: prepare to be saved   | another key
    snapshot restore aged | lab-w1: survey               | escapes
    snapshot restore aged | lab-w1: survey               | endless
    snapshot restore aged | lab-w1: renew certificates   | an end of a here-document
    snapshot restore aged | lab-w1: renew certificates   | endless
    snapshot restore aged | lab-cp1: sign                | an end in a certificate
    """

# Files of a working copy that somebody else made, or that a crash left. The ids are those of other machines.
JOURNAL = ".kubelab/lab/journal.json"
_HEAD = '{"action":"%s","name":"%s","time":"2026-01-01T00:00:00Z","ids":%s,"running":%s,"phase":"%s"}'
FOREIGN_ID = '{"lab-w1":"0a11ce00-0000-4000-8000-000000000001"}'
# Nobody can know what these are the rest of: the user removes them.
DAMAGED = {
    "an empty journal": {JOURNAL: ""},
    "half a journal": {JOURNAL: '{"action":"save","na'},
    "a journal that is no text": {JOURNAL: "\x00\x01\x02"},
    "a journal whose name is a path": {JOURNAL: _HEAD % ("delete", "../../victim", "{}", "[]", "started")},
    "a journal with a node that has no id": {JOURNAL: _HEAD % ("save", "x", "{}", '["lab-w1"]', "started")},
}
ID = ".vagrant/machines/lab-w1/libvirt/id"
IDS = {
    "an id that is a command": {ID: "x --name; destroy web; echo"},
    "an id of another's machine": {ID: "0a11ce00-0000-4000-8000-000000000001"},
    "no id of a machine": {ID: ""},
}
OVER = "a journal of a restore to a snapshot that is no more"
PLANTS = {
    "a journal with another's machine": {
        JOURNAL: _HEAD % ("save", "old", FOREIGN_ID, '["lab-w1"]', "started")
    },
    OVER: {JOURNAL: _HEAD % ("restore", "gone", "{}", "[]", "reverting")},
    "a manifest that is no JSON": {"snapshots/lab/odd.json": "{"},
    "a decision that is none": {".kubelab/lab/decision.json": "[]"},
    "known_hosts that is cut": {".kubelab/lab/known_hosts": "192.168.60.11 ssh-ed"},
}


def faults() -> Iterator[Fault]:
    """Yield every row."""
    yield from _at_boundaries()
    yield from _on_screens()
    yield from _with_files()
    yield from _with_clocks()
    yield from _by_guests()
    yield from _in_the_folder()
    yield from _beside_others()


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line of a table."""
    for line in text.strip().splitlines():
        yield [cell.strip() for cell in line.split("|")]


def _at_boundaries() -> Iterator[Fault]:
    for words, text in BOUNDARIES.items():
        then, start = COMMANDS[words]
        scene = EDITS.get(words, "")
        for place, (boundary,) in enumerate(rows(text)):
            call, _, number = boundary.partition(" #")
            program, _, part = call.partition(" ")
            nth = int(number or 1)
            left_out = NOT_INSIDE_VAGRANT if "lab-" in part else NOT_OF_VAGRANT
            for title, deeds in PROGRAM.items():
                if program == "vagrant" and title in left_out:
                    continue
                trap = Trap(program, part, deeds, number=nth)
                yield Fault(words, f"{boundary} {title}", then, start, trap, scene=scene)
            for turn, signal in enumerate(SIGNALS):
                when = "before" if (place + turn) % 2 else "after"
                trap = Trap(program, part, (signal, "hang"), when, nth)
                said = "in" if when == "before" else "after"
                yield Fault(words, f"SIG{signal} {said} {boundary}", then, start, trap, scene=scene)


def _on_screens() -> Iterator[Fault]:
    for words, (then, start) in COMMANDS.items():
        for title, screen in SCREENS.items():
            yield Fault(words, title, then, start, screen=screen, scene=EDITS.get(words, ""))
            # A second fault: what is told about the first must not stand in the way of mending it.
            if words in ("snapshot save new", "snapshot restore old"):
                call = "snapshot-create-as" if "save" in words else "qemu-monitor-command"
                trap = Trap("virsh", call, ("fail",), number=2)
                yield Fault(words, f"virsh {call} fails and {title}", then, start, trap, screen)


def _with_files() -> Iterator[Fault]:
    for words, action, part, error, number in rows(FILES):
        then, start = COMMANDS[words]
        which = f", access {number}" if number != "0" else ""
        refusal = Refusal(action, part, error, int(number))
        yield Fault(words, f"{error} when it has to {action} {part}{which}", then, start, refusal=refusal)
    yield Fault("snapshot save new", "no room for it", "snapshot list", free=2**20)


def _with_clocks() -> Iterator[Fault]:
    for words, (then, start) in COMMANDS.items():
        for title, wall in (("forward", YEAR), ("back", -YEAR)):
            said = f"the clock went {title} a year"
            yield Fault(words, said, then, start, wall=wall, scene=EDITS.get(words, ""))
    yield Fault(
        "snapshot delete --keep 1",
        "the clock went back before the last was saved",
        "snapshot list",
        before=(("snapshot save newest", -YEAR),),
        keeps=("newest",),
    )


def _by_guests() -> Iterator[Fault]:
    for words, call, deed in rows(HOSTILE):
        then, start = COMMANDS.get(words, COMMANDS["snapshot restore old"])
        trap = Trap("ssh", call, (deed,))
        # A snapshot of nodes whose certificates ended: after its restore each node is asked, and mended.
        aged = words == "snapshot restore aged"
        before = (("snapshot save aged", 0.0),) if aged else ()
        scene = "aged" if aged else ""
        yield Fault(words, f"{call} says {deed}", then, start, trap, before=before, scene=scene)


def _in_the_folder() -> Iterator[Fault]:
    for title, plants in DAMAGED.items():
        yield Fault("snapshot list", title, "up", plants=plants, mends=False)
        yield Fault("destroy", title, "destroy", plants=plants)
    for title, plants in PLANTS.items():
        yield Fault("snapshot list", title, "snapshot restore old" if title == OVER else "up", plants=plants)
    for title, plants in IDS.items():
        # Which machine it was, nobody can know: nothing is done to any, until the user removed the file.
        yield Fault("snapshot list", title, "up", plants=plants, mends=False)
        yield Fault("destroy", title, "destroy", plants=plants, mends=False)
    for scene in ("a manifest without a time zone", "a manifest of a newer kubelab"):
        yield Fault("snapshot list", scene, "up", scene=scene)


def _beside_others() -> Iterator[Fault]:
    """Another folder made a lab of the same name, and it runs."""
    for words in ("up", "up --from machines", "destroy", "snapshot save new", "reset"):
        yield Fault(words, "another folder has a lab of this name", words, "ready", scene="alice's lab")
