"""What the API server says of its own health, by /readyz and /livez."""

from __future__ import annotations

import re

from provision.cluster.kubectl import Kubectl
from provision.engine.waiting import Clock
from provision.errors import ToolFailed

# Seconds on fast machines for a check that fails to come right. The API server asks etcd anew
# after half of the time it gives etcd to answer: 1 s by default, scaled as this is.
PATIENCE = 1.5
INTERVAL = 1.0
_FAILING = re.compile(r"\[-\]([\w/-]+)")


def failing_checks(kubectl: Kubectl, path: str, *, patience: float, clock: Clock) -> list[str]:
    """Return the checks of `path`, such as /readyz, that fail and go on failing for `patience` seconds.

    An etcd that answers late once, on a busy disk or CPU, fails them for a moment only.
    Raises ToolFailed when the API server gives no answer.
    """
    end = clock.now() + patience
    while True:
        failing = _ask(kubectl, path)
        if not failing or clock.now() + INTERVAL > end:
            return failing
        clock.sleep(INTERVAL)


def _ask(kubectl: Kubectl, path: str) -> list[str]:
    try:
        kubectl("get", "--raw", f"{path}?verbose")
    except ToolFailed as error:
        if failing := _FAILING.findall(error.output):
            return failing
        raise
    return []
