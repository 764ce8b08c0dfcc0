"""The host's proxy for Debian packages, handed to mmdebstrap, which looks at none of the host's settings.

It goes through a private file that is gone afterwards: an address may hold a password, which has no place in
an argument, nor in the root filesystem that is made.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from provision.errors import LabError, MissingTool
from provision.host.files import PRIVATE, write_atomic
from provision.host.process import run_tool
from provision.host.proxies import proxy_of

QUERY_DEADLINE = 60.0
SCHEMES = ("http", "https")
INSIDE = "etc/apt/apt.conf.d/00kubelab-proxy"
_OWN = re.compile(r"Acquire::https?::Proxy(?:::|-| |AutoDetect)", re.IGNORECASE)
_UNFIT = re.compile(r'[\s"\\;{}]')


@contextlib.contextmanager
def mmdebstrap_options(
    sources: Sequence[str], folder: Path, *, unpacked: bool = False
) -> Iterator[list[str]]:
    """Give the options by which mmdebstrap reaches `sources` through the host's proxy, if there is one.

    The file they name lies in `folder`. `unpacked` is for packages that are not installed. Raises LabError
    for an address in the environment that is none.
    """
    settings = apt_settings(sources)
    if not settings:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix=".apt-", dir=folder) as private:
        file = Path(private) / "proxy.conf"
        write_atomic(file, settings, mode=PRIVATE)
        yield [
            f'--setup-hook=cp {shlex.quote(str(file))} "$1"/{INSIDE}',
            # After the last download: packages that are merely unpacked all came before.
            f'--{"extract" if unpacked else "customize"}-hook=rm -f "$1"/{INSIDE}',
        ]


def apt_settings(sources: Sequence[str]) -> str:
    """Return lines of apt's configuration: its own proxy on this host, else that of the environment."""
    own: list[str] = []
    with contextlib.suppress(MissingTool):
        dump = run_tool(["apt-config", "dump", "--no-empty"], deadline=QUERY_DEADLINE)
        own = [line for line in dump.splitlines() if _OWN.match(line)]
    return "".join(f"{line}\n" for line in own or _from_environment(sources))


def _from_environment(sources: Sequence[str]) -> list[str]:
    lines = []
    for scheme in SCHEMES:
        proxy = proxy_of(scheme)
        if proxy:
            lines.append(f'Acquire::{scheme}::Proxy "{_address(scheme, proxy)}";')
    if lines:
        urls = [word for source in sources for word in source.split() if "://" in word]
        for url in sorted(set(urls)):
            parts = urlsplit(url)
            if parts.hostname and parts.scheme in SCHEMES and urllib.request.proxy_bypass(parts.hostname):
                lines.append(f'Acquire::{parts.scheme}::Proxy::{parts.hostname} "DIRECT";')
    return list(dict.fromkeys(lines))


def _address(scheme: str, proxy: str) -> str:
    """Return the address as a URL, as apt wants it; one that is none is an error, which does not show it."""
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        host = urlsplit(address).hostname
    except ValueError:
        host = None
    if not host or _UNFIT.search(address):
        raise LabError(
            f"{scheme.upper()}_PROXY in the environment is not the address of a proxy",
            hint="write it as http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT",
        )
    return address
