"""The probes of calico-node on nodes without BIRD: the published ones ask BIRD too, and would always fail."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from provision.cni.documents import Document
from provision.errors import ConfigError

HEALTH_PORT = 9099
FELIX = {"livenessProbe": "/liveness", "readinessProbe": "/readiness", "startupProbe": "/liveness"}
# The program and its arguments before the flags: up to v3.32, and from v3.33 on.
PROGRAMS = (("calico-node",), ("calico", "component", "node", "health"))
# Up to v3.32 they have one dash, from v3.33 on two.
FELIX_FLAGS = {"felix-live", "felix-ready"}
BIRD_FLAGS = {"bird-live", "bird-ready", "bird6-live", "bird6-ready"}
HINT = "leave out cni.version, or set cni.values.encapsulation to ipip or bgp, which run BIRD"


def ask_felix_only(node: Document) -> None:
    """Let the probes of the container calico-node ask Felix, Calico's agent on the node, and nothing else.

    Felix is asked by HTTP, as the probe's own program does it, which takes 126 MB at every start. Raises
    ConfigError for a probe whose command is not known.
    """
    for kind, path in FELIX.items():
        probe = node.get(kind)
        if probe is None or _asks_felix(probe):
            continue
        if not _is_known(probe):
            raise ConfigError(
                f"kubelab does not know what the {kind} of calico-node asks: {_text(probe)}",
                key="cni.version",
                hint=HINT,
            )
        del probe["exec"]
        probe["httpGet"] = {"host": "127.0.0.1", "path": path, "port": HEALTH_PORT}


def _asks_felix(probe: Any) -> bool:
    asked = probe.get("httpGet") if isinstance(probe, dict) else None
    return (
        isinstance(asked, dict) and asked.get("port") == HEALTH_PORT and asked.get("path") in FELIX.values()
    )


def _is_known(probe: Any) -> bool:
    """Return whether the probe is Calico's health check, of Felix and perhaps of BIRD."""
    command = _command(probe)
    if not command:
        return False
    arguments = [word for word in command if not word.startswith("-")]
    flags = {word.lstrip("-") for word in command if word.startswith("-")}
    program = (PurePosixPath(arguments[0]).name, *arguments[1:]) if arguments else ()
    return program in PROGRAMS and bool(flags & FELIX_FLAGS) and flags <= FELIX_FLAGS | BIRD_FLAGS


def _command(probe: Any) -> list[str]:
    asked = probe.get("exec") if isinstance(probe, dict) else None
    command = asked.get("command") if isinstance(asked, dict) else None
    return [str(word) for word in command] if isinstance(command, list) else []


def _text(probe: Any) -> str:
    return " ".join(_command(probe)) or str(probe)
