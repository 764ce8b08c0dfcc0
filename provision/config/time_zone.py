"""The key `timeZone` of a lab.yaml: the zone in which the nodes show the time."""

from __future__ import annotations

import functools
import re
import zoneinfo

from pydantic import BeforeValidator

from provision.config.suggest import did_you_mean
from provision.config.values import refusal, show

UTC = "UTC"
ALLOWED = "the name of a zone of the tz database, such as UTC or Asia/Seoul"
_LONGEST = 64
# Nothing that leads out of a folder, or needs quoting in a script, gets through.
_PART = "[A-Za-z0-9][A-Za-z0-9_+-]*"
_ZONE = re.compile(rf"{_PART}(?:/{_PART})*")
# Debian's link from there to the node's own zone, which would lead in a circle.
_NO_ZONE = "localtime"


def zone_name() -> BeforeValidator:
    """Return the validator of the name of a zone; a host without a tz database checks the form alone."""
    return BeforeValidator(_time_zone)


def _time_zone(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not _ZONE.fullmatch(value) or value == _NO_ZONE:
        raise refusal(value, ALLOWED)
    if value == UTC:
        return value
    known = _known()
    if known and value not in known:
        raise ValueError(f"{show(value)} is unknown{did_you_mean(value, known)}; allowed: {ALLOWED}")
    return value


@functools.cache
def _known() -> frozenset[str]:
    """Return the zones that this host knows: reading them all takes a tenth of a second."""
    return frozenset(zoneinfo.available_timezones() - {_NO_ZONE})
