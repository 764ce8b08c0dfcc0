"""Labels and taints of nodes in lab.yaml, by the rules of Kubernetes.

The rules: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BeforeValidator

from provision.config.names import MACHINE_LABEL
from provision.config.values import Problems, refusal, show

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# What kubeadm gives to every control plane: a list of the user's own stands in its place.
CONTROL_PLANE_TAINT = "node-role.kubernetes.io/control-plane:NoSchedule"
KEY = "[PREFIX/]NAME, each of letters, digits, `-`, `_` and `.`, the name 63 at most"
VALUE = "up to 63 letters, digits, `-`, `_` and `.`, the first and last a letter or digit"
TAINT = "KEY=VALUE:EFFECT or KEY:EFFECT, where EFFECT is " + ", ".join(EFFECTS)
# What tells kubelab itself, kubeadm and the kubelet which node it is.
_TAKEN = ("node-role.kubernetes.io/control-plane", "kubernetes.io/hostname", MACHINE_LABEL)
_MOST = 100

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


def labels() -> BeforeValidator:
    """Return the validator of a mapping of labels."""
    return BeforeValidator(_labels)


def taints() -> BeforeValidator:
    """Return the validator of a list of taints, kept as sorted texts."""
    return BeforeValidator(_taints)


def parts_of(taint: str) -> dict[str, str]:
    """Return a taint as Kubernetes' objects have it: "a=b:NoExecute" -> its key, value and effect."""
    name, _, effect = taint.rpartition(":")
    key, _, value = name.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def text_of(taint: dict[str, Any]) -> str:
    """Return a taint of a Kubernetes object as lab.yaml has it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MOST:
        raise refusal(value, f"a mapping of KEY: VALUE, {_MOST} at most")
    problems = []
    for key, text in value.items():
        if not isinstance(key, str) or not _is_key(key):
            problems.append((show(key), f"is no key of a label; allowed: {KEY}"))
        elif key in _TAKEN:
            problems.append((key, "is a label that Kubernetes itself gives; allowed: any other"))
        elif not isinstance(text, str) or not _is_value(text):
            quotes = "" if isinstance(text, str) else " (in quotes: YAML reads this as another type)"
            problems.append((key, f"{show(text)} is not allowed; allowed: {VALUE}{quotes}"))
    if problems:
        raise Problems(problems)
    return dict(sorted(value.items()))


def _taints(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST:
        raise refusal(value, f"a list of {TAINT}")
    for text in value:
        if not isinstance(text, str) or not _is_taint(text):
            raise refusal(text, TAINT)
    named = [(parts_of(text)["key"], parts_of(text)["effect"]) for text in value]
    if len(set(named)) < len(named):
        raise ValueError("a key is there twice with the same effect; allowed: each key once for an effect")
    return tuple(sorted(value))


def _is_taint(text: str) -> bool:
    name, colon, effect = text.rpartition(":")
    key, _, value = name.partition("=")
    return bool(colon) and effect in EFFECTS and _is_key(key) and _is_value(value)


def _is_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return _NAME.fullmatch(name) is not None and (not slash or _PREFIX.fullmatch(prefix) is not None)


def _is_value(text: str) -> bool:
    return not text or _NAME.fullmatch(text) is not None
