"""Fakes at the seams, and a Context made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.box.recipe import BoxRecipe
from provision.cni.bridge import Bridge
from provision.config.inventory import Node, inventory_of
from provision.engine.steps import Step, run_steps
from provision.host.facts import Acceleration
from provision.lab.context import Context
from provision.lab.decision import Decision
from provision.lab.software import Software
from provision.node.runner import Runner
from provision.report.base import RecordingReporter
from provision.workspace import Workspace
from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.cluster.kubectl import StubKubectl
from tests.fakes.config import make_config
from tests.fakes.engine import FakeClock
from tests.fakes.node.runner import Answer, FakeRunner, Matcher
from tests.fakes.providers.machines import FakeMachines
from tests.fakes.providers.provider import FakeProvider
from tests.fakes.providers.snapshots import FakeBackend


@dataclass(frozen=True)
class FakeContext(Context):
    """A Context with a clock of its own."""

    fake_clock: FakeClock = field(default_factory=FakeClock)

    @property
    def clock(self) -> FakeClock:  # type: ignore[override]
        return self.fake_clock


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
    """Return a lab in the folder `root`; `keys` are those of lab.yaml, `changes` as `changed` takes them."""
    bundle = make_bundle(root / "bundle")
    config = make_config(**{"kubernetes": bundle.kubernetes, **keys})
    inventory = inventory_of(config)
    report, provider, backend = RecordingReporter(), FakeProvider(), FakeBackend()
    provider.folder = root
    names = [node.name for node in inventory.nodes]
    machines = FakeMachines(names, own={node.name: node.machine for node in inventory.nodes})
    kubectl = StubKubectl(bundle.root)
    runners = {name: FakeRunner(name) for name in names}
    kept: dict[str, Runner] = dict(runners)
    software = Software(
        config=config,
        version=bundle.kubernetes,
        cni=Bridge(),
        find_bundle=lambda: bundle,
        build_bundle=lambda: bundle,
        recipe=BoxRecipe(bundle.kubernetes, bundle.digest),
        decision=Decision(
            kubernetes=bundle.kubernetes, artifacts="source", bundle=bundle.digest, cni="bridge"
        ),
    )
    context = FakeContext(
        config=config,
        inventory=inventory,
        software=lambda: software,
        workspace=Workspace(root, config.name),
        acceleration=Acceleration("kvm" if factor == 1.0 else "tcg", factor),
        provider=provider,
        machines=machines,
        report=report,
        connect=lambda node: kept[node.name],
        keep=lambda runner: kept.__setitem__(runner.node, runner),
        disconnect=lambda: None,
        snapshots=lambda cancel: backend,
    )
    context.workspace.prepare()
    context = changed(context, **(changes or {}))
    return Lab(context, report, machines, provider, kubectl, backend, runners)


def changed(context: FakeContext, **changes: Any) -> FakeContext:
    """Return the Context with other values of its own fields, or of those of its software."""
    own = {name for name in changes if name in {field.name for field in dataclasses.fields(context)}}
    software = {name: value for name, value in changes.items() if name not in own}
    if software:
        made = dataclasses.replace(context.software(), **software)
        context = dataclasses.replace(context, software=lambda: made)
    return dataclasses.replace(context, **{name: changes[name] for name in own})


def make_context(root: Path, **options: Any) -> FakeContext:
    """Return the Context of `make_lab` alone."""
    return make_lab(root, **options).ctx
