"""Every node's clock, set from the host's at once."""

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
# The keeper is stopped meanwhile: it would set the clock back, or forth by the difference once more.
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
    """Every clock within half a second of the host's, and the hardware clocks it is kept by.

    QEMU's hardware clock follows the host's through a restore, and the node's lab-clock.service follows that;
    one that is off (set by somebody, or of another hypervisor) is set too.
    """

    id = "clocks"
    title = "Clocks stepped"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not self._off(ctx)

    def apply(self, ctx: Context) -> None:
        for _ in range(TRIES):
            scripts = self._off(ctx)
            if not scripts:
                return
            # The survey that follows is asked in the same round trip.
            self.survey.take(ctx, scripts)
        if off := self._off(ctx):
            states = self.survey.states(ctx)
            lines = ", ".join(f"{name} by {-states[name].clock.middle:+.1f} s" for name in off)
            raise LabError(
                f"clocks that cannot be set right: {lines}", hint="is the host busy? run the restore again"
            )

    def plan(self, ctx: Context) -> str:
        return "step the clock of every node from the host"

    def _off(self, ctx: Context) -> dict[str, str]:
        """Return, for every node whose clock is off, the script that mends it."""
        scripts = {}
        # All of the survey in the first round trip: mostly the nodes' own lab-clock was quicker.
        for name, state in self.survey.states(ctx).items():
            script = state.clock.step() if state.clock.beyond(TOLERANCE) else ""
            if state.rtc_behind is not None and abs(state.rtc_behind) > RTC_TOLERANCE:
                script = SET_BOTH.format(step=script)
            if script:
                scripts[name] = script
        return scripts
