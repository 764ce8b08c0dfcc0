"""The service account tokens in the pods of a node: which pod they belong to, and when they expire."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

# Only the payload of the tokens (owner and expiry): without its signature a token is no secret.
TOKENS = """
set -- /var/lib/kubelet/pods/*/volumes/kubernetes.io~projected/kube-api-access-*/token
if [ -f "$1" ]; then cut -d. -f2 "$@" 2>/dev/null || true; fi
"""


@dataclass(frozen=True)
class PodToken:
    """The pod that a token belongs to, and when the token expires (seconds since the epoch)."""

    namespace: str
    pod: str
    uid: str
    expires: float


def tokens(lines: Sequence[str]) -> tuple[PodToken, ...]:
    """Return the tokens in the output of TOKENS."""
    return tuple(token for line in lines if (token := _token(line)))


def _token(line: str) -> PodToken | None:
    try:
        claims = json.loads(base64.urlsafe_b64decode(line + "=" * (-len(line) % 4)))
        bound = claims["kubernetes.io"]
        namespace, pod, uid = bound["namespace"], bound["pod"]["name"], bound["pod"]["uid"]
        return PodToken(str(namespace), str(pod), str(uid), float(claims["exp"]))
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        # The file was read while the kubelet replaced it.
        return None
