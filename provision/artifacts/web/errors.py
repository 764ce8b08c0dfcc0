"""What goes wrong between here and a web server, in words for people."""

from __future__ import annotations

import socket
import ssl
import urllib.error
from http import HTTPStatus
from urllib.parse import urlsplit

from provision.errors import LabError

# OpenSSL's numbers for what is wrong with a certificate.
EXPIRED, NOT_YET = 10, 9
UNKNOWN_ISSUER = {2, 18, 19, 20, 21}
AGAIN = {408, 429, 500, 502, 503, 504}
NETRC_HINT = "put into ~/.netrc: machine {host} login NAME password PASSWORD"
HTTPS_HINT = "name it by https:// in lab.yaml: over http a password is sent to nobody"
CA_HINT = "name the file of its authority in lab.yaml, artifacts: {mirror: {files: URL, ca: FILE}}"
REACH_HINT = "see whether this host reaches it; a proxy is taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY"


class FetchFailed(LabError):
    """A server did not give what lies at a URL.

    `status` is its answer, if there was one. `pause` is how many seconds to wait before another attempt
    makes sense, None if never.
    """

    def __init__(
        self, message: str, *, hint: str = "", status: int | None = None, pause: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.pause = pause

    def but(self, words: str) -> FetchFailed:
        """Return this error as the last word, with more said."""
        return FetchFailed(f"{self.message}, {words}", hint=self.hint, status=self.status)


def refused(url: str, status: int, *, pause: float | None, had_password: bool) -> FetchFailed:
    """Return the error for an answer that is none of what was asked for."""
    host = urlsplit(url).hostname or ""
    if status == HTTPStatus.UNAUTHORIZED:
        if had_password:
            what, hint = f"{host} does not take the password in ~/.netrc for {url}", "correct it there"
        else:
            ways = NETRC_HINT if urlsplit(url).scheme == "https" else HTTPS_HINT
            what, hint = f"{host} wants a password for {url}", ways.format(host=host)
        return FetchFailed(what, hint=hint, status=status)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        hint = "give it in the environment: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
        return FetchFailed(f"the proxy wants a password for {url}", hint=hint, status=status)
    try:
        words = f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        words = str(status)
    hint = "wait a while, or use a mirror" if status == HTTPStatus.TOO_MANY_REQUESTS else ""
    again = (pause or 0.0) if status in AGAIN else None
    return FetchFailed(f"{url}: the server answers {words}", hint=hint, status=status, pause=again)


def broken(url: str, error: Exception, stall: float, proxy: str) -> FetchFailed:
    """Return the error for a connection that was not made or broke.

    `stall` is how many seconds were waited, `proxy` what the connection was to go through, if anything.
    """
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    host = urlsplit(url).hostname or ""
    peer = f"the proxy {proxy}" if proxy else host
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _untrusted(host, reason)
    if isinstance(reason, TimeoutError):
        return FetchFailed(f"{url}: nothing came for {stall:g} s", hint=REACH_HINT, pause=0.0)
    if isinstance(reason, socket.gaierror):
        again = 0.0 if reason.errno == socket.EAI_AGAIN else None
        return FetchFailed(f"{peer}: the name is not known here", hint=REACH_HINT, pause=again)
    if isinstance(reason, ConnectionRefusedError):
        return FetchFailed(f"{peer} refuses the connection for {url}", hint=REACH_HINT, pause=0.0)
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return FetchFailed(f"{url}: the connection broke: {words}", hint=REACH_HINT, pause=0.0)


def _untrusted(host: str, error: ssl.SSLCertVerificationError) -> FetchFailed:
    hint = ""
    if error.verify_code in {EXPIRED, NOT_YET}:
        hint = "see whether this host's clock is right; if it is, the server's owner must renew it"
    elif error.verify_code in UNKNOWN_ISSUER:
        hint = CA_HINT
    return FetchFailed(f"the certificate of {host} is not accepted: {error.verify_message}", hint=hint)
