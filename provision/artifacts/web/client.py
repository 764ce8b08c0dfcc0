"""Questions to web servers: the host's proxies, its passwords in ~/.netrc, and errors meant for people."""

from __future__ import annotations

import base64
import http.client
import netrc
import os
import re
import ssl
import urllib.error
import urllib.request
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from provision import __version__
from provision.artifacts.web.errors import FetchFailed, broken, refused
from provision.artifacts.web.retry import AGAIN_HINT, ORDINARY, Patience, Tries, retry_after
from provision.errors import ConfigError, LabError
from provision.host.files import home_dir

if TYPE_CHECKING:
    from provision.engine.waiting import Clock

LARGEST_TEXT = 1 << 20
# What a server answers to who may not know whether there is anything.
HIDDEN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


class Web:
    """Gets what lies at a URL. `ca` is a file of certificates trusted beside the host's own.

    The proxies are those of the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY. Raises ConfigError
    for a `ca` that is none.
    """

    def __init__(self, clock: Clock, *, ca: Path | None = None, patience: Patience = ORDINARY) -> None:
        self.clock = clock
        self.patience = patience
        handlers = urllib.request.HTTPSHandler(context=_trust(ca)), SafeRedirects()
        self._opener = urllib.request.build_opener(*handlers)
        self._private: set[str] = set()

    def open(self, url: str, *, start: int = 0) -> http.client.HTTPResponse:
        """Return the response for `url` from the byte `start` on; raises FetchFailed, after one attempt.

        A password is for a server that does not answer without one: a public site may refuse to one that has
        expired what it gives to everybody.
        """
        host = urlsplit(url).hostname or ""
        if host in self._private:
            return self._open(url, start, _password(url))
        try:
            return self._open(url, start, "")
        except FetchFailed as error:
            if error.status not in HIDDEN:
                raise
            known = _password_after(error, url)
        response = self._open(url, start, known)
        self._private.add(host)
        return response

    def _open(self, url: str, start: int, known: str) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, headers={"User-Agent": f"kubelab/{__version__}"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        if known:
            # Not sent on to another host that this one names.
            request.add_unredirected_header("Authorization", f"Basic {known}")
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=self.patience.stall)
        except urllib.error.HTTPError as error:
            with error:
                pause = retry_after(error.headers.get("Retry-After"))
            raise refused(url, error.code, pause=pause, had_password=bool(known)) from None
        except (OSError, http.client.HTTPException) as error:
            raise self.broken(url, error) from error
        return response

    def broken(self, url: str, error: Exception) -> FetchFailed:
        """Return the error for a connection that broke."""
        return broken(url, error, self.patience.stall, proxy_for(url))

    def text(self, url: str) -> str:
        """Return the small text at `url`, after as many attempts as patience allows; raises FetchFailed."""
        tries = Tries(self.patience, self.clock)
        while True:
            try:
                with self.open(url) as response:
                    return self._all_of(url, response).decode(errors="replace")
            except FetchFailed as error:
                tries.wait_after(error)
            except (OSError, http.client.HTTPException) as error:
                tries.wait_after(self.broken(url, error))

    def _all_of(self, url: str, response: http.client.HTTPResponse) -> bytes:
        end = self.clock.now() + self.patience.text
        content = b""
        while len(content) < LARGEST_TEXT and (chunk := response.read1(LARGEST_TEXT - len(content))):
            content += chunk
            if self.clock.now() > end:
                raise FetchFailed(f"{url} did not come within {self.patience.text:g} s", hint=AGAIN_HINT)
        if response.length:
            raise http.client.IncompleteRead(content, response.length)
        return content


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address, but never from https to what anybody on the way can change."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            fp.close()
            raise FetchFailed(
                f"{req.full_url} leads to {newurl}, which is not followed: only {' or '.join(allowed)} is",
                hint="use a mirror that is reached by https all the way",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def proxy_for(url: str) -> str:
    """Return the proxy that the environment names for `url`, without its password, or an empty string."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return re.sub(r"//[^/@]*@", "//", urllib.request.getproxies().get(parts.scheme, ""))


def plain_site(url: str) -> str:
    """Return the site of a URL whose answers anybody on the way can change, or an empty string."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    here = host == "localhost" or host.startswith("127.") or host == "::1"
    return "" if parts.scheme != "http" or here else f"http://{parts.netloc}"


def _trust(ca: Path | None) -> ssl.SSLContext:
    if ca is None:
        return _host_trust()
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        hint = "a file of certificates in PEM form"
        raise ConfigError(f"{ca} cannot be used: {why}", key="artifacts.mirror.ca", hint=hint) from None
    return context


# Reading the host's certificates takes 40 ms.
@cache
def _host_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _password(url: str) -> str:
    """Return what ~/.netrc (or the file that NETRC names) has for the host of `url`, encoded, or nothing.

    Its `default` is not for every server that a lab.yaml names, and over http anybody could read along.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return ""
    file = Path(os.environ.get("NETRC") or home_dir() / ".netrc")
    try:
        named = netrc.netrc(str(file)).hosts
    except FileNotFoundError:
        return ""
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # Its own words may show the line that it could not read.
        where = f", line {error.lineno}" if isinstance(error, netrc.NetrcParseError) else ""
        raise LabError(f"{file}{where} cannot be read", hint="man 5 netrc says what it may hold") from None
    host = parts.hostname or ""
    if host == "default" or (found := named.get(host)) is None:
        return ""
    return base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()


def _password_after(refusal: FetchFailed, url: str) -> str:
    """Return the password for a URL that was refused without one; raises `refusal` where there is none."""
    try:
        known = _password(url)
    except LabError:
        # Where no password is wanted, a file that cannot be read is no matter.
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            raise
        known = ""
    if not known:
        raise refusal
    return known


def is_missing(error: FetchFailed) -> bool:
    """Return whether the server answered that there is no such file."""
    return error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
