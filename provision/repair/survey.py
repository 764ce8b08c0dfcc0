"""What the nodes are like after time travel: one fat round trip to all at once."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import time
from collections.abc import Callable, Mapping

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.lab.context import Context
from provision.node.certificates import CERTIFICATES, MARGIN
from provision.node.clock import SHOW, measure
from provision.node.kubelet import HEALTHZ
from provision.node.runner import run_in
from provision.node.tokens import TOKENS, PodToken
from provision.repair.state import UNITS, NodeState, parse_state

RTC = "/sys/class/rtc/rtc0/since_epoch"


SURVEY = f"""
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


class Survey:
    """The states of all nodes, asked when first needed and again after something was changed.

    Times are seconds since the epoch: `moment` is the point in time that the lab was put back to, `wall` the
    host's clock, `since` when the repair began. `expired` are the tokens found dead at any time of it.
    """

    def __init__(self, moment: float, wall: Callable[[], float] = time.time) -> None:
        self.moment = moment
        self.wall = wall
        self.since = wall()
        self.expired: frozenset[PodToken] = frozenset()
        self._states: dict[str, NodeState] | None = None

    @property
    def soon(self) -> dt.datetime:
        """Return the time until which a certificate has to be good at least."""
        return dt.datetime.fromtimestamp(self.wall(), dt.UTC) + MARGIN

    def states(self, ctx: Context) -> Mapping[str, NodeState]:
        """Return every node's state."""
        if self._states is None:
            self.take(ctx, {})
        assert self._states is not None
        return self._states

    def take(self, ctx: Context, first: Mapping[str, str]) -> None:
        """Ask all nodes at once; a node named in `first` runs that script before it answers."""
        self.forget()
        deadline = ctx.scaled(30)

        def ask(node: Node) -> NodeState:
            script = first.get(node.name, "") + SURVEY
            with contextlib.closing(ctx.connect(node).shell()) as shell:
                text = run_in(shell, node.name, script, deadline=deadline, what="survey the node")
                now = self.wall()
                # The shell is there by now: so a round trip is short, and the measurement exact.
                show = functools.partial(run_in, shell, node.name, SHOW, deadline=deadline, what=SHOW)
                return parse_state(text, now, measure(show, self.wall))

        self._states = on_all(ctx.inventory.nodes, ask, ctx.cancel)
        now = self.wall()
        tokens = (token for state in self._states.values() for token in state.tokens)
        self.expired |= {token for token in tokens if token.expires < now}

    def forget(self) -> None:
        """Let the next question be asked of the nodes."""
        self._states = None
