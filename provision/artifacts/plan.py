"""What making a bundle would fetch, known before anything is: for a firewall's list, a mirror, or a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provision.artifacts.sites import split_registry

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE, IMAGE, PACKAGES, MODULE = "file", "image", "packages", "module"
# Where the public sites send on to, as seen from outside; a proxy or firewall must let these through, too.
SENT_ON = {
    "dl.k8s.io": "cdn.dl.k8s.io",
    "github.com": "release-assets.githubusercontent.com",
    "quay.io": "cdn01.quay.io and others like it",
    "registry.k8s.io": "hosts that its project may change at any time",
}


@dataclass(frozen=True)
class Planned:
    """One thing that would be fetched: `kind` is one of those above, `where` a URL, a reference or a source.

    `note` says what is not certain yet.
    """

    kind: str
    where: str
    note: str = ""


def hosts_of(planned: Iterable[Planned]) -> list[str]:
    """Return the hosts that all of it comes from, each with where it sends on to."""
    found = set()
    for item in planned:
        if item.kind == IMAGE:
            found.add(split_registry(item.where)[0])
        found |= {host for word in item.where.split() if (host := urlsplit(word).hostname)}
    return [f"{host} (and {SENT_ON[host]})" if host in SENT_ON else host for host in sorted(found)]
