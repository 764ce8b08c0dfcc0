"""The same work on several machines at once, whose errors name the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import Within
from provision.errors import Cancelled, LabError, MachineBusy, NodesError, in_one_line
from provision.lab.context import Context


def on_each(ctx: Context, ids: Mapping[str, str], work: Callable[[str], None], fault: str, hint: str) -> None:
    """Do `work` with the machine of every node in `ids` (node -> id).

    Raises LabError, "NODE FAULT: reason" with `hint`; and MachineBusy, as the hypervisor says it.
    """

    def of_node(node: Node) -> None:
        try:
            work(ids[node.name])
        except (Cancelled, MachineBusy):
            raise
        except LabError as error:
            raise LabError(f"{node.name} {fault}: {in_one_line(error)}", hint=hint) from error

    try:
        # Ctrl-C ends this work alone: what it began may have to be undone, by the same provider.
        on_all([node for node in ctx.inventory.nodes if node.name in ids], of_node, Within(ctx.cancel))
    except NodesError as several:
        # A busy one may be well in a moment, so that is what to tell.
        raise next((e for e in several.errors.values() if isinstance(e, MachineBusy)), several) from None
