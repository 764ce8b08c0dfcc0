"""The service account tokens in the pods of a node: whose they are, and how long they last."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

# Of a service account's token only the middle part: whose it is and how long it lasts. It proves nothing.
TOKENS = """
set -- /var/lib/kubelet/pods/*/volumes/kubernetes.io~projected/kube-api-access-*/token
if [ -f "$1" ]; then cut -d. -f2 "$@" 2>/dev/null || true; fi
"""


@dataclass(frozen=True)
class PodToken:
    """Whose token lies in a pod's folder, and until when it is good (seconds since the epoch)."""

    namespace: str
    pod: str
    uid: str
    expires: float


def tokens(lines: Sequence[str]) -> tuple[PodToken, ...]:
    """Return whose tokens a survey shows."""
    return tuple(token for line in lines if (token := _token(line)))


def _token(line: str) -> PodToken | None:
    try:
        claims = json.loads(base64.urlsafe_b64decode(line + "=" * (-len(line) % 4)))
        bound = claims["kubernetes.io"]
        return PodToken(bound["namespace"], bound["pod"]["name"], bound["pod"]["uid"], float(claims["exp"]))
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError):
        # A file caught while the kubelet replaced it.
        return None
