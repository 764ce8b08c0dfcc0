"""The key `artifacts` of lab.yaml, with its short forms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from provision.config import values

# The key for every registry without an entry of its own.
EVERY_REGISTRY = ""
PLAIN = ("auto", "release", "source")
ALLOWED = "auto, release, source, {bundle: FOLDER}, {mirror: URL}"
MIRROR_ALLOWED = "URL, or a mapping of files: URL, images: PREFIX and ca: FILE"
PREFIX_ALLOWED = "[http://]HOST[:PORT][/PATH], or a mapping of registries to such"
_CREDENTIALS = re.compile(r"//[^/]*@")


class ArtifactsConfig(BaseModel):
    """Where Kubernetes comes from; `location` is the bundle's folder or the URL of the mirror's files.

    For a mirror, `images` has pairs of a registry and the prefix that replaces it, and `ca` is the file of CA
    certificates to trust.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", "release", "source", "bundle", "mirror"] = "auto"
    location: str = ""
    images: tuple[tuple[str, str], ...] = ()
    ca: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str) and value in PLAIN:
            return {"kind": value}
        if not isinstance(value, dict) or len(value) != 1:
            raise values.refusal(value, ALLOWED)
        folder = (info.context or {}).get("folder", Path())
        kind, location = next(iter(value.items()))
        if kind == "bundle" and isinstance(location, str) and location:
            return {"kind": kind, "location": str(folder / values.folder(location))}
        if kind == "mirror":
            return {"kind": kind, **_mirror(location, folder)}
        raise values.refusal(kind if kind != "bundle" else location, ALLOWED)


def _mirror(value: object, folder: Path) -> dict[str, Any]:
    """Return the fields of a mirror; raises Problems, which name the wrong keys."""
    if not isinstance(value, dict):
        return {"location": _url("mirror", value)}
    unknown = [key for key in value if key not in {"files", "images", "ca"}]
    if unknown or not value.keys() & {"files", "images"}:
        raise _problem("mirror", unknown[0] if unknown else value, MIRROR_ALLOWED)
    fields: dict[str, Any] = {}
    if "files" in value:
        fields["location"] = _url("mirror.files", value["files"])
    if "images" in value:
        fields["images"] = _registries(value["images"])
    if "ca" in value:
        if not isinstance(value["ca"], str) or not value["ca"]:
            raise _problem("mirror.ca", value["ca"], "the path of a file of certificates in PEM form")
        fields["ca"] = str(folder / values.folder(value["ca"]))
    return fields


def _registries(value: object) -> tuple[tuple[str, str], ...]:
    given = value if isinstance(value, dict) else {EVERY_REGISTRY: value}
    found = {}
    for registry, prefix in given.items():
        if not isinstance(registry, str) or not isinstance(prefix, str):
            raise _problem("mirror.images", value, PREFIX_ALLOWED)
        address = prefix if "://" in prefix else f"https://{prefix}"
        _url("mirror.images", address, shown=prefix, allowed=PREFIX_ALLOWED)
        found[registry] = prefix.rstrip("/")
    if not found:
        raise _problem("mirror.images", value, PREFIX_ALLOWED)
    return tuple(found.items())


def _url(key: str, value: object, *, shown: object = None, allowed: str = "http(s)://HOST/...") -> str:
    """Return the URL without a trailing slash; one with a password is refused without showing it."""
    if isinstance(value, str) and _CREDENTIALS.search(value):
        words = "a user name or password in the URL is not allowed"
        where = "put it into ~/.netrc for files, or use `skopeo login` for images"
        raise values.Problems([(key, f"{words}; {where}")])
    if not isinstance(value, str) or not values.is_url(value):
        raise _problem(key, shown or value, allowed)
    parts = urlsplit(value)
    if parts.query or parts.fragment:
        raise _problem(key, shown or value, f"{allowed}, without `?` and `#`")
    return value.rstrip("/")


def _problem(key: str, value: object, allowed: str) -> values.Problems:
    return values.Problems([(key, str(values.refusal(value, allowed)))])
