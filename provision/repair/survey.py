"""The survey of the nodes after a restore: everything in one round trip, all nodes in parallel."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import LabError
from provision.lab.context import Context
from provision.node.certificates import CERTIFICATES, MARGIN, certificates
from provision.node.clock import SHOW, Offset, measure
from provision.node.kubelet import HEALTHZ
from provision.node.runner import run_in
from provision.node.sections import sections
from provision.node.speed import MEASURE
from provision.node.tokens import TOKENS, PodToken, tokens

RTC = "/sys/class/rtc/rtc0/since_epoch"
UNITS = ("containerd", "kubelet", "lab-network", "lab-clock")
SURVEY = f"""
echo "== speed"
{MEASURE}
echo "== units"
systemctl is-active {" ".join(UNITS)} 2>/dev/null || true
echo "== keeper"
if [ -e /usr/lib/systemd/system/lab-clock.service ]; then echo there; fi
echo "== healthz"
{HEALTHZ}
echo "== routes"
ip route
echo "== tables"
nft list tables
echo "== certificates"
{CERTIFICATES}
echo "== tokens"
{TOKENS}
echo "== rtc"
if [ -r {RTC} ]; then cat {RTC}; fi
"""


@dataclass(frozen=True)
class NodeState:
    """The state of one node. `certificates` maps a file to the first expiry of a certificate in it.

    `clock` is the offset of the node's clock from the host's; `rtc_behind` is by how many seconds its
    hardware clock, which has whole seconds only, is behind. `has_keeper`: lab-clock.service is installed.
    """

    clock: Offset
    rtc_behind: float | None
    units: Mapping[str, str]
    has_keeper: bool
    healthy: bool
    routes: tuple[str, ...]
    tables: frozenset[str]
    certificates: Mapping[str, dt.datetime]
    tokens: tuple[PodToken, ...]


class Survey:
    """The states of all nodes, queried at first use and again after a change.

    Times are seconds since the epoch: `moment` is the point in time that the lab was restored to, `wall` the
    host's clock, `since` when the repair began. `expired` are all expired tokens seen during the repair.
    """

    def __init__(self, moment: float, wall: Callable[[], float] = time.time) -> None:
        self.moment = moment
        self.wall = wall
        self.since = wall()
        self.expired: frozenset[PodToken] = frozenset()
        self._states: dict[str, NodeState] | None = None

    @property
    def soon(self) -> dt.datetime:
        """Return the time until which a certificate must be valid at least."""
        return dt.datetime.fromtimestamp(self.wall(), dt.UTC) + MARGIN

    def states(self, ctx: Context) -> Mapping[str, NodeState]:
        """Return every node's state."""
        if self._states is None:
            self.take(ctx, {})
        assert self._states is not None
        return self._states

    def take(self, ctx: Context, first: Mapping[str, str]) -> None:
        """Ask all nodes in parallel; a node named in `first` runs that script before it answers.

        Each is timed as well: what the repair waits for afterwards takes longer on slow machines.
        """
        self.forget()
        deadline = ctx.scaled(30)

        def ask(node: Node) -> NodeState:
            script = first.get(node.name, "") + SURVEY
            with contextlib.closing(ctx.connect(node).shell()) as shell:
                text = run_in(shell, node.name, script, deadline=deadline, what="survey the node")
                now = self.wall()
                ctx.pace.note(text, ctx.acceleration.factor)
                # The shell is open by now, so a round trip is short and the measurement exact.
                show = functools.partial(run_in, shell, node.name, SHOW, deadline=deadline, what=SHOW)
                try:
                    return parse_state(text, now, measure(show, self.wall))
                except (ValueError, KeyError) as error:
                    raise LabError(
                        f"{node.name}: what it says of its state is not understood: {error}",
                        hint=f"look at the node: kubelab ssh {node.name}",
                    ) from error

        self._states = on_all(ctx.inventory.nodes, ask, ctx.cancel)
        now = self.wall()
        held = (token for state in self._states.values() for token in state.tokens)
        self.expired |= {token for token in held if token.expires < now}

    def forget(self) -> None:
        """Forget the states; the next use asks the nodes again."""
        self._states = None


def parse_state(text: str, now: float, clock: Offset) -> NodeState:
    """Return the state that a survey's output describes; `now` is the host's time when it arrived."""
    parts = sections(text)
    return NodeState(
        clock=clock,
        rtc_behind=now - int(parts["rtc"][0]) if parts["rtc"] else None,
        units=dict(zip(UNITS, parts["units"], strict=False)),
        has_keeper=bool(parts["keeper"]),
        healthy=any(" 200 " in line for line in parts["healthz"]),
        routes=tuple(parts["routes"]),
        tables=frozenset(line.removeprefix("table ").strip() for line in parts["tables"]),
        certificates=certificates(parts["certificates"]),
        tokens=tokens(parts["tokens"]),
    )
