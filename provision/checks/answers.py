"""Parses answers of etcd, container states and CNI configuration files. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from provision.checks.state import seconds


def etcd_fault(name: str, answer: str, wanted: Sequence[str]) -> str:
    """Return what is wrong with the member list of etcd on one node, or an empty string."""
    try:
        members = json.loads(answer)["members"]
    except (ValueError, LookupError, TypeError):
        return f"etcd on {name} does not answer: {answer or 'it is not installed'}"
    names = sorted(member.get("name") or "a member that never started" for member in members)
    if names != sorted(wanted):
        return f"etcd on {name} has the members {', '.join(names)}, not {', '.join(wanted)}"
    learners = ", ".join(member["name"] for member in members if member.get("isLearner"))
    return f"etcd on {name} has members that are still learners: {learners}" if learners else ""


def ended(status: Mapping[str, Any], now: float) -> float:
    """Return when a restarted container last terminated, in seconds since the epoch."""
    finished = status.get("lastState", {}).get("terminated", {}).get("finishedAt")
    began = status.get("state", {}).get("running", {}).get("startedAt")
    stamp = finished or began
    return seconds(stamp) if stamp else now


def tag(image: str) -> str:
    """Return an image's tag."""
    return image.partition("@")[0].rpartition(":")[2]


def plugins(files: Mapping[str, str]) -> dict[str, str]:
    """Return path -> first plugin of a node's CNI configurations; containerd uses the first one."""
    kinds = {}
    for path, text in sorted(files.items()):
        try:
            document = json.loads(text)
            kinds[path] = str(document.get("plugins", [document])[0]["type"])
        except (ValueError, LookupError, TypeError, AttributeError):
            kinds[path] = "an unreadable configuration"
    return kinds


def command_of(pods: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """Return the command line of the first container of a pod; none for a pod that is not there."""
    for pod in pods:
        if pod["metadata"]["name"] == name:
            container = pod["spec"]["containers"][0]
            return [*(container.get("command") or []), *(container.get("args") or [])]
    return []
