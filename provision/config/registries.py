"""The keys `registryMirrors` and `insecureRegistries` of a lab.yaml: where containerd fetches images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from provision.config.values import Problems, refusal, show

DOCKER_HUB = "docker.io"
REGISTRY = "HOST or HOST:PORT as images name it, such as docker.io or registry.lab:5000"
ENDPOINT = "http:// or https:// and HOST[:PORT][/PATH], without a name or password"
MOST_REGISTRIES, MOST_ENDPOINTS = 64, 8
_LAST_PORT = 65535
_LONGEST = 255
_HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
# Nothing that needs quoting in a file of TOML or in a path gets through either.
_REGISTRY = re.compile(rf"{_HOST}(?::(?P<port>[0-9]{{1,5}}))?")
_ENDPOINT = re.compile(rf"https?://{_HOST}(?::(?P<port>[0-9]{{1,5}}))?(?:/[A-Za-z0-9._~-]+)*/?")


def mirrors() -> BeforeValidator:
    """Return the validator of a mapping of registry to endpoints, which are kept without a last slash."""
    return BeforeValidator(_mirrors)


def insecure() -> BeforeValidator:
    """Return the validator of a list of registries."""
    return BeforeValidator(_insecure)


def _mirrors(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or len(value) > MOST_REGISTRIES:
        raise refusal(value, f"a mapping of REGISTRY: [ENDPOINT, ...], {MOST_REGISTRIES} at most")
    problems = list(_mirror_problems(value))
    if problems:
        raise Problems(problems)
    return {name: tuple(each.rstrip("/") for each in endpoints) for name, endpoints in value.items()}


def _mirror_problems(value: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    for name, endpoints in value.items():
        if not _is_registry(name):
            yield show(name), f"is no registry; allowed: {REGISTRY}"
        elif not isinstance(endpoints, list | tuple) or not 0 < len(endpoints) <= MOST_ENDPOINTS:
            yield name, str(refusal(endpoints, f"a list of 1 to {MOST_ENDPOINTS} endpoints"))
        else:
            yield from ((f"{name}.{place}", text) for place, text in _endpoint_problems(endpoints))


def _endpoint_problems(endpoints: Sequence[Any]) -> Iterator[tuple[int, str]]:
    seen = set()
    for place, endpoint in enumerate(endpoints):
        if not isinstance(endpoint, str) or not _fits(_ENDPOINT, endpoint):
            yield place, _wrong_endpoint(endpoint)
        elif endpoint.rstrip("/") in seen:
            yield place, f"{show(endpoint)} is there twice; allowed: each endpoint once"
        else:
            seen.add(endpoint.rstrip("/"))


def _wrong_endpoint(endpoint: object) -> str:
    """Return the message for what is no endpoint; one with a password is not shown."""
    if isinstance(endpoint, str) and "@" in endpoint:
        return f"this is no endpoint; allowed: {ENDPOINT}"
    return str(refusal(endpoint, ENDPOINT))


def _insecure(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_REGISTRIES:
        raise refusal(value, f"a list of registries, {MOST_REGISTRIES} at most")
    problems = []
    for place, name in enumerate(value):
        if not _is_registry(name):
            problems.append((str(place), str(refusal(name, REGISTRY))))
        elif name == DOCKER_HUB:
            problems.append((str(place), f"{name} has a certificate; allowed: a registry of your own"))
        elif name in value[:place]:
            problems.append((str(place), f"{name} is there twice; allowed: each registry once"))
    if problems:
        raise Problems(problems)
    return tuple(value)


def _is_registry(name: object) -> bool:
    """Return whether images can name it: a word without dot or port is a part of a name on docker.io."""
    if not isinstance(name, str) or not _fits(_REGISTRY, name):
        return False
    return "." in name or ":" in name or name == "localhost"


def _fits(pattern: re.Pattern[str], text: str) -> bool:
    found = pattern.fullmatch(text) if len(text) <= _LONGEST else None
    return found is not None and (found["port"] is None or 0 < int(found["port"]) <= _LAST_PORT)


def authority(endpoint: str) -> str:
    """Return what an endpoint is called in a list of registries: its host, with the port if it says one."""
    return urlsplit(endpoint).netloc
