"""Sets the clock of every node from the host's clock, in parallel."""

from __future__ import annotations

from provision.errors import LabError
from provision.lab.context import Context
from provision.node.clock import FORGET
from provision.repair.survey import Survey

TOLERANCE = 0.5
# Hardware clocks count whole seconds.
RTC_TOLERANCE = 3.0
TRIES = 3

# perl, since the box has no hwclock: RTC_SET_TIME with a struct rtc_time, whose first fields are gmtime's.
# lab-clock is stopped meanwhile: it would apply the correction a second time, or undo it.
SET_BOTH = f"""
systemctl stop lab-clock 2>/dev/null || true
code=0
{{step}}
{FORGET}
perl -e 'open(F, "+<", "/dev/rtc0") or die $!;
    ioctl(F, 0x4024700a, pack("i9", (gmtime(time))[0..5], 0, 0, 0)) or die $!' || code=$?
systemctl start lab-clock 2>/dev/null || true
[ $code = 0 ]
"""


class ClockStep:
    """Every clock is within half a second of the host's, and so are the hardware clocks.

    QEMU's hardware clock follows the host's clock through a restore, and lab-clock.service follows the
    hardware clock. A hardware clock that is wrong (set by hand, or another hypervisor's) is set too.
    """

    id = "clocks"
    title = "Clocks"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not self._off(ctx)

    def apply(self, ctx: Context) -> None:
        for _ in range(TRIES):
            scripts = self._off(ctx)
            if not scripts:
                return
            # The survey afterwards is part of the same round trip.
            self.survey.take(ctx, scripts)
        if off := self._off(ctx):
            states = self.survey.states(ctx)
            lines = ", ".join(f"{name} by {-states[name].clock.middle:+.1f} s" for name in off)
            raise LabError(
                f"these clocks could not be set, they are off: {lines}",
                hint="the host may be overloaded: run the restore again",
            )

    def plan(self, ctx: Context) -> str:
        return "set the clock of every node from the host"

    def _off(self, ctx: Context) -> dict[str, str]:
        """Return, for every node whose clock is wrong, the script that sets it."""
        scripts = {}
        # The whole survey is one round trip: usually lab-clock on the node has set the clock already.
        for name, state in self.survey.states(ctx).items():
            script = state.clock.step() if state.clock.beyond(TOLERANCE) else ""
            if state.rtc_behind is not None and abs(state.rtc_behind) > RTC_TOLERANCE:
                script = SET_BOTH.format(step=script)
            if script:
                scripts[name] = script
        return scripts
