"""What every node does just before it is saved: it says who it is, and gets ready for time travel."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import ConnectFailed, SnapshotError
from provision.lab.context import Context
from provision.node.certificates import CERTIFICATES, certificates
from provision.node.clock import set_clock
from provision.node.runner import run_in
from provision.node.sections import sections
from provision.node.tokens import TOKENS, tokens
from provision.ssh.host_keys import UUID_FILE

# The box brings what a node does before it is saved; a user's own box may not. It comes last, since it holds
# the clock for a while only.
PREPARE = f"""
echo "== machine"
cat {UUID_FILE}
echo "== certificates"
{CERTIFICATES}
echo "== tokens"
{TOKENS}
echo "== clock"
if [ -r /usr/lib/kubelab/lab-clock.pl ]; then perl /usr/lib/kubelab/lab-clock.pl hold || true; fi
"""
# What the last of them says where the node sets its clock by itself after a restore.
KEPT = "kept"


def prepare(ctx: Context, ids: Mapping[str, str]) -> dt.datetime | None:
    """Let every node prepare for being saved; return until when it needs nothing but its own clock keeper.

    That is when the first certificate or token in the nodes ends; it is None with a node that could not be
    asked, or has no keeper. A node's clock is set first: what is off now would be off after every restore.
    Raises SnapshotError when one is another machine.
    """

    def ask(node: Node) -> dict[str, list[str]]:
        try:
            with contextlib.closing(ctx.connect(node).shell()) as shell:
                set_clock(shell, node.name, deadline=ctx.scaled(10))
                text = run_in(shell, node.name, PREPARE, deadline=ctx.scaled(15), what="prepare to be saved")
        except ConnectFailed as error:
            ctx.report.warn(f"saved all the same: {error.message}")
            return {}
        return sections(text)

    answers = on_all(ctx.inventory.nodes, ask, ctx.cancel)
    for node, said in answers.items():
        shown = "".join(said.get("machine", ())).strip()
        if shown and shown.lower() != ids[node].lower():
            raise SnapshotError(
                f"{node} is the machine {shown.lower()}, and Vagrant made {ids[node]}", hint="kubelab status"
            )
    ends = [_first_end(said) for said in answers.values()]
    known = [end for end in ends if end is not None]
    return min(known) if len(known) == len(ends) else None


def _first_end(said: Mapping[str, list[str]]) -> dt.datetime | None:
    """Return when the first of a node's certificates and tokens ends, if that is known and all it needs."""
    if said.get("clock") != [KEPT]:
        return None
    try:
        ends = [dt.datetime.fromtimestamp(token.expires, dt.UTC) for token in tokens(said["tokens"])]
        return min([*ends, *certificates(said["certificates"]).values()], default=None)
    except (ValueError, OverflowError):
        # A file that is no certificate keeps nobody from saving.
        return None
