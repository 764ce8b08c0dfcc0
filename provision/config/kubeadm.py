"""What lab.yaml may add to kubeadm's documents, and which arguments kubelab and kubeadm set themselves."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import BeforeValidator, ValidationInfo

from provision.config import values
from provision.config.values import Problems, refusal, show

CLUSTER_DOMAIN = "cluster.local"
FEATURE_GATES = "feature-gates"
DOMAIN = "a DNS name of a-z, 0-9, `-` and `.`, such as lab.example"
SAN = "a DNS name such as api.lab.example or *.lab.example, or an IP address"
ARGUMENT = "the name of an argument, without dashes in front, such as audit-log-maxage"
_ELECTION = (
    "leader-elect",
    *(f"leader-elect-{part}" for part in ("lease-duration", "renew-deadline", "retry-period")),
)
_KUBECONFIGS = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
# Component -> arguments that come from other keys of lab.yaml, that kubeadm derives from its certificates and
# addresses, or that kubelab sets: without them it would not find or repair the cluster.
RESERVED: dict[str, tuple[str, ...]] = {
    "kube-apiserver": (
        *("advertise-address", "bind-address", "secure-port", "service-cluster-ip-range", "client-ca-file"),
        *("tls-cert-file", "tls-private-key-file", "etcd-servers", "etcd-cafile", "etcd-certfile"),
        *("etcd-keyfile", "kubelet-client-certificate", "kubelet-client-key", "service-account-key-file"),
        *("service-account-signing-key-file", "proxy-client-cert-file", "proxy-client-key-file"),
        *("requestheader-client-ca-file", "requestheader-allowed-names", "allow-privileged"),
        *("enable-bootstrap-token-auth", "etcd-healthcheck-timeout", "etcd-readycheck-timeout"),
    ),
    "kube-controller-manager": (
        *_ELECTION,
        *_KUBECONFIGS,
        *("allocate-node-cidrs", "cluster-cidr", "cluster-name", "cluster-signing-cert-file"),
        *("cluster-signing-key-file", "client-ca-file", "controllers", "node-cidr-mask-size"),
        *("requestheader-client-ca-file", "root-ca-file", "service-account-private-key-file"),
        *("service-cluster-ip-range", "use-service-account-credentials"),
    ),
    "kube-scheduler": (*_ELECTION, *_KUBECONFIGS),
    "etcd": (
        *("name", "data-dir", "listen-client-urls", "advertise-client-urls", "listen-peer-urls"),
        *("initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state"),
        *("initial-cluster-token", "cert-file", "key-file", "trusted-ca-file", "client-cert-auth"),
        *("peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "peer-client-cert-auth"),
        *("heartbeat-interval", "election-timeout"),
    ),
}
# Those that get the gates of Kubernetes; etcd has gates of its own.
GATED = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_MOST, _LONGEST = 100, 4096
_ARGUMENT = re.compile(r"(?=.{1,100}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_GATE = re.compile(r"[A-Z][A-Za-z0-9]{0,99}")
_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,180}}\Z){_NAME}(\.{_NAME})*")


def arguments(component: str) -> BeforeValidator:
    """Return the validator of further arguments of a component, such as "kube-apiserver"."""
    return BeforeValidator(lambda value: _arguments(value, component))


def feature_gates() -> BeforeValidator:
    """Return the validator of a mapping of feature gates to true or false."""
    return BeforeValidator(_feature_gates)


def names() -> BeforeValidator:
    """Return the validator of further names and addresses in the API server's certificate."""
    return BeforeValidator(_names)


def domain() -> BeforeValidator:
    """Return the validator of the cluster's DNS domain."""
    return BeforeValidator(_domain)


def folder() -> BeforeValidator:
    """Return the validator of a folder, stored as an absolute path; lab.yaml's own is in the context."""
    return BeforeValidator(_folder)


def _arguments(value: object, component: str) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MOST:
        raise refusal(value, f"a mapping of NAME: VALUE, {_MOST} at most")
    problems = []
    for name, text in value.items():
        if not isinstance(name, str) or not _ARGUMENT.fullmatch(name):
            problems.append((show(name), f"is no argument; allowed: {ARGUMENT}"))
        elif name == FEATURE_GATES and component in GATED:
            problems.append((name, "is set for all components at once; allowed: kubeadm.featureGates"))
        elif name in RESERVED[component]:
            why = "kubelab or kubeadm sets this itself and depends on it"
            problems.append((name, f"{why}; allowed: the other arguments of {component}"))
        elif not isinstance(text, str) or len(text) > _LONGEST or not text.isprintable():
            problems.append((name, str(refusal(text, f"one line of text{_quotes(text)}"))))
    if problems:
        raise Problems(problems)
    return dict(value)


def _feature_gates(value: object) -> dict[str, bool]:
    if not isinstance(value, dict) or len(value) > _MOST:
        raise refusal(value, f"a mapping of GATE: true or false, {_MOST} at most")
    problems = []
    for name, on in value.items():
        if not isinstance(name, str) or not _GATE.fullmatch(name):
            problems.append((show(name), "is no feature gate; allowed: a name such as SidecarContainers"))
        elif not isinstance(on, bool):
            problems.append((name, str(refusal(on, "true or false"))))
    if problems:
        raise Problems(problems)
    return dict(sorted(value.items()))


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST:
        raise refusal(value, f"a list, {_MOST} at most, each {SAN}")
    for name in value:
        if not isinstance(name, str) or not (_is_address(name) or is_domain(name.removeprefix("*."))):
            raise refusal(name, f"{SAN}{_quotes(name)}")
    return tuple(dict.fromkeys(value))


def _domain(value: object) -> str:
    if not isinstance(value, str) or not is_domain(value):
        raise refusal(value, f"{DOMAIN}{_quotes(value)}")
    return value


def _folder(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise refusal(value, "the path of a folder")
    return str(((info.context or {}).get("folder", Path()) / values.folder(value)).absolute())


def is_domain(text: str) -> bool:
    """Return whether `text` is a DNS name in lower case that ends with no digit: that would be an address."""
    return _DOMAIN.fullmatch(text) is not None and not text.rpartition(".")[2].isdecimal()


def _is_address(text: str) -> bool:
    try:
        # A zone is of one host alone, and may be any text.
        return bool(ipaddress.ip_address(text)) and "%" not in text
    except ValueError:
        return False


def _quotes(value: object) -> str:
    return "" if isinstance(value, str) else " (in quotes: YAML reads this as another type)"
