from __future__ import annotations

import json
import zoneinfo
from collections.abc import Iterator

import pytest

from provision.config import time_zone
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError

KNOWN = {"Asia/Seoul", "America/Argentina/Buenos_Aires", "Etc/GMT+9", "localtime"}


def parsed(value: object) -> ClusterConfig:
    return parse_config(json.dumps({"name": "lab", "timeZone": value}))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The zones that this host knows."""
    zones = set(KNOWN)
    time_zone._known.cache_clear()
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: zones)
    yield zones
    time_zone._known.cache_clear()


def test_the_time_is_utc_if_nothing_is_said() -> None:
    assert parsed("UTC").time_zone == parse_config("name: lab").time_zone == "UTC"


@pytest.mark.parametrize("name", sorted(KNOWN - {"localtime"}))
def test_a_zone_is_called_as_the_tz_database_calls_it(known: set[str], name: str) -> None:
    assert parsed(name).time_zone == name


@pytest.mark.parametrize(
    "value",
    [
        "/usr/share/zoneinfo/Asia/Seoul",
        "../Asia/Seoul",
        "Asia/../Seoul",
        "Asia/Seoul/",
        "Asia//Seoul",
        "-Asia",
        "Asia/Seoul\n",
        "Asia Seoul",
        "$(id)",
        "'",
        "",
        "localtime",
        "A" * 65,
        9,
        None,
        ["UTC"],
    ],
)
def test_what_is_no_name_of_a_zone_is_refused(known: set[str], value: object) -> None:
    known.clear()
    with pytest.raises(ConfigError, match="the name of a zone of the tz database") as caught:
        parsed(value)
    assert (caught.value.key, caught.value.exit_code) == ("timeZone", 2)


def test_a_zone_that_this_host_does_not_know_is_refused_with_the_nearest(known: set[str]) -> None:
    with pytest.raises(ConfigError, match="did you mean `Asia/Seoul`") as caught:
        parsed("asia/soul")
    assert caught.value.key == "timeZone"


def test_a_host_without_a_tz_database_looks_at_the_form_alone(known: set[str]) -> None:
    known.clear()
    assert parsed("Mars/Olympus_Mons").time_zone == "Mars/Olympus_Mons"
