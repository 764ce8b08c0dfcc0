from __future__ import annotations

from pathlib import Path

from provision.config.inventory import inventory_of
from provision.lab.leaving import fewer_workers
from tests.fakes.config import make_config
from tests.fakes.providers.machines import FakeMachines
from tests.fakes.providers.provider import FakeProvider

CONFIG = make_config(workers={"count": 1})
FOLDER = Path("/lab")


def test_workers_that_vagrant_has_lost_are_asked_for_too() -> None:
    provider, machines = FakeProvider(), FakeMachines(running=["lab-cp1", "lab-w1"])
    provider.stray = ["lab-w2", "lab-w10", "lab-cp1"]
    found = fewer_workers(CONFIG, inventory_of(CONFIG), FOLDER, provider, machines)
    assert found is not None
    assert (found.key, found.lab, found.file) == ("workers.count", "3", "1")
    assert found.machines == ("lab-w10", "lab-w2")


def test_machines_of_others_do_not_leave() -> None:
    provider, machines = FakeProvider(), FakeMachines(running=["lab-cp1", "lab-w1"])
    provider.others = {"lab-w2": "/elsewhere/Vagrantfile", "other-w2": "/lab/Vagrantfile"}
    assert fewer_workers(CONFIG, inventory_of(CONFIG), FOLDER, provider, machines) is None
