"""Ports of the host that lead to the lab: what lab.yaml wants, and the process that does it."""

from __future__ import annotations

from provision.errors import Cancelled, LabError, in_one_line
from provision.lab.context import Context
from provision.relay import process
from provision.relay.plan import Gate, Plan, Way
from provision.relay.record import living

# How long a node may take to answer, on fast machines.
ANSWER_SECONDS = 10.0


def are_there(ctx: Context) -> bool:
    """Return whether a process listens on all ports of lab.yaml, and on no other."""
    record = living(ctx.workspace.relay)
    if not ctx.config.ports:
        return record is None
    return record is not None and record.plan == wanted(ctx)


def bring(ctx: Context) -> None:
    """Listen on the ports of lab.yaml, and on no other; raises LabError."""
    process.end(ctx.workspace.relay)
    if ctx.config.ports:
        process.start(ctx.workspace.relay, wanted(ctx))
        for port in ctx.config.ports:
            ctx.report.info(f"port {port.text}")


def bring_back(ctx: Context) -> None:
    """Listen anew on a lab that was restored; what cannot be is told.

    It may have been stopped before, and its nodes know nothing of connections that were opened later.
    """
    try:
        bring(ctx)
    except Cancelled:
        raise
    except LabError as error:
        ctx.report.warn(in_one_line(error))


def close(ctx: Context) -> None:
    """Listen on none of them any more."""
    process.end(ctx.workspace.relay)


def relayed(ctx: Context) -> list[str]:
    """Return what a process does now, one text a port."""
    record = living(ctx.workspace.relay)
    return [way.text for way in record.plan.ways] if record is not None else []


def wanted(ctx: Context) -> Plan:
    """Return what the process is to do; a Service is reached by the first control plane."""
    point = ctx.host_keys.endpoint(ctx.inventory.first)
    ways = [
        Way(
            address=port.address,
            host=port.host,
            port=port.port,
            node=ctx.inventory.node(port.node).ip if port.node else "",
            service=port.service,
            text=port.text,
        )
        for port in ctx.config.ports
    ]
    gate = Gate(
        node=point.node,
        host=point.host,
        port=point.port,
        user=point.user,
        key_file=point.key_file,
        known_hosts=point.known_hosts,
    )
    # Not by the measured speed, which is another in every run.
    return Plan(ways=tuple(ways), gate=gate, seconds=ANSWER_SECONDS * ctx.acceleration.factor)
