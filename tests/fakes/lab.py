"""Fakes at the seams, and a Context made of them."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from provision.artifacts.bundle import Bundle, entry_of, write_index
from provision.box.recipe import BoxRecipe
from provision.box.reference import BoxReference
from provision.cni.bridge import Bridge
from provision.config.inventory import Inventory, Node, inventory_of
from provision.config.schema import ClusterConfig, parse_config
from provision.engine.steps import Step, run_steps
from provision.errors import CommandFailed, LabError, Result
from provision.host.facts import Acceleration
from provision.lab.context import Context
from provision.node.runner import Runner
from provision.providers.base import PAUSED, RUNNING, STOPPED, Held, Space
from provision.report.base import RecordingReporter
from provision.workspace import Workspace

OK = Result("", "", 0)
FAILED = Result("", "it went wrong\n", 1)


@dataclass(frozen=True)
class Call:
    """One command a runner was given: an argv is joined into one line, a script stays as it is."""

    command: str
    sudo: bool
    stdin: str
    deadline: float
    what: str


Answer = Result | Exception | Callable[[Call], Result]
Matcher = str | Callable[[Call], bool]


class FakeRunner:
    """Answers each command by the first entry of its script that matches; any other is a failed test.

    A matcher is a part of the command, or a function. `files` is what `put` wrote and `get` reads,
    `modes` the mode of each file that was put.
    """

    def __init__(self, node: str, script: Iterable[tuple[Matcher, Answer]] = ()) -> None:
        self.node = node
        self.script = list(script)
        self.calls: list[Call] = []
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}

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
        text = command if isinstance(command, str) else shlex.join(command)
        call = Call(text, sudo, stdin, deadline, what)
        self.calls.append(call)
        result = self._answer(call)
        if check and not result.ok:
            raise CommandFailed(self.node, what or text[:60], result)
        return result

    def put(self, content: str | bytes, path: str, *, mode: int = 0o644) -> None:
        self.files[path] = content.encode() if isinstance(content, str) else content
        self.modes[path] = mode

    def get(self, path: str) -> bytes:
        if path not in self.files:
            raise CommandFailed(self.node, f"read {path}", Result("", f"cat: {path}: No such file\n", 1))
        return self.files[path]

    def shell(self) -> FakeShell:
        return FakeShell(self)

    def commands(self, part: str = "") -> list[str]:
        """Return the commands that contain `part`, in order."""
        return [call.command for call in self.calls if part in call.command]

    def _answer(self, call: Call) -> Result:
        for matcher, answer in self.script:
            if matcher(call) if callable(matcher) else matcher in call.command:
                if isinstance(answer, Exception):
                    raise answer
                return answer(call) if callable(answer) else answer
        raise AssertionError(f"{self.node}: unscripted command:\n{call.command}")


@dataclass(frozen=True)
class FakeShell:
    """A shell whose commands are answered, and noted, as those of its runner."""

    runner: Runner

    def run(self, command: str, deadline: float) -> tuple[bytes, bytes, int]:
        result = self.runner.run(command, deadline=deadline, check=False)
        return result.stdout.encode(), result.stderr.encode(), result.code

    def close(self) -> None:
        return


def in_turn(*results: Result) -> Callable[[Call], Result]:
    """Answer with each result once, then with the last one for ever."""
    left = list(results)
    return lambda call: left.pop(0) if len(left) > 1 else left[0]


class FakeClock:
    """Time that passes only by sleeping, at once; `on_sleep` is told of every pause, to change the world.

    With `speed` a wait that is to end in vain takes few pauses.
    """

    def __init__(self) -> None:
        self.time = 0.0
        self.speed = 1.0
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds * self.speed
        self.on_sleep()


@dataclass(frozen=True)
class FakeContext(Context):
    """A Context with a clock of its own."""

    fake_clock: FakeClock = field(default_factory=FakeClock)

    @property
    def clock(self) -> FakeClock:  # type: ignore[override]
        return self.fake_clock


class FakeMachines:
    """Machines in memory: `up` makes and starts all of `names`; `calls` lists what was done."""

    def __init__(self, names: Iterable[str] = (), *, running: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.known: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.boxes: set[str] = set()
        self.calls: list[str] = []
        self.failure: LabError | None = None
        for name in running:
            self.make(name)

    def make(self, name: str, state: str = RUNNING) -> None:
        """Make the machine `name` with an id of its own."""
        self.known[name] = f"id-of-{name}"
        self.state[name] = state

    def ids(self) -> Mapping[str, str]:
        return dict(self.known)

    def states(self) -> Mapping[str, str]:
        return dict(self.state)

    def up(self) -> None:
        self._called("up")
        for name in self.names:
            self.make(name)

    def box_folder(self, box: BoxReference) -> Path:
        return Path("/no/such/folder") / box.name

    def add_box(self, box: BoxReference) -> None:
        self._called(f"add_box {box.name}")
        self.boxes.add(box.name)

    def destroy(self) -> None:
        self._called("destroy")
        self.known.clear()
        self.state.clear()

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.failure is not None:
            raise self.failure


class FakeProvider:
    """A hypervisor in memory: `calls` lists what changed it."""

    name = "libvirt"
    parallel = True
    builds_boxes = True

    def preflight(self, facts: object) -> None:
        """Refuse nothing."""

    def __init__(self, report: object = None, cancel: threading.Event | None = None) -> None:
        self.machines: dict[str, str] = {}
        self.stray: list[str] = []
        self.others: dict[str, str] = {}
        self.network = False
        self.boxes: set[str] = set()
        self.calls: list[tuple[str, Any]] = []

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {machine: self.machines[machine] for machine in ids if machine in self.machines}

    def resume(self, ids: Sequence[str]) -> None:
        self.calls.append(("resume", list(ids)))

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        return self.network

    def make_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        self.calls.append(("make_network", config.name))
        self.network = True

    def elsewhere(self, config: object, folder: Path) -> Mapping[str, str]:
        return self.others

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        return box.name in self.boxes

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        self.calls.append(("upload_box", folder))
        self.boxes.add(box.name)

    def strays(self, config: ClusterConfig, known: Mapping[str, str]) -> list[str]:
        return [name for name in self.stray if name not in known]

    def remove(self, names: Sequence[str]) -> None:
        self.calls.append(("remove", list(names)))
        self.stray = [name for name in self.stray if name not in names]

    def remove_rest(self, config: ClusterConfig) -> None:
        self.calls.append(("remove_rest", config.name))
        self.network = False


@dataclass
class FakeVm:
    """A machine in memory: `disk` stands for all that a snapshot keeps, `held` for its snapshots."""

    state: str = RUNNING
    disk: str = "now"
    held: dict[str, tuple[str, bool]] = field(default_factory=dict)
    current: str | None = None


class FakeBackend:
    """Snapshots in memory; `before` and `after` are told of every call, and may raise."""

    def __init__(self) -> None:
        self.vms: dict[str, FakeVm] = {}
        self.calls: list[str] = []
        self.folder = Path("/")
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None
        self.unfit: LabError | None = None
        self.moment = 0.0
        self.lock = threading.RLock()

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        with self._call("states"):
            return {machine: self.vms[machine].state for machine in ids if machine in self.vms}

    def can_save(self, ids: Sequence[str]) -> None:
        with self._call("can_save"):
            if self.unfit is not None:
                raise self.unfit

    def space(self, ids: Sequence[str]) -> Mapping[str, Space]:
        with self._call("space"):
            return {machine: Space(self.folder, 1000 * len(self.vms[machine].held)) for machine in ids}

    def pause(self, ids: Sequence[str]) -> Mapping[str, float]:
        moments = {}
        for machine in ids:
            with self._call(f"pause {machine}"):
                assert self.vms[machine].state == RUNNING
                self.vms[machine].state = PAUSED
                self.moment += 0.004
                moments[machine] = self.moment
        return moments

    def save(self, machine: str, name: str) -> None:
        with self._call(f"save {machine}"):
            vm = self.vms[machine]
            assert vm.state != RUNNING
            assert name not in vm.held
            vm.held[name] = (vm.disk, vm.state == PAUSED)
            vm.current = name

    def revert(self, machine: str, name: str, *, live: bool) -> None:
        with self._call(f"revert {machine}"):
            vm = self.vms[machine]
            vm.disk, memory = vm.held[name]
            assert memory == live
            vm.state, vm.current = PAUSED if live else STOPPED, name

    def resume(self, ids: Sequence[str]) -> None:
        for machine in ids:
            with self._call(f"resume {machine}"):
                assert self.vms[machine].state == PAUSED
                self.vms[machine].state = RUNNING

    def delete(self, machine: str, name: str) -> None:
        with self._call(f"delete {machine}"):
            vm = self.vms[machine]
            del vm.held[name]
            if vm.current == name:
                vm.current = None

    def forget(self, ids: Sequence[str]) -> None:
        for machine in self.states(ids):
            with self._call(f"forget {machine}"):
                self.vms[machine].held.clear()

    def list(self, ids: Sequence[str]) -> Mapping[str, Held]:
        with self._call("list"):
            return {
                machine: Held(tuple(self.vms[machine].held), self.vms[machine].current) for machine in ids
            }

    @contextlib.contextmanager
    def _call(self, call: str) -> Iterator[None]:
        with self.lock:
            self.calls.append(call)
            self.before(call)
            yield
            self.after(call)


class StubKubectl:
    """A `kubectl` program inside a bundle's folder, which answers by patterns and writes down its calls.

    A pattern is a shell glob over the arguments that follow --kubeconfig and --request-timeout; of
    several that fit, the one added last answers. Without one it ends with an error.
    """

    def __init__(self, bundle: Path) -> None:
        self.program = bundle / "binaries" / "kubectl"
        self.folder = bundle / "stub"
        self.folder.mkdir(parents=True)
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.cases: list[tuple[str, int]] = []
        self._write()

    def answer(self, pattern: str, stdout: str = "", *, stderr: str = "", code: int = 0) -> None:
        """Answer arguments that fit `pattern`, from now on."""
        number = len(self.cases)
        (self.folder / f"{number}.out").write_text(stdout)
        (self.folder / f"{number}.err").write_text(stderr)
        self.cases.append((pattern, code))
        self._write()

    @property
    def calls(self) -> list[str]:
        """Return the arguments of every call, joined by spaces."""
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def stdin(self) -> str:
        """Return the standard input of the last call."""
        return (self.folder / "stdin").read_text()

    def _write(self) -> None:
        here = shlex.quote(str(self.folder))
        cases = "".join(
            f"{_glob(pattern)}) cat {here}/{number}.out; cat {here}/{number}.err >&2; exit {code};;\n"
            for number, (pattern, code) in reversed(list(enumerate(self.cases)))
        )
        self.program.write_text(
            "#!/bin/sh\n"
            f"shift 2\ncat > {here}/stdin.$$ && mv {here}/stdin.$$ {here}/stdin\n"
            f'printf "%s\\n" "$*" >> {here}/calls\n'
            f'case "$*" in\n{cases}*) echo "unscripted: $*" >&2; exit 99;;\nesac\n'
        )
        self.program.chmod(0o755)


def _glob(pattern: str) -> str:
    """Return a pattern of `case` in which all but `*` stands for itself."""
    return "*".join(shlex.quote(part) if part else "" for part in pattern.split("*"))


def make_config(**keys: Any) -> ClusterConfig:
    """Return a config as lab.yaml gives it (`workers={"count": 1}`), its `auto` values decided."""
    decided = {"name": "lab", "provider": "libvirt", "cni": "bridge", **keys}
    return parse_config(yaml.safe_dump(decided))


def make_bundle(root: Path, images: Mapping[str, str] | None = None) -> Bundle:
    """Write a small bundle of Kubernetes 1.36.3; `images` maps an image's name to its ref."""
    refs = {"pause": "registry.k8s.io/pause:3.10.2"} if images is None else images
    entries = []
    for name, ref in refs.items():
        file = root / "images" / f"{name}.tar"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        entries.append(entry_of(root, f"images/{name}.tar", "image", ref=ref, version="1"))
    root.mkdir(parents=True, exist_ok=True)
    write_index(root, kubernetes="1.36.3", source="test", recipe="0" * 64, entries=entries)
    return Bundle.open(root)


@dataclass(frozen=True)
class Lab:
    """A Context and the fakes it is made of, typed as what they are."""

    ctx: FakeContext
    report: RecordingReporter
    machines: FakeMachines
    provider: FakeProvider
    kubectl: StubKubectl
    backend: FakeBackend
    runners: dict[str, FakeRunner] = field(default_factory=dict)

    def run(self, *steps: Step[Context]) -> list[str]:
        """Run steps the way `up` does and return the ids of those that changed something."""
        clock, cancel = self.ctx.fake_clock, self.ctx.cancel
        return run_steps(steps, self.ctx, self.report, clock=clock, cancel=cancel).changed

    def script(self, *entries: tuple[Matcher, Answer], nodes: Iterable[Node] | None = None) -> None:
        """Add entries to the script of all nodes, or of `nodes`."""
        for node in self.ctx.inventory.nodes if nodes is None else nodes:
            self.runners[node.name].script.extend(entries)


def make_lab(
    root: Path, *, factor: float = 1.0, changes: Mapping[str, Any] | None = None, **keys: Any
) -> Lab:
    """Return a lab in the folder `root`; `keys` are those of lab.yaml, `changes` fields of the Context."""
    config = make_config(**keys)
    inventory = inventory_of(config)
    report, provider, backend = RecordingReporter(), FakeProvider(), FakeBackend()
    names = [node.name for node in inventory.nodes]
    machines = FakeMachines(names)
    bundle = make_bundle(root / "bundle")
    kubectl = StubKubectl(bundle.root)
    runners = {name: FakeRunner(name) for name in names}
    kept: dict[str, Runner] = dict(runners)
    context = FakeContext(
        config=config,
        inventory=inventory,
        version=bundle.kubernetes,
        workspace=Workspace(root, config.name),
        acceleration=Acceleration("kvm" if factor == 1.0 else "tcg", factor),
        provider=provider,
        machines=machines,
        cni=Bridge(),
        report=report,
        find_bundle=lambda: bundle,
        build_bundle=lambda: bundle,
        recipe=BoxRecipe(bundle.kubernetes, bundle.digest),
        connect=lambda node: kept[node.name],
        keep=lambda runner: kept.__setitem__(runner.node, runner),
        disconnect=lambda: None,
        snapshots=lambda cancel: backend,
    )
    context.workspace.prepare()
    context = dataclasses.replace(context, **(changes or {}))
    return Lab(context, report, machines, provider, kubectl, backend, runners)


def make_context(root: Path, **options: Any) -> FakeContext:
    """Return the Context of `make_lab` alone."""
    return make_lab(root, **options).ctx
