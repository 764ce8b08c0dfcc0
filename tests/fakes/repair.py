"""A cluster that came back from the past: nodes that answer the repair's scripts, and kubectl's answers."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.engine.steps import Outcome
from provision.errors import Result
from provision.node.clock import NANO, SHOW
from provision.repair.cluster import repair
from tests.fakes.cluster.objects import lease, node
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.credentials import (
    CLIENT,
    NOW,
    PKI,
    SERVING,
    certificate,
    kubeconfig,
    node_name,
    request,
    signed,
)
from tests.fakes.node.runner import Call, FakeRunner

LEADERS = ("kube-controller-manager", "kube-scheduler")


@dataclass
class Machine:
    """A node: `behind` seconds behind the host; what the repair does to it shows in `done`."""

    name: str
    wall: Any
    first: bool
    routes: list[str]
    behind: float = 0.0
    rtc_behind: float | None = 0.0
    units: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(("containerd", "kubelet", "lab-network", "lab-clock"), "active")
    )
    keeper: bool = True
    healthy: bool = True
    tables: list[str] = field(default_factory=lambda: ["ip kubelab", "ip kube-proxy"])
    files: dict[str, float] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    # What it asks to be signed instead of its own request, and for whom it signs whatever it is asked.
    request: str = ""
    signs_for: str = ""
    # What a survey's small piece of work takes; 10 is usual.
    milliseconds: int = 10

    def answer(self, call: Call) -> Result:
        """Do what a script asks, but for what this machine is deaf to, and say what it would say."""
        text, out = call.command, ""
        effects = {
            "systemctl stop lab-clock": lambda text: self.units.update({"lab-clock": "inactive"}),
            "date -s": self._step,
            "/dev/rtc0": lambda text: setattr(self, "rtc_behind", 0.0),
            "systemctl restart containerd": lambda text: self.units.update(containerd="active"),
            "systemctl start lab-clock": lambda text: self.units.update({"lab-clock": "active"}),
            "systemctl restart lab-network": self._network,
            "kubeadm certs renew all": lambda text: self._renew(PKI, "/etc/kubernetes/"),
            "openssl req": lambda text: None,
            "openssl x509": lambda text: None,
            "mv -Tf": lambda text: self._renew(CLIENT),
            f"rm -f {SERVING}": lambda text: self._renew(SERVING),
            "pkill": lambda text: None,
            "systemctl restart kubelet": self._kubelet,
        }
        for part, effect in sorted(effects.items(), key=lambda item: text.find(item[0])):
            if part in text:
                self.done.append(part)
                if part not in self.deaf:
                    effect(text)
        if "openssl req" in text:
            out += self.request or request(node_name(self.name))
        if "openssl x509" in text:
            names = re.findall(r'echo "== (\S+)"', text)
            out += "".join(f"== {name}\n{signed(node_name(self.signs_for or name))}" for name in names)
        if "== units" in text:
            out += self._survey()
        if text.endswith(SHOW):
            out += f"{round((self.wall() - self.behind) * NANO)}\n"
        return Result(out, "", 0)

    def _step(self, text: str) -> None:
        found = re.search(r"now \+ (-?\d+)", text)
        assert found
        self.behind -= int(found[1]) / NANO

    def _network(self, text: str) -> None:
        self.units["lab-network"] = "active"
        self.tables = sorted({*self.tables, "ip kubelab"})
        self.routes = [line.removeprefix("lost ") for line in self.routes]

    def _kubelet(self, text: str) -> None:
        self.units["kubelet"] = "active"
        self.healthy = True

    def _renew(self, *prefixes: str) -> None:
        for path in self.files:
            if path.startswith(prefixes) and not path.endswith("ca.crt") and "kubelet.conf" not in path:
                self.files[path] = 365

    def _survey(self) -> str:
        lines = ["== speed", f"speed {self.milliseconds}"]
        lines += ["== units", *self.units.values(), "== keeper", *(["there"] if self.keeper else [])]
        lines += ["== healthz", *(["HTTP/1.0 200 OK"] if self.healthy else []), "== routes", *self.routes]
        lines += ["== tables", *(f"table {name}" for name in self.tables), "== certificates"]
        for path, days in self.files.items():
            pem = certificate(days)
            data = f"data {base64.b64encode(pem.encode()).decode()}"
            lines += [f"-- {path}", data if path.endswith(".conf") else pem.strip()]
        rtc = [] if self.rtc_behind is None else [str(int(self.wall() - self.rtc_behind))]
        return "\n".join([*lines, "== tokens", *self.tokens, "== rtc", *rtc]) + "\n"


@dataclass
class World:
    """The lab, its machines by name, and the objects that kubectl shows (call `show` after changing them)."""

    lab: Lab
    machines: dict[str, Machine]
    leases: dict[str, float]
    pods: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    unready: set[str] = field(default_factory=set)
    moment: float = NOW

    @property
    def first(self) -> Machine:
        return self.machines["lab-cp1"]

    @property
    def worker(self) -> Machine:
        return self.machines["lab-w1"]

    def wall(self) -> float:
        return NOW + self.lab.ctx.fake_clock.time

    def show(self) -> None:
        """Let kubectl answer from what is here."""
        names = list(self.machines)
        nodes = [node(name, "False" if name in self.unready else "True") for name in names]
        leases = [
            lease("kube-system" if name in LEADERS else "kube-node-lease", name, seconds)
            for name, seconds in self.leases.items()
        ]
        kubectl = self.lab.kubectl
        kubectl.answer("get nodes,leases*", json.dumps({"items": nodes + leases}))
        kubectl.answer("get nodes,pods*", json.dumps({"items": nodes + self.pods}))
        kubectl.answer("get pods*", json.dumps({"items": self.pods}))
        kubectl.answer("get secrets*", "".join(f"{line}\n" for line in self.secrets))

    def later(self, seconds: float, *changes: Any) -> None:
        """Let `changes` (functions) happen once the run's clock has come that far, and show the result."""
        left = list(changes)

        def on_sleep() -> None:
            if self.lab.ctx.fake_clock.time >= seconds and left:
                for change in left:
                    change()
                left.clear()
                self.show()

        self.lab.ctx.fake_clock.on_sleep = on_sleep

    def beat(self, names: Iterable[str] = ()) -> None:
        """Renew the Leases of `names`, or all, at the present time."""
        for name in names or self.leases:
            self.leases[name] = self.lab.ctx.fake_clock.time

    def repair(self, good_until: dt.datetime | None = None) -> Outcome:
        return repair(self.lab.ctx, self.moment, self.wall, good_until=good_until)

    def writes(self) -> list[str]:
        """Return what kubectl was asked to change."""
        return [call for call in self.lab.kubectl.calls if not call.startswith("get")]

    def done(self) -> dict[str, list[str]]:
        """Return what was done on the machines where anything was."""
        return {name: machine.done for name, machine in self.machines.items() if machine.done}


def make_world(root: Path, **keys: Any) -> World:
    """Return a healthy cluster of a control plane and two workers, whose heartbeats come at once."""
    lab = make_lab(root, **keys)
    nodes = lab.ctx.inventory.nodes
    clock = lab.ctx.fake_clock
    machines = {}
    for place in nodes:
        routes = [f"{other.pod_cidr} via {other.ip} dev eth0 " for other in nodes if other != place]
        machine = Machine(place.name, lambda: NOW + clock.time, place.is_control_plane, routes)
        machine.files = {CLIENT: 200, SERVING: 200, f"{PKI}/ca.crt": 3000}
        if place.is_control_plane:
            machine.files |= {f"{PKI}/apiserver.crt": 200, f"{PKI}/etcd/ca.crt": 3000}
            machine.files |= {"/etc/kubernetes/admin.conf": 200}
        machines[place.name] = machine
        lab.script((lambda call: True, machine.answer), nodes=[place])
    first: FakeRunner = lab.runners[lab.ctx.inventory.first.name]
    first.files["/etc/kubernetes/admin.conf"] = kubeconfig(365).encode()
    lab.ctx.workspace.kubeconfig.write_text(kubeconfig(200))
    lab.kubectl.answer("*delete*")
    lab.kubectl.answer("get --raw /readyz", "ok")
    world = World(lab, machines, dict.fromkeys([*machines, *LEADERS], 0.5))
    world.show()
    return world
