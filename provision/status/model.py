"""The status of a lab."""

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
    """The status of a lab at one moment; `unknown` maps each unknown part to the reason.

    `states` maps nodes to the states of their machines. `failing` are the checks of /readyz that fail.
    `snapshot` is the current one.
    `relayed` are the host's ports that lead to the lab. `problems` is empty when the lab is healthy.
    """

    time: dt.datetime
    states: Mapping[str, str] | None = None
    objects: Sequence[Object] | None = None
    failing: Sequence[str] | None = None
    expiries: Sequence[Expiry] | None = None
    snapshot: Manifest | None = None
    verify: VerifyRecord | None = None
    relayed: Sequence[str] = ()
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

    @property
    def policies(self) -> list[Object]:
        """Return the cluster's NetworkPolicies."""
        return self._of("NetworkPolicy")

    def _of(self, kind: str) -> list[Object]:
        return [item for item in self.objects or () if item["kind"] == kind]
