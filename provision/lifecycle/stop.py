"""`stop`: shuts all machines of a lab down at once, and switches off what does not go by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provision.errors import Cancelled, LabError
from provision.lab import ports, start_record
from provision.lab.context import Context
from provision.lab.halted import START, halted
from provision.lab.refusals import refuse_anothers_machines
from provision.lifecycle.each import on_each
from provision.providers.base import PAUSED, RUNNING, SAVED

STEP = "stop"
# For as long as systemd may take to end pods and the kubelet.
PATIENCE = 60.0
# A guest that has only just begun to boot does not notice its power button.
PRESS_AGAIN = 10.0
POLL_SECONDS = 0.5
HINT = "kubelab doctor; then: kubelab stop"


def stop(ctx: Context) -> None:
    """Shut down every machine that runs. A machine that does not go off in time is switched off, and told."""
    refuse_anothers_machines(ctx)
    ports.close(ctx)
    ids, begin = machines_on(ctx), ctx.clock.now()
    if not ids:
        tell_nothing_to_do(ctx)
        return
    with told(ctx, "Machines shut down"):
        late = switch_off(ctx)
    if SAVED not in ctx.machines.states().values():
        start_record.remove(ctx.workspace)
    seconds = ctx.clock.now() - begin
    ctx.report.info(f"stopped the lab {ctx.config.name} in {seconds:.1f} s")
    found = {"stopped": list(ids), "switched_off": list(late), "saved": False}
    ctx.report.result({"lab": ctx.config.name, **found, "seconds": round(seconds, 1)})
    ctx.report.next_commands([START])


def switch_off(ctx: Context, *names: str) -> dict[str, str]:
    """Shut machines down, all or those of the nodes `names`, and switch off what is late.

    Returns the late ones (node -> id).
    """
    ids = machines_on(ctx, *names)
    paused = [ids[name] for name, state in ctx.machines.states().items() if state == PAUSED and name in ids]
    if paused:
        # Whoever stands still cannot heed a button.
        ctx.provider.resume(paused)
    late = _shut_down(ctx, *names)
    for name in late:
        ctx.report.warn(f"{name} did not shut down in {ctx.scaled(PATIENCE):.0f} s: it is switched off")
    on_each(ctx, late, ctx.provider.power_off, "cannot be switched off", HINT)
    require_off(ctx, *names)
    ctx.disconnect()
    return late


def machines_on(ctx: Context, *names: str) -> dict[str, str]:
    """Return the machines, node -> id, that run or are paused; of `names` alone where some are given."""
    ids, states = ctx.machines.ids(), ctx.machines.states()
    on = {name: ids[name] for name, state in states.items() if state in (RUNNING, PAUSED)}
    return {name: machine for name, machine in on.items() if not names or name in names}


def require_off(ctx: Context, *names: str) -> None:
    """Raise LabError where the hypervisor reported success, and a machine still runs."""
    if still := machines_on(ctx, *names):
        raise LabError(
            f"the hypervisor reported no error, but {', '.join(still)} is not off", hint="kubelab status"
        )


def tell_nothing_to_do(ctx: Context) -> None:
    """Say that no machine runs."""
    states = ctx.machines.states()
    if states:
        ctx.report.info(f"nothing to do: {halted(states, states)}")
        ctx.report.next_commands([START])
    else:
        ctx.report.info("nothing to do: the lab has no machines")
    found: dict[str, object] = {"stopped": [], "switched_off": [], "saved": SAVED in states.values()}
    ctx.report.result({"lab": ctx.config.name, **found, "seconds": 0.0})


@contextmanager
def told(ctx: Context, title: str, step: str = STEP) -> Iterator[None]:
    """Report the body as a step."""
    began = ctx.clock.now()
    ctx.report.step_started(step, title)
    try:
        yield
    except BaseException as error:
        shown = Cancelled("interrupted") if isinstance(error, KeyboardInterrupt) else error
        ctx.report.step_failed(step, ctx.clock.now() - began, shown)
        raise
    ctx.report.step_done(step, ctx.clock.now() - began)


def _shut_down(ctx: Context, *names: str) -> dict[str, str]:
    """Press all power buttons until the machines are off; return those (node -> id) that are not in time."""
    clock = ctx.clock
    end = clock.now() + ctx.scaled(PATIENCE)
    press = clock.now()
    while (left := machines_on(ctx, *names)) and clock.now() < end:
        if clock.now() >= press:
            on_each(ctx, left, ctx.provider.shut_down, "cannot be shut down", HINT)
            press = clock.now() + PRESS_AGAIN
        ctx.report.progress(f"waiting for {', '.join(left)}", STEP)
        clock.sleep(POLL_SECONDS)
    return left
