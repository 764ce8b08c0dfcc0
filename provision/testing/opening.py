"""The lab of a pytest run: opened at first use, one for all fixtures and hooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.testing.failures import fail, text

if TYPE_CHECKING:
    from provision.config.inventory import Inventory
    from provision.testing.lab import LabUnderTest
    from provision.testing.snapshot import LabSnapshots

LAB_FILE = "lab.yaml"
_LAB = pytest.StashKey["LabUnderTest"]()
_INVENTORY = pytest.StashKey["Inventory | None"]()
PROBLEM = pytest.StashKey[str]()
RESTORES = pytest.StashKey[str]()


def lab_file(config: pytest.Config) -> Path:
    """Return the file of --lab, which may not exist."""
    given = config.invocation_params.dir / (config.getoption("--lab") or LAB_FILE)
    return given / LAB_FILE if given.is_dir() else given


def lab_of(config: pytest.Config) -> LabUnderTest:
    """Return the lab of --lab, whether it is up or not; raises LabError."""
    if _LAB not in config.stash:
        from provision.testing.lab import open_under_test

        config.stash[_LAB] = open_under_test(lab_file(config))
    return config.stash[_LAB]


def inventory_for(config: pytest.Config) -> Inventory | None:
    """Return the nodes of lab.yaml; without a valid one None, and a problem to report after collection."""
    if _INVENTORY not in config.stash:
        from provision.config.inventory import inventory_of
        from provision.errors import LabError
        from provision.lab.opening import read_lab

        try:
            config.stash[_INVENTORY] = inventory_of(read_lab(lab_file(config))[0])
        except LabError as error:
            config.stash[_INVENTORY] = None
            config.stash[PROBLEM] = text(error)
    return config.stash[_INVENTORY]


def snapshots_of(config: pytest.Config) -> LabSnapshots:
    """Return the snapshots of the lab; raises LabError."""
    from provision.testing.snapshot import LabSnapshots

    return LabSnapshots(lab_of(config))


def put_back(config: pytest.Config) -> None:
    """Restore the snapshot of a test's mark `restores`, once; a failure fails that test."""
    name = config.stash.get(RESTORES, "")
    if not name:
        return
    del config.stash[RESTORES]
    from provision.errors import LabError

    try:
        snapshots_of(config).restore(name)
    except LabError as error:
        fail(error)
