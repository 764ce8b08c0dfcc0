"""The key `dns` of a lab.yaml: the resolvers that the nodes ask, instead of the host's own."""

from __future__ import annotations

from ipaddress import IPv4Address

from pydantic import BeforeValidator

from provision.config.values import Problems, refusal

NONE = "none"
# The C library reads no more of them, and the kubelet gives no more to a pod.
MOST = 3
ALLOWED = f"{NONE}, or a list of up to {MOST} IPv4 addresses"
ADDRESS = "the IPv4 address of a resolver that the nodes reach, each once"


def resolvers() -> BeforeValidator:
    """Return the validator of a list of resolvers; `none` is an empty one."""
    return BeforeValidator(_resolvers)


def _resolvers(value: object) -> tuple[IPv4Address, ...]:
    if value == NONE:
        return ()
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST:
        raise refusal(value, ALLOWED)
    found = [_address(item) for item in value]
    problems = [
        (str(place), str(refusal(value[place], ADDRESS)))
        for place, address in enumerate(found)
        if address is None or address in found[:place]
    ]
    if problems:
        raise Problems(problems)
    return tuple(address for address in found if address is not None)


def _address(item: object) -> IPv4Address | None:
    """Return the address of a machine; None for anything else.

    A loopback address would be the node's own, or a pod's: CoreDNS would ask itself in a circle.
    """
    try:
        address = IPv4Address(str(item)) if isinstance(item, str | IPv4Address) else None
    except ValueError:
        return None
    if address is None or address.is_loopback or address.is_multicast or address.is_unspecified:
        return None
    return None if address.is_reserved else address
