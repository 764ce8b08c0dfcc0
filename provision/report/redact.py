"""Removes secrets from everything that is shown or logged."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

from provision.report.error_view import ErrorView, ShownError

HIDDEN = "[redacted]"
# Shorter strings would match by accident.
SHORTEST = 6
DIGEST_KEYS = frozenset({"sha256", "digest"})

# A line of a key, perhaps after a prefix that a tool puts before each line ("  lab-cp1: MIIE...").
_KEY_LINE = r"[^\S\n]*(?:==>[^\S\n]*)?(?:[\w.-]+:[^\S\n]+)?"
_KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"
_KEY_END = r"-----END [A-Z0-9 ]*PRIVATE KEY-----"
_WHOLE_KEY = re.compile(rf"{_KEY_BEGIN}[\s\S]*?(?:{_KEY_END}|\Z)")
# The end of a key whose first lines are cut off.
_LAST_OF_KEY = re.compile(
    rf"(?:^{_KEY_LINE}[A-Za-z0-9+/=]{{16,}}[^\S\n]*\n)*"
    rf"(?:^{_KEY_LINE}[A-Za-z0-9+/=]+[^\S\n]*\n)?"
    rf"^{_KEY_LINE}{_KEY_END}",
    re.MULTILINE,
)
# No part is as long as it likes: what a node says is matched too, and must not cost more than its length.
# Between a key and its value, in YAML, in JSON, in JSON that is quoted itself, and on a command line.
_IS = r"\\{0,8}[\"']?\s{0,8}[:=]\s{0,8}\\{0,8}[\"']?"
_VALUE = r"[^\s\"'\\,;{}\[\]]+"
# Keys of kubeconfigs, of Secrets, of docker's and of kubeadm's files, whose values are secrets in any form.
_SECRET_KEYS = (
    r"client-key-data|token-secret|[\w.-]{0,60}\.key|ssh-privatekey|\.docker(?:configjson|cfg)|identitytoken"
    r"|[\w-]{0,60}pass(?:word|wd|phrase)|(?:access|refresh|id|api|auth)[-_]?(?:token|key)|client[-_]secret"
    r"|certificate-?key"
)
_PATTERNS = (
    # A user name and password in a URL, or a token in the place of the name; what follows a port is a path.
    (re.compile(r"(?<=://)[^\s/:@]{0,200}:(?![0-9]{1,5}(?:/|\s|$))[^\s@\"'<>]{0,500}@"), f"{HIDDEN}@"),
    (re.compile(r"(https?://)[^\s/:@\"'<>]{1,500}@"), rf"\1{HIDDEN}@"),
    (re.compile(rf"((?i:authorization{_IS}\w+\s+))[^\s\"'\\]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(\bBearer\s+)[A-Za-z0-9._~+/=-]{16,}"), rf"\1{HIDDEN}"),
    # A JWT, such as the token of a service account, with its signature.
    (re.compile(r"\beyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{8,4096}"), HIDDEN),
    (re.compile(rf"((?<![\w-])(?:{_SECRET_KEYS}){_IS}){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    # Docker's own, whose key alone is too common a word.
    (re.compile(r"([\"']auth\\{0,8}[\"']\s{0,8}:\s{0,8}\\{0,8}[\"'])[A-Za-z0-9+/=]{4,}"), rf"\1{HIDDEN}"),
    # "-----BEGIN ..." in base64, but for CERTIFICATE and PUBLIC KEY.
    (re.compile(r"LS0tLS1CRUdJTiB(?!DRVJU|QVUJM)[A-Za-z0-9+/=]+"), HIDDEN),
    # A bootstrap token.
    (re.compile(r"(?<![A-Za-z0-9])[a-z0-9]{6}\.[a-z0-9]{16}(?![A-Za-z0-9])"), HIDDEN),
    # A certificate key of kubeadm. A digest has the prefix sha256:, or names a folder or a file.
    (
        re.compile(
            r"(?<!sha256:)(?<!sha256/)(?<!bundles/)(?<!downloads/)(?<!boxes/)(?<![0-9A-Za-z])[0-9a-f]{64}"
            r"(?![0-9A-Za-z])"
        ),
        HIDDEN,
    ),
)
# The data of a Secret in JSON or YAML, which hold anything under any name.
_SECRET = re.compile(r"kind\\{0,8}[\"']?\s{0,8}:\s{0,8}\\{0,8}[\"']?Secret\b")
_JSON_DATA = re.compile(r"(\\{0,8}\"(?:data|stringData)\\{0,8}\"\s{0,8}:\s{0,8}\{)[^{}]*\}")
_YAML_DATA = re.compile(
    r"^(?P<indent>[^\S\n]*)(?P<key>(?:data|stringData):)[^\S\n]*\n"
    r"(?:(?P=indent)[^\S\n]+\S[^\n]*(?:\n|\Z))+",
    re.MULTILINE,
)
_BEGIN = re.compile(_KEY_BEGIN)
_END = re.compile(_KEY_END)
_KEY_BODY = re.compile(rf"{_KEY_LINE}[A-Za-z0-9+/=,-]*\s*")


class Redactor:
    """Replaces secrets by "[redacted]": those that were added, and those recognised by their form."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: tuple[str, ...] = ()

    def add(self, secret: str) -> None:
        """Hide `secret` from now on, and each of its lines."""
        wanted = {part.strip() for part in (secret, *secret.splitlines())}
        with self._lock:
            known = wanted.union(self._secrets)
            # The longest first, since one secret may be part of another.
            self._secrets = tuple(
                sorted((part for part in known if len(part) >= SHORTEST), key=len, reverse=True)
            )

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        if "PRIVATE KEY-----" in text:
            text = _LAST_OF_KEY.sub(HIDDEN, _WHOLE_KEY.sub(HIDDEN, text))
        if _SECRET.search(text):
            text = _JSON_DATA.sub(rf"\1{HIDDEN}}}", text)
            text = _YAML_DATA.sub(rf"\g<indent>\g<key> {HIDDEN}\n", text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any) -> Any:
        """Return `value` with every string inside it redacted; errors become ShownErrors."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, BaseException):
            return ShownError(ErrorView.of(value).mapped(self.text))
        if isinstance(value, Mapping):
            return {
                self.value(key): inner if key in DIGEST_KEYS else self.value(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value


class LineRedactor:
    """Redacts text line by line; it remembers when it is inside a private key."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._inside = False

    def line(self, line: str) -> str | None:
        """Return the redacted line, or None for a further line of a private key."""
        if self._inside:
            if _END.search(line):
                self._inside = False
                return None
            # A key without an end must not hide everything that follows.
            if _KEY_BODY.fullmatch(line):
                return None
            self._inside = False
        if _BEGIN.search(line) and not _END.search(line):
            self._inside = True
        return self._redactor.text(line)
