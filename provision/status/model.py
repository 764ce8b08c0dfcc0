"""What is known of a lab, as data."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.cluster.health import Object
from provision.node.certificates import Expiry
from provision.snapshots.manifests import Manifest
from provision.verify.record import VerifyRecord


@dataclass(frozen=True)
class Status:
    """What is known of a lab at one moment; why a part is not known stands in `unknown`.

    `states` maps nodes to the states of their machines. `failing` are the checks of /readyz that fail.
    `snapshot` is the one the lab stands on. `problems` keep the lab from being healthy.
    """

    time: dt.datetime
    states: Mapping[str, str] | None = None
    objects: Sequence[Object] | None = None
    failing: Sequence[str] | None = None
    expiries: Sequence[Expiry] | None = None
    snapshot: Manifest | None = None
    verify: VerifyRecord | None = None
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def healthy(self) -> bool:
        return not self.problems

    @property
    def nodes(self) -> dict[str, Object]:
        """Return the cluster's Nodes by name."""
        return {item["metadata"]["name"]: item for item in self._of("Node")}

    @property
    def pods(self) -> list[Object]:
        return self._of("Pod")

    def _of(self, kind: str) -> list[Object]:
        return [item for item in self.objects or () if item["kind"] == kind]
