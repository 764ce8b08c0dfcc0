"""Files from web servers: several at once, taken up where they broke off, each checked by its sha256."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts.bundle import sha256_of
from provision.artifacts.web.client import Web
from provision.artifacts.web.errors import FetchFailed
from provision.artifacts.web.retry import AGAIN_HINT, Tries
from provision.errors import Cancelled, LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provision.report.base import Reporter

CHUNK = 1 << 18
MIB = 1 << 20
# Shorter gaps would only cost time: nobody reads that fast.
REPORT_EVERY = 0.5
MEANINGFUL_AFTER = 2.0


@dataclass(frozen=True)
class Download:
    """A file at `url` that is to lie at `path`; without `sha256` it is taken as it comes.

    `most_mib` is more than such a file has: one that goes on is not taken.
    """

    url: str
    path: Path
    sha256: str | None
    most_mib: int


class Meter:
    """Says how much of all downloads is there, and how long the rest takes."""

    def __init__(self, reporter: Reporter, now: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._now = now
        self._lock = threading.Lock()
        self._here: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        # Without what an earlier attempt left, which says nothing about the speed.
        self._fresh = 0
        self._begun = self._told = now()

    def begin(self, url: str, here: int, size: int) -> None:
        """Note that `here` of the `size` bytes at `url` are there, and the others are to come."""
        with self._lock:
            self._here[url], self._sizes[url] = here, size

    def add(self, url: str, count: int) -> None:
        """Count more bytes of `url` as here."""
        with self._lock:
            self._here[url] += count
            self._fresh += count
            now = self._now()
            if now - self._told < REPORT_EVERY:
                return
            self._told = now
            here, size = sum(self._here.values()), sum(self._sizes.values())
            text = f"downloading: {here // MIB} of {size // MIB} MiB"
            if (spent := now - self._begun) > MEANINGFUL_AFTER and size > here:
                text += f", about {(size - here) * spent / self._fresh:.0f} s left"
        self._reporter.progress(text)


def fetch(item: Download, web: Web, meter: Meter, cancel: threading.Event | None = None) -> None:
    """Put the file there, complete and checked; one that is there already is not asked for again.

    What came before the connection broke stays beside it as `.part`, for another attempt or another run.
    Raises FetchFailed, LabError for a wrong checksum (which keeps nothing), Cancelled.
    """
    if item.sha256 and item.path.is_file() and sha256_of(item.path) == item.sha256:
        return
    part = item.path.with_name(f"{item.path.name}.part")
    if item.sha256 is None:
        # Nothing would tell whether the rest belongs to it.
        part.unlink(missing_ok=True)
    tries = Tries(web.patience, web.clock)
    end = web.clock.now() + web.patience.deadline
    while True:
        had = _size(part)
        try:
            _take(item, part, web, meter, end, cancel)
            break
        except FetchFailed as error:
            tries.wait_after(error, gained=_size(part) > had)
    _check(item, part)
    part.replace(item.path)


def _check(item: Download, part: Path) -> None:
    got = sha256_of(part)
    if item.sha256 not in {None, got}:
        part.unlink()
        raise LabError(
            f"{item.url} is not what it should be: expected sha256:{item.sha256}, got sha256:{got}",
            hint="nothing of it was kept; if it comes again, something on the way or the mirror changes it",
        )


def _take(
    item: Download, part: Path, web: Web, meter: Meter, end: float, cancel: threading.Event | None
) -> None:
    """Add to `part` what is missing, in one attempt; raises FetchFailed, Cancelled."""
    url, start = item.url, _size(part)
    try:
        response = web.open(url, start=start)
    except FetchFailed as error:
        if start and error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise FetchFailed(error.message, pause=0.0) from None
        raise
    with response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            part.unlink()
            raise FetchFailed(f"{url}: the server gives another part than was asked for", pause=0.0)
        size = None if response.length is None else start + response.length
        _check_size(item, part, size or 0)
        meter.begin(url, start, size or 0)
        with part.open("ab" if start else "wb") as file:
            for chunk in _chunks(url, response, web):
                if cancel is not None and cancel.is_set():
                    raise Cancelled("downloading was given up")
                if web.clock.now() > end:
                    what = f"{url} did not come within {web.patience.deadline:g} s"
                    raise FetchFailed(what, hint=AGAIN_HINT)
                file.write(chunk)
                meter.add(url, len(chunk))
                _check_size(item, part, file.tell())
    came = _size(part)
    if size is not None and came < size:
        raise FetchFailed(f"{url}: the connection broke after {came} of {size} bytes", pause=0.0)


def _check_size(item: Download, part: Path, size: int) -> None:
    if size > item.most_mib * MIB:
        part.unlink(missing_ok=True)
        raise FetchFailed(
            f"{item.url} is larger than {item.most_mib} MiB, which no such file is",
            hint="nothing of it was kept; see what the server answers",
        )


def _chunks(url: str, response: http.client.HTTPResponse, web: Web) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise web.broken(url, error) from error
        if not chunk:
            return
        yield chunk


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
