"""Configuration documents in a cluster: what was asked for of them, and whether it is there. Pure.

kubeadm reads a document into types of its own and writes it out again: durations and sizes get another form,
what is empty may go, and what nobody gave may stand there as zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from provision.config import fragments

Document = Mapping[str, Any]

# Keys of KubeletConfiguration of which kubeadm leaves out zero and false: the same as nothing.
_ZERO_IS_NOTHING = (
    *("enableContentionProfiling", "eventBurst", "evictionMaxPodGracePeriod", "kernelMemcgNotification"),
    *("kubeAPIBurst", "maxOpenFiles", "maxPods", "podsPerCore", "protectKernelDefaults", "readOnlyPort"),
    *("registryBurst", "runOnce"),
)
_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)(h|ms|m|us|ns|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_SIZE = re.compile(r"(\d{1,18})([KMGT]i)")
_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def kubelet_asked(document: Document) -> dict[str, Any]:
    """Return what a KubeletConfiguration has that neither kubelab nor kubeadm put there."""
    asked = {}
    for key, value in document.items():
        counts = isinstance(value, bool | int) and key not in _ZERO_IS_NOTHING
        asked[str(key)] = value if counts else _without_empty(value)
    return _own(asked, fragments.KUBELET_RESERVED)


def kube_proxy_asked(document: Document) -> dict[str, Any]:
    """Return what a KubeProxyConfiguration has that kubeadm did not put there, and its mode."""
    asked = {str(key): _without_empty(value) for key, value in document.items()}
    return {"mode": fragments.DEFAULT_MODE, **_own(asked, fragments.KUBE_PROXY_RESERVED)}


def differing(one: Document, other: Document) -> list[str]:
    """Return the keys of which the two do not mean the same."""
    return [
        key
        for key in sorted({*one, *other})
        if (key in one) != (key in other) or not _same(one[key], other[key])
    ]


def contains(found: object, asked: object) -> bool:
    """Return whether a configuration with every default in it is as `asked`."""
    if isinstance(asked, dict):
        there = found if isinstance(found, dict) else {}
        return all(contains(there.get(key), value) for key, value in asked.items())
    return _same(found, asked) or (found is None and _without_empty(asked) is None)


def _own(document: Document, reserved: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None and key not in reserved}


def _without_empty(value: Any) -> Any:
    """Return a value without what is empty or zero in it; None where nothing is left."""
    if isinstance(value, dict):
        kept = {str(key): _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None} or None
    if isinstance(value, list):
        return [_without_empty(inner) for inner in value] or None
    return value if value and value not in ("0", "0s") else None


def _same(one: Any, other: Any) -> bool:
    texts = (json.dumps(_canonical(value), sort_keys=True, default=str) for value in (one, other))
    return len(set(texts)) == 1


def _canonical(value: Any) -> Any:
    """Return a value with the durations and sizes in it as numbers: "60s" and "1m0s" are the same."""
    if isinstance(value, dict):
        return {str(key): _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if size := _SIZE.fullmatch(value):
        return f"{int(size[1]) * _BYTES[size[2]]} bytes"
    if value and not _DURATION.sub("", value):
        return f"{sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(value)):.9f} s"
    return value
