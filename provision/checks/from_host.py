"""Asking pods and Services from the host."""

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
    """Return what `url` answers, without a proxy and without the space around it; raises OSError."""
    with _direct.open(url, timeout=FETCH_SECONDS) as answer:
        text: str = answer.read().decode()
    return text.strip()


def fetch_soon(url: str, deadline: float, clock: Clock) -> str:
    """Return what `url` answers within `deadline` seconds; raises WaitTimeout with its last error."""
    seen = "an empty answer"

    def probe() -> str | None:
        nonlocal seen
        try:
            return fetch(url)
        except OSError as error:
            seen = str(error)
            return None

    try:
        return poll_until(probe, what=f"an answer of {url} to the host", deadline=deadline, clock=clock)
    except WaitTimeout as late:
        raise WaitTimeout(f"{late}; last seen: {seen}", hint="kubelab status") from None


def fetch_forwarded(kubectl: Kubectl, namespace: str, pod: str, port: int, deadline: float) -> str:
    """Return what a pod answers through `kubectl port-forward`, within `deadline` seconds.

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
    # The program runs until it is stopped, while its lines are read here.
    with contextlib.suppress(Cancelled):
        run_tool(argv, deadline=deadline, env=kubectl.environment, on_line=ask, cancel=stop)
    return "".join(answers)
