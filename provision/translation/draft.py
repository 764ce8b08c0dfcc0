"""A lab.yaml in the making, and what could not be carried into it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from provision.config import values
from provision.config.kubernetes_versions import numbers
from provision.config.schema import parse_config
from provision.errors import ConfigError

HEADER = "# Written by `kubelab import`. `kubelab init` shows every key with its default.\n"
# Key of lab.yaml -> the least that is allowed.
LEAST = {
    "controlPlanes.cpus": values.CONTROL_PLANE_CPUS,
    "controlPlanes.memory": values.CONTROL_PLANE_MIB,
    "workers.cpus": values.WORKER_CPUS,
    "workers.memory": values.WORKER_MIB,
    "workers.count": 0,
}
MIB_A_GIB = 1024
_VERSION = re.compile(r"(?<![\d.])v?(\d{1,3}\.\d{1,3})(\.\d{1,4})?(?![\d.])")
_AMOUNT = re.compile(r"(\d{1,9})\s*(?:(G)(?:i?B|i)?|M(?:i?B|i)?)?", re.I)
# Kept from what a document says before it is told: it may be long, or go on in another line.
SHOWN = 60


@dataclass
class Draft:
    """`values` maps a key of lab.yaml, such as "network.pods", to its value.

    `lost` has pairs of a key of the other file, and what became of it or what to do instead.
    """

    values: dict[str, Any] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)

    def lose(self, key: str, text: str) -> None:
        """Note that something was not carried as it is; what is said already is not said again."""
        if (key, text) not in self.lost:
            self.lost.append((key, text))

    def name(self, key: str, value: object) -> None:
        """Put the lab's name, with what is not allowed in one made into dashes."""
        wanted = "" if value is None else str(value)
        name = re.sub(r"[^a-z0-9]+", "-", wanted.lower())[: values.LONGEST_NAME].strip("-") or "lab"
        self.values["name"] = name
        if wanted and name != wanted:
            self.lose(key, f"{_shown(value)} cannot be the name of a lab: {name} is written")

    def version(self, key: str, value: object) -> None:
        """Put the version of Kubernetes that is in a text, or the supported minor nearest to it."""
        found = _VERSION.search(str(value)) if value is not None else None
        if found is None:
            if value is not None:
                self.lose(key, f"{_shown(value)} names no version: kubelab's default holds")
            return
        minor, patch = found[1], found[2] or ""
        if minor in values.SUPPORTED_MINORS:
            self.values["kubernetes"] = minor + patch
            return
        wanted = numbers(minor)
        nearest = min(values.SUPPORTED_MINORS, key=lambda known: _distance(numbers(known), wanted))
        self.values["kubernetes"] = nearest
        self.lose(key, f"Kubernetes {minor}{patch} is not supported: {nearest}, the nearest, is written")

    def number(self, target: str, key: str, value: object) -> None:
        """Put a number of CPUs or nodes, or the least that is allowed."""
        if value is None:
            return
        number = int(value) if isinstance(value, int | str) and str(value).isdecimal() else None
        self._at_least(target, key, value, number, "")

    def memory(self, target: str, key: str, value: object) -> None:
        """Put an amount of memory, given in MiB or with a unit; or the least that is allowed."""
        if value is None:
            return
        found = _AMOUNT.fullmatch(str(value).strip())
        mib = int(found[1]) * (MIB_A_GIB if found[2] else 1) if found else None
        self._at_least(target, key, value, mib, "MiB")

    def control_planes(self, key: str, count: int) -> None:
        """Put the number of control planes: the next smaller one that is allowed."""
        allowed = max((each for each in values.CONTROL_PLANE_COUNTS if each <= count), default=1)
        self.values["controlPlanes.count"] = allowed
        if allowed != count:
            self.lose(key, f"{count} control planes are not allowed: {allowed} is written")
        elif count > 1:
            self.lose(key, f"{count} control planes are written, but `kubelab up` makes only 1 for now")

    def network(self, target: str, key: str, value: object) -> None:
        """Put a range, the first IPv4 one of several, without host bits."""
        if value is None:
            return
        for text in str(value).split(","):
            try:
                found = ipaddress.IPv4Network(text.strip(), strict=False)
            except ValueError:
                continue
            self.values[target] = str(found)
            if str(found) != str(value).strip():
                self.lose(key, f"{_shown(value)} is written as {found}")
            return
        self.lose(key, f"{_shown(value)} is no IPv4 range: kubelab's default holds")

    def text(self) -> str:
        """Return the lab.yaml. What the schema does not allow is left out first, and told.

        Raises ConfigError where the schema refuses something that is not in `values`.
        """
        while True:
            try:
                parse_config(self._yaml())
            except ConfigError as error:
                reason = error.message.splitlines()[0]
                # What a default is in conflict with is named in the reason.
                wrong = next(
                    (key for key in (error.key, *self.values) if key in self.values and key in reason), ""
                )
                if not wrong:
                    raise
                del self.values[wrong]
                self.lose(wrong, f"left out, kubelab's default holds: {reason}")
            else:
                return HEADER + self._yaml()

    def _yaml(self) -> str:
        document: dict[str, Any] = {}
        for key, value in self.values.items():
            group, _, inner = key.partition(".")
            if inner:
                document.setdefault(group, {})[inner] = value
            else:
                document[key] = value
        return yaml.safe_dump(document, sort_keys=False)

    def _at_least(self, target: str, key: str, value: object, number: int | None, unit: str) -> None:
        if number is None:
            self.lose(key, f"{_shown(value)} is no number: kubelab's default holds")
            return
        least = LEAST[target]
        written = max(number, least)
        self.values[target] = f"{written}{unit}" if unit else written
        if written != number:
            self.lose(key, f"{_shown(value)} is too little: {written}{unit} is written")


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    # A major counts more than all minors.
    return abs((one[0] - other[0]) * 1000 + one[1] - other[1])


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
