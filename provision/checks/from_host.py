"""Requests from the host to pods and Services."""

from __future__ import annotations

import contextlib
import re
import threading
import urllib.request

from provision.cluster.kubectl import Kubectl
from provision.engine.waiting import Clock, poll_until
from provision.errors import Cancelled, WaitTimeout
from provision.host.process import run_tool

FETCH_SECONDS = 10.0
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str) -> str:
    """Return the answer of `url`, stripped, asked without a proxy; raises OSError."""
    with _direct.open(url, timeout=FETCH_SECONDS) as answer:
        text: str = answer.read().decode()
    return text.strip()


def fetch_soon(url: str, deadline: float, clock: Clock) -> str:
    """Return the answer of `url`, retrying for `deadline` seconds; raises WaitTimeout with the last error."""
    seen = "an empty answer"

    def probe() -> str | None:
        nonlocal seen
        try:
            return fetch(url)
        except OSError as error:
            seen = str(error)
            return None

    try:
        return poll_until(probe, what=f"an answer from {url} to the host", deadline=deadline, clock=clock)
    except WaitTimeout as late:
        raise WaitTimeout(f"{late}; last seen: {seen}", hint="kubelab status") from None


def fetch_forwarded(kubectl: Kubectl, namespace: str, pod: str, port: int, deadline: float) -> str:
    """Return a pod's answer through `kubectl port-forward`, within `deadline` seconds.

    Raises ToolFailed, and OSError when the forwarded port does not answer.
    """
    stop, answers = threading.Event(), []

    def ask(line: str) -> None:
        found = _FORWARDING.search(line)
        if found and not stop.is_set():
            answers.append(fetch(f"http://127.0.0.1:{found[1]}/"))
            stop.set()

    argv = [
        str(kubectl.program),
        f"--kubeconfig={kubectl.kubeconfig}",
        "port-forward",
        f"--namespace={namespace}",
        "--address=127.0.0.1",
        f"pod/{pod}",
        f":{port}",
    ]
    # port-forward runs until it is stopped; `ask` reads its lines and stops it.
    with contextlib.suppress(Cancelled):
        run_tool(argv, deadline=deadline, env=kubectl.environment, on_line=ask, cancel=stop)
    return "".join(answers)
