"""The `snapshot` fixture's object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provision.snapshots import actions
from provision.snapshots.manifests import Manifest
from provision.snapshots.names import check_name
from provision.snapshots.preconditions import restorable
from provision.snapshots.recovery import recover
from provision.testing.lab import LabUnderTest


class LabSnapshots:
    """Saves and restores the whole lab; connections are closed before and opened again after.

    Each call holds the lab's lock, as the commands do. Raises LabError.
    """

    def __init__(self, lab: LabUnderTest) -> None:
        self._lab = lab

    def save(self, name: str, note: str = "") -> Manifest:
        """Save all machines as `name`, memory included."""
        with self._changing():
            return actions.save(self._lab.context, check_name(name), note)

    def restore(self, name: str) -> Manifest:
        """Restore all machines to `name`, then repair and verify the cluster."""
        with self._changing(restoring=check_name(name)):
            return actions.restore(self._lab.context, name)

    def delete(self, name: str) -> None:
        """Delete the snapshot `name`."""
        with self._changing():
            actions.delete(self._lab.context, check_name(name))

    def check(self, name: str) -> None:
        """Raise SnapshotError unless `name` can be restored."""
        context = self._lab.context
        restorable(context, context.snapshots(context.cancel), check_name(name))

    @contextmanager
    def _changing(self, *, restoring: str = "") -> Iterator[None]:
        with self._lab.context.workspace.lock():
            # A connection that is open during a save would be broken after a restore.
            self._lab.disconnect()
            try:
                recover(self._lab.context, restoring=restoring)
                yield
            finally:
                self._lab.disconnect()
