"""The key `proxy` of a lab.yaml: what the nodes, and containerd on them, reach the world through."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator
from pydantic.alias_generators import to_camel

from provision.config import values

NONE = "none"
ADDRESS = "http://[NAME:PASSWORD@]HOST:PORT, other signs of a name or password as %XX"
EXEMPT = "a list of hosts, domains such as .corp.example, addresses and ranges"
# What needs no quoting in a shell, in systemd's and in apt's files, which all get it.
_ADDRESS = re.compile(
    r"https?://(?:[\w.~%-]+(?::[\w.~%-]*)?@)?(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?/?"
)
_EXEMPT = re.compile(r"\*|[\w*][\w.*:/-]*|\.[\w.-]+|\[[0-9a-fA-F:]+\]")


class ProxyConfig(BaseModel):
    """Proxies by the scheme of what is fetched, and what is reached without one.

    The addresses are secrets: one may hold a password.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    http: SecretStr = SecretStr("")
    https: SecretStr = SecretStr("")
    no_proxy: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.http.get_secret_value() or self.https.get_secret_value())

    def secrets(self) -> set[str]:
        """Return the passwords in the addresses, also as they are without %XX."""
        parts = (urlsplit(address.get_secret_value()).password or "" for address in (self.http, self.https))
        return {text for part in parts if part for text in (part, unquote(part))}

    @model_validator(mode="before")
    @classmethod
    def _check(cls, value: object) -> object:
        if isinstance(value, ProxyConfig):
            return value
        if value == NONE:
            return {}
        if isinstance(value, str):
            value = {"http": value, "https": value}
            problem = _wrong_address(value["http"])
            if problem:
                raise ValueError(problem)
        if not isinstance(value, dict):
            raise ValueError(f"{values.show(value)} is not allowed; allowed: {NONE}, {ADDRESS}, or a mapping")
        problems = list(_problems(value))
        if problems:
            raise values.Problems(problems)
        return value


def _problems(value: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and message for everything wrong in the mapping; unknown keys are found elsewhere."""
    if not value.keys() & {"http", "https"}:
        yield "http", f"is missing; allowed: {ADDRESS}, here or as https"
    for key in ("http", "https"):
        problem = _wrong_address(value[key]) if key in value else ""
        if problem:
            yield key, problem
    exempt = value.get("noProxy", [])
    if not isinstance(exempt, list):
        yield "noProxy", str(values.refusal(exempt, EXEMPT))
        return
    for number, item in enumerate(exempt):
        if not isinstance(item, str) or not _EXEMPT.fullmatch(item):
            yield f"noProxy.{number}", str(values.refusal(item, EXEMPT))


def _wrong_address(value: object) -> str:
    """Return what is wrong with the address of a proxy; it is not shown, as it may hold a password."""
    if not isinstance(value, str):
        return str(values.refusal(value, ADDRESS))
    if not _ADDRESS.fullmatch(value):
        return f"this is not the address of a proxy; allowed: {ADDRESS}"
    host = urlsplit(value).hostname or ""
    if _is_loopback(host):
        return f"{host} is the node itself, for a node; allowed: an address that the nodes reach"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
