"""The table of `make faults` is large enough, and every row of it can be played."""

from __future__ import annotations

import errno
from collections import Counter

from tests.faults.guests import PURPOSES, SAYS
from tests.faults.scenes import SCENES
from tests.faults.table import PROGRAM, SIGNALS, faults

GUESTS_OWN = {"endless", "another key"}


def test_there_are_200_faults_and_more_each_with_a_name_of_its_own() -> None:
    names = Counter(fault.name for fault in faults())
    assert len(names) >= 200
    assert [name for name, count in names.items() if count > 1] == []


def test_every_row_can_be_played() -> None:
    deeds = {deed for each in PROGRAM.values() for deed in each} | {*SIGNALS, "hang"}
    for fault in faults():
        assert fault.scene in SCENES, fault.name
        if fault.refusal is not None:
            assert hasattr(errno, fault.refusal.error), fault.name
        if fault.trap is not None:
            guests = {*SAYS, *GUESTS_OWN} if fault.trap.program == "ssh" else set()
            assert {*fault.trap.deeds} <= deeds | guests, fault.name
            if fault.trap.program == "ssh":
                assert fault.trap.part.partition(": ")[2] in PURPOSES.values(), fault.name
