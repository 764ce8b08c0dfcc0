"""kubectl on the host: the bundle's own, which answers in a tenth of the time it takes in a guest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from provision.errors import ToolFailed, UnknownAnswer
from provision.host.process import run_tool
from provision.host.proxies import without_proxy

WRITE = ("--server-side", "--force-conflicts", "--field-manager=kubelab")
HINT = "kubelab status; the journals: kubelab ssh NODE -- sudo journalctl -u kubelet -e"


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl with one kubeconfig. Deadlines are seconds.

    `direct` are the ranges it reaches without a proxy, which it would use for all but this host.
    """

    program: Path
    kubeconfig: Path
    deadline: float = 60.0
    cancel: Event = field(default_factory=Event)
    direct: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables it runs with beside those of this process: no proxy for `direct`."""
        return without_proxy(self.direct)

    def __call__(self, *arguments: str, stdin: str = "", deadline: float | None = None) -> str:
        """Run `kubectl ARGUMENTS` and return its output; raises ToolFailed, MissingTool, Cancelled."""
        limit = deadline or self.deadline
        argv = [
            str(self.program),
            f"--kubeconfig={self.kubeconfig}",
            f"--request-timeout={int(limit)}s",
            *arguments,
        ]
        return run_tool(
            argv,
            deadline=limit + 5,
            stdin=stdin,
            env=self.environment,
            cancel=self.cancel,
            hint=HINT,
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        """Return the parsed output of `kubectl ARGUMENTS -o json`; raises UnknownAnswer."""
        text = self(*arguments, "-o", "json")
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise UnknownAnswer(["kubectl", *arguments], text, hint=HINT)
        return parsed

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a `kubectl get` of one or several kinds."""
        found = self.json("get", *arguments)
        items = found.get("items")
        if not isinstance(items, list):
            raise UnknownAnswer(["kubectl", "get", *arguments], json.dumps(found), hint=HINT)
        return items

    def write(
        self,
        objects: Sequence[dict[str, Any]],
        *,
        validate: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Make objects as given, whoever wrote them before; with `validate` unknown fields are refused.

        On the server's side: a client would write each once more into its own annotation, too large for
        some CRDs. To validate, it first downloads what the API server knows of all kinds, which takes a
        busy one longer than all the rest.
        """
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        check = f"--validate={'strict' if validate else 'ignore'}"
        self("apply", *WRITE, check, "-f", "-", stdin=text, deadline=deadline)

    def apply(self, document: str | Sequence[dict[str, Any]]) -> None:
        """Apply YAML text, or objects, as a user would."""
        text = (
            document
            if isinstance(document, str)
            else json.dumps({"apiVersion": "v1", "kind": "List", "items": list(document)})
        )
        self("apply", "-f", "-", stdin=text)

    def answers(self, path: str = "/readyz") -> bool:
        """Return whether the API server answers `path` with success."""
        if not self.kubeconfig.exists():
            return False
        try:
            self("get", "--raw", path)
        except ToolFailed:
            return False
        return True
