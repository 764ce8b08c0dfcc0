"""kubectl for tests: parsed answers, and waiting for a condition."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provision.cluster.kubectl import Kubectl
from provision.engine.waiting import poll_until
from provision.errors import LabError, ToolFailed, WaitTimeout
from provision.lab.context import Context

POLL_SECONDS = 0.5
SHOWN = 10
LONGEST = 300


class LabKubectl:
    """kubectl on the host with the lab's kubeconfig. All timeouts are seconds, scaled by acceleration.

    `kubectl("get", "nodes")` returns the parsed answer. Raises ToolFailed when kubectl fails.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._found: Kubectl | None = None

    def __call__(self, *arguments: str) -> dict[str, Any]:
        """Return the parsed output of `kubectl ARGUMENTS -o json`."""
        return self._kubectl().json(*arguments)

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of `kubectl get ARGUMENTS`, such as items("pods", "-A")."""
        return self._kubectl().items(*arguments)

    def text(self, *arguments: str, stdin: str = "", timeout: float | None = None) -> str:
        """Return the output of `kubectl ARGUMENTS`, not parsed."""
        deadline = None if timeout is None else self._context.scaled(timeout)
        return self._kubectl()(*arguments, stdin=stdin, deadline=deadline)

    def apply(self, document: str | Mapping[str, Any] | Sequence[dict[str, Any]]) -> None:
        """Apply YAML text, an object, or a list of objects."""
        self._kubectl().apply([dict(document)] if isinstance(document, Mapping) else document)

    def delete(self, *arguments: str) -> None:
        """Run `kubectl delete ARGUMENTS`."""
        self.text("delete", *arguments)

    def exec(self, namespace: str, pod: str, *argv: str, timeout: float | None = None) -> str:
        """Run a program in a pod and return its standard output."""
        return self.text("exec", "-n", namespace, pod, "--", *argv, timeout=timeout)

    def succeeds(self, *arguments: str) -> bool:
        """Return whether `kubectl ARGUMENTS` ends with exit code 0."""
        try:
            self.text(*arguments)
        except ToolFailed:
            return False
        return True

    def wait_for(
        self,
        *get_args: str,
        until: Callable[[dict[str, Any]], object],
        timeout: float = 60.0,
        what: str = "",
    ) -> dict[str, Any]:
        """Run `kubectl get GET_ARGS` until `until(parsed)` is true, and return the parsed answer.

        It also waits while objects do not exist yet, or lack fields that `until` reads.
        Raises WaitTimeout, whose message says what was seen last.
        """
        seen = "no answer"

        def probe() -> dict[str, Any] | None:
            nonlocal seen
            try:
                parsed = self("get", *get_args)
            except ToolFailed as error:
                seen = error.details or str(error)
                return None
            seen = describe(parsed)
            try:
                return parsed if until(parsed) else None
            except LookupError as error:
                seen = f"{seen} (without {error})"
                return None

        try:
            return poll_until(
                probe,
                what=what or f"the expected state of {' '.join(get_args)}",
                deadline=self._context.scaled(timeout),
                clock=self._context.clock,
                interval=POLL_SECONDS,
            )
        except WaitTimeout as late:
            raise WaitTimeout(f"{late.message}; last seen: {seen}", hint="kubelab status") from None

    def check(self) -> None:
        """Raise LabError unless the lab has a cluster and a kubectl."""
        self._kubectl()

    def forget(self) -> None:
        """Look for the kubectl program and the kubeconfig again at the next call."""
        self._found = None

    def _kubectl(self) -> Kubectl:
        if self._found is None:
            if not self._context.workspace.kubeconfig.exists():
                name = self._context.config.name
                raise LabError(f"the lab {name} is not up: it has no cluster yet", hint="kubelab up")
            self._found = self._context.kubectl
        return self._found


def describe(answer: Mapping[str, Any]) -> str:
    """Return a short text about the state of the objects of a `kubectl get`."""
    objects = answer.get("items", [answer])
    lines = [_object(each) for each in objects[:SHOWN]]
    if len(objects) > SHOWN:
        lines.append(f"and {len(objects) - SHOWN} more")
    return ", ".join(lines) or "no objects"


def _object(item: Mapping[str, Any]) -> str:
    status = item.get("status", {})
    words = [str(status["phase"])] if "phase" in status else []
    for container in status.get("containerStatuses", []):
        for state in ("waiting", "terminated"):
            words += [container["state"][state].get("reason", state)] if state in container["state"] else []
    words += [
        f"{condition['type']}={condition['status']} {condition.get('reason', '')}".rstrip()
        for condition in status.get("conditions", [])
        if condition["type"] in ("Ready", "Available", "Progressing", "Complete", "Failed")
    ]
    if not words:
        words = [json.dumps(status or {key: item[key] for key in item if key != "metadata"})[:LONGEST]]
    return f"{item.get('kind', 'object')} {item.get('metadata', {}).get('name', '')}: {' '.join(words)}"
