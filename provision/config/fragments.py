"""The keys `kubelet` and `kubeProxy` of a lab.yaml: fragments of Kubernetes' own configuration documents."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BeforeValidator

from provision.config.values import Problems, refusal, show

MODES = ("nftables", "iptables", "ipvs")
DEFAULT_MODE = "nftables"
# `verify` asks kube-proxy there.
METRICS = ("127.0.0.1:10249", "0.0.0.0:10249")
GATES = "featureGates"
# What other keys of lab.yaml say, what kubeadm fills in, and what kubelab sets and depends on.
KUBELET_RESERVED = (
    *("apiVersion", "kind", "featureGates", "address", "authentication", "authorization", "cgroupDriver"),
    *("clusterDNS", "clusterDomain", "containerRuntimeEndpoint", "enableDebuggingHandlers", "enableServer"),
    *("failSwapOn", "healthzBindAddress", "healthzPort", "imageServiceEndpoint"),
    *("nodeLeaseDurationSeconds", "nodeStatusUpdateFrequency", "port", "registerNode", "resolvConf"),
    *("rotateCertificates", "runtimeRequestTimeout", "serverTLSBootstrap", "staticPodPath", "tlsCertFile"),
    *("tlsPrivateKeyFile",),
)
KUBE_PROXY_RESERVED = (
    *("apiVersion", "kind", "featureGates", "bindAddress", "clientConnection", "clusterCIDR"),
    *("hostnameOverride",),
)
# Of the fragment as JSON; the whole document goes into a ConfigMap.
LONGEST = 32 * 1024
_KEY = re.compile(r"[a-z][A-Za-z0-9]{0,99}")


def kubelet() -> BeforeValidator:
    """Return the validator of a fragment of KubeletConfiguration."""
    return BeforeValidator(lambda value: _checked(value, "KubeletConfiguration", KUBELET_RESERVED))


def kube_proxy() -> BeforeValidator:
    """Return the validator of a fragment of KubeProxyConfiguration."""
    return BeforeValidator(_kube_proxy)


def _kube_proxy(value: object) -> dict[str, Any]:
    fragment = _checked(value, "KubeProxyConfiguration", KUBE_PROXY_RESERVED)
    problems = [
        (key, str(refusal(fragment[key], ", ".join(allowed))))
        for key, allowed in (("mode", MODES), ("metricsBindAddress", METRICS))
        if key in fragment and fragment[key] not in allowed
    ]
    if problems:
        raise Problems(problems)
    return fragment


def _checked(value: object, kind: str, reserved: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or not _is_plain(value):
        raise refusal(
            value,
            f"a mapping of keys of {kind} to texts, numbers, lists and mappings, {LONGEST} signs at most",
        )
    problems = []
    for key in value:
        if not _KEY.fullmatch(key):
            problems.append((show(key), f"is no key; allowed: a key of {kind}"))
        elif key == GATES:
            problems.append((key, "are set for all components at once; allowed: kubeadm.featureGates"))
        elif key in reserved:
            why = "kubelab or kubeadm sets this itself and depends on it"
            problems.append((key, f"{why}; allowed: the other keys of {kind}"))
    if problems:
        raise Problems(problems)
    return dict(value)


def _is_plain(value: Mapping[object, object]) -> bool:
    """Return whether the value is JSON and not too long: no dates, no sets, no keys that are not text."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    # JSON would have made texts of numbers that are keys.
    return len(text) <= LONGEST and _has_text_keys(value)


def _has_text_keys(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_text_keys(inner) for key, inner in value.items())
    return all(map(_has_text_keys, value)) if isinstance(value, list) else True
