"""What every node does just before it is saved: it identifies itself and prepares its clock for a restore."""

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

# The script lab-clock.pl is part of the box; a box of the user's own may lack it. It runs last, because it
# holds the clock only for a while.
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
# lab-clock.pl prints this when the node will set its own clock after a restore.
KEPT = "kept"


def prepare(ctx: Context, ids: Mapping[str, str]) -> dt.datetime | None:
    """Prepare every node for the save; return the first expiry of a certificate or token on the nodes.

    Until then a restored lab needs no repair. None when a node did not answer, or cannot set its clock by
    itself after a restore. Each node's clock is set first: a wrong clock would be wrong after every restore.
    Raises SnapshotError when a node is not the machine that Vagrant made.
    """

    def ask(node: Node) -> dict[str, list[str]]:
        try:
            with contextlib.closing(ctx.connect(node).shell()) as shell:
                set_clock(shell, node.name, deadline=ctx.scaled(10))
                text = run_in(shell, node.name, PREPARE, deadline=ctx.scaled(15), what="prepare to be saved")
        except ConnectFailed as error:
            ctx.report.warn(f"{node.name} is saved without preparation: {error.message}")
            return {}
        return sections(text)

    answers = on_all(ctx.inventory.nodes, ask, ctx.cancel)
    for node, said in answers.items():
        shown = "".join(said.get("machine", ())).strip()
        if shown and shown.lower() != ids[node].lower():
            raise SnapshotError(
                f"the machine at {node}'s address has the id {shown.lower()}, but Vagrant made {ids[node]}",
                hint="kubelab status",
            )
    ends = [_first_end(said) for said in answers.values()]
    known = [end for end in ends if end is not None]
    return min(known) if len(known) == len(ends) else None


def _first_end(said: Mapping[str, list[str]]) -> dt.datetime | None:
    """Return the first expiry of a node's certificates and tokens; None if unknown or without lab-clock."""
    if said.get("clock") != [KEPT]:
        return None
    try:
        ends = [dt.datetime.fromtimestamp(token.expires, dt.UTC) for token in tokens(said["tokens"])]
        return min([*ends, *certificates(said["certificates"]).values()], default=None)
    except (ValueError, OverflowError):
        # A file that is not a certificate must not prevent a save.
        return None
