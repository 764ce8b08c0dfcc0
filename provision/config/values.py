"""Validators for the values of lab.yaml."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from fractions import Fraction
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from provision.config.kubernetes_versions import MINORS, WORDS
from provision.config.suggest import did_you_mean

SUPPORTED_MINORS = tuple(MINORS)
CONTROL_PLANE_COUNTS = (1, 3, 5, 7)
LONGEST_NAME = 40
# kubeadm's preflight checks refuse a control plane with less.
CONTROL_PLANE_CPUS, CONTROL_PLANE_MIB = 2, 1700
WORKER_CPUS, WORKER_MIB = 1, 1024
# The size of the disk that every node is cloned from: a clone cannot be smaller.
SMALLEST_DISK = 12
# Further disks of one machine, each of which takes a slot of its PCI bus.
MOST_DISKS = 8
# The API server accepts no wider range for services; a narrower one lacks address 10, that of kube-dns.
SERVICE_PREFIXES = range(12, 29)

# Less is no network that today's protocols expect; more does not leave a host whose own network is Ethernet.
SMALLEST_MTU, LARGEST_MTU = 1280, 1500
LARGEST_PORT = 65535
NONE = "none"

_MOST_CPUS, _MOST_MIB, _MOST_DISK = 128, 1024 * 1024, 4096
_SHOWN_BITS, _SHOWN_TEXT = 64, 60
# M, MB and MiB all mean 2^20 bytes, and so on, as other tools that make virtual machines take them.
_UNITS = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# VirtualBox calls the adapters of some hosts by long names: "en0: Wi-Fi (AirPort)".
_BRIDGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .:_@()/+#-]{0,79}")
_VERSION = re.compile(r"v?(?P<minor>[0-9]+\.(0|[1-9][0-9]*))(?P<patch>\.(0|[1-9][0-9]{0,3}))?")
_QUANTITY = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,9})?) ?(?P<unit>[mgt])(b|i|ib)?", re.IGNORECASE)
# RFC 1918, RFC 6598 and the benchmark range: a lab on any other range would hide existing hosts.
_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"))
)


class Problems(ValueError):
    """Several problems found by one validator: pairs of key path and message."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(problems)
        self.problems = problems


def show(value: object) -> str:
    """Return a short text for a value; a list or mapping is not written out, as it can be huge."""
    if value is None:
        return "an empty value"
    if not isinstance(value, str | int | float):
        return f"a {'mapping' if isinstance(value, dict) else type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return "so large a number"
    text = repr(value)
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."


def refusal(value: object, allowed: str) -> ValueError:
    """Return the error for a value that is not allowed."""
    return ValueError(f"{show(value)} is not allowed; allowed: {allowed}")


def memory(low: int) -> BeforeValidator:
    """Return the validator of an amount of memory, stored in MiB."""
    return BeforeValidator(lambda value: _quantity(value, "MiB", low, _MOST_MIB))


def disk() -> BeforeValidator:
    """Return the validator of a disk size, stored in GiB."""
    return BeforeValidator(lambda value: _quantity(value, "GiB", SMALLEST_DISK, _MOST_DISK))


def disks() -> BeforeValidator:
    """Return the validator of the sizes of a machine's further disks, stored in GiB."""

    def check(value: object) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or len(value) > MOST_DISKS:
            raise refusal(value, f"a list of up to {MOST_DISKS} sizes, such as [10GiB, 5GiB]")
        return tuple(_quantity(size, "GiB", 1, _MOST_DISK) for size in value)

    return BeforeValidator(check)


def whole(allowed: str, *values: int) -> BeforeValidator:
    """Return the validator of a number that is one of `values`."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value not in values:
            raise refusal(value, allowed)
        return value

    return BeforeValidator(check)


def cpus(low: int) -> BeforeValidator:
    """Return the validator of a number of CPUs."""
    return whole(f"{low} to {_MOST_CPUS}", *range(low, _MOST_CPUS + 1))


def port() -> BeforeValidator:
    """Return the validator of a number of a TCP port."""
    return whole(f"1 to {LARGEST_PORT}", *range(1, LARGEST_PORT + 1))


def mtu() -> BeforeValidator:
    """Return the validator of what a packet may hold, in bytes."""
    return whole(f"{SMALLEST_MTU} to {LARGEST_MTU}", *range(SMALLEST_MTU, LARGEST_MTU + 1))


def bridge() -> BeforeValidator:
    """Return the validator of the name of a bridge, or of an adapter for VirtualBox; none is stored as ""."""
    return BeforeValidator(_bridge)


def one_of(own: str, registry: Iterable[str]) -> BeforeValidator:
    """Return the validator of a name that is `own` or one of the `registry`, read when asked."""

    def check(value: object) -> str:
        names = (own, *registry)
        if not isinstance(value, str) or value not in names:
            near = did_you_mean(value, names) if isinstance(value, str) else ""
            raise ValueError(f"{show(value)} is unknown{near}; allowed: {', '.join(names)}")
        return value

    return BeforeValidator(check)


def network(narrowest: int, widest: int = 0) -> BeforeValidator:
    """Return the validator of a private range whose prefix is from `widest` to `narrowest`."""
    return BeforeValidator(lambda value: _network(value, narrowest, widest))


def address() -> BeforeValidator:
    """Return the validator of one IPv4 address; which network it is in is asked later."""

    def check(value: object) -> IPv4Address:
        if isinstance(value, IPv4Address):
            return value
        if isinstance(value, str):
            with contextlib.suppress(AddressValueError):
                return IPv4Address(value)
        raise refusal(value, "an IPv4 address of network.nodes, such as 192.168.60.101")

    return BeforeValidator(check)


def mapping(allowed: str) -> BeforeValidator:
    """Return the validator of a mapping with texts as its keys."""

    def check(value: object) -> object:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise refusal(value, f"a mapping of {allowed}")
        return value

    return BeforeValidator(check)


def name() -> BeforeValidator:
    """Return the validator of a lab's name."""
    return BeforeValidator(_name)


def kubernetes() -> BeforeValidator:
    """Return the validator of a word, a minor version or an exact one, stored without a leading `v`."""
    return BeforeValidator(_kubernetes)


def folder(path: str) -> Path:
    """Return the path of a folder, with `~` expanded."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{show(path)} names no home folder; allowed: the path of a folder") from error


def is_url(text: str) -> bool:
    """Return whether `text` is a valid http or https URL: ASCII only, with a valid host name."""
    try:
        url = urlsplit(text)
        # ValueErrors: the port is not a number; a label of the host is empty or too long.
        valid = url.port != 0 and bool((url.hostname or "").encode("idna"))
    except ValueError:
        return False
    return valid and url.scheme in ("http", "https") and re.fullmatch(r"[!-~]+", text) is not None


def _quantity(value: object, kept: str, low: int, high: int) -> int:
    """Return an amount in the unit that is kept: a bare number is in it, and none is a part of it."""
    allowed = f"{low}{kept} to {high}{kept}, such as 4GiB, 4G or 2.5GB; whole {kept} only"
    if isinstance(value, int) and not isinstance(value, bool):
        amount = Fraction(value)
    elif isinstance(value, str) and (found := _QUANTITY.fullmatch(value)):
        amount = Fraction(found["number"]) * _UNITS[f"{found['unit'].upper()}iB"] / _UNITS[kept]
    else:
        raise refusal(value, allowed)
    if amount.denominator != 1 or not low <= amount <= high:
        raise refusal(value, allowed)
    return int(amount)


def _network(value: object, narrowest: int, widest: int = 0) -> IPv4Network:
    allowed = f"a private IPv4 range from /{max(widest, 8)} to /{narrowest}, such as 10.0.0.0/16"
    if isinstance(value, IPv4Network):
        network = value
    elif not isinstance(value, str) or "/" not in value:
        raise refusal(value, allowed)
    else:
        try:
            network = IPv4Network(value, strict=False)
        except (AddressValueError, NetmaskValueError, ValueError):
            raise refusal(value, allowed) from None
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise refusal(value, ", ".join(map(str, _PRIVATE)) + ", or a range inside one of them")
    if isinstance(value, str) and not value.startswith(f"{network.network_address}/"):
        raise ValueError(f"{show(value)} has host bits set; allowed: {network}")
    if not widest <= network.prefixlen <= narrowest:
        raise refusal(value, allowed)
    return network


def _bridge(value: object) -> str:
    if value == NONE:
        return ""
    if not isinstance(value, str) or not _BRIDGE.fullmatch(value):
        raise refusal(value, f"{NONE}, or the name of a bridge of this host, such as br0")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not _NAME.fullmatch(value):
        quotes = "" if isinstance(value, str) else " (in quotes: YAML reads this as another type)"
        raise refusal(
            value, f"1 to {LONGEST_NAME} of a-z, 0-9 and `-`, with a letter or digit at both ends{quotes}"
        )
    return value


def _kubernetes(value: object) -> str:
    minors = ", ".join([*SUPPORTED_MINORS, *WORDS])
    if isinstance(value, int | float):
        quoted = ", ".join(f'"{minor}"' for minor in SUPPORTED_MINORS)
        raise refusal(value, f"{quoted}, in quotes: without them YAML takes 1.30 for the number 1.3")
    if isinstance(value, str) and value in WORDS:
        return value
    found = _VERSION.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["minor"] not in SUPPORTED_MINORS:
        raise refusal(value, f"{minors}, or a patch of them such as {SUPPORTED_MINORS[-1]}.1")
    return found["minor"] + (found["patch"] or "")
