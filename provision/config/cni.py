"""The key `cni` of lab.yaml: a name, or a mapping with a version, values or the user's own manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from provision.config import values
from provision.config.suggest import did_you_mean
from provision.extensions import CNIS

# CNIs that are installed from a versioned manifest or chart.
VERSIONED = ("calico", "cilium", "flannel")
# CNIs without a manifest, so the user cannot give one for them.
BUILT_IN = ("auto", "bridge", "none")
CUSTOM = "custom"
# CNI -> key of `values` -> allowed values; Cilium allows every value of its chart.
VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    "calico": {"encapsulation": ("vxlan", "ipip", "bgp", "none")},
    "flannel": {"backend": ("vxlan", "host-gw")},
}

_KEYS = ("name", "version", "sha256", "manifest", "images", "values")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+[-.+0-9A-Za-z]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(
    r"[a-zA-Z0-9][-.\w]*(:[0-9]+)?(/[a-z0-9][-._a-z0-9]*)*(?P<tag>:\w[-.\w]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?"
)


class CniConfig(BaseModel):
    """The pod network that lab.yaml asks for.

    `manifest` is a URL or the absolute path of a file; `sha256` is the digest of the downloaded manifest or
    chart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str = ""
    sha256: str = ""
    manifest: str = ""
    images: tuple[str, ...] = ()
    values: dict[str, Any] = {}

    @property
    def is_own(self) -> bool:
        """Return whether the manifest is the user's own."""
        return bool(self.manifest)

    @property
    def is_rendered(self) -> bool:
        """Return whether Helm renders it on the host."""
        return self.name == "cilium" and not self.is_own

    @property
    def replaces_kube_proxy(self) -> bool:
        """Return whether the pod network implements Services, so that kube-proxy is not installed."""
        if not self.is_rendered:
            return False
        # The chart takes the boolean and the text alike.
        return str(self.values.get("kubeProxyReplacement")).lower() == "true"

    @model_validator(mode="before")
    @classmethod
    def _check(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, CniConfig):
            return value
        if isinstance(value, str):
            return {"name": _known(value)}
        if not isinstance(value, dict):
            raise ValueError(
                f"{values.show(value)} is unknown; allowed: {_names()}, or a mapping of {', '.join(_KEYS)}"
            )
        problems = list(_problems(value))
        if problems:
            raise values.Problems(problems)
        checked = {key: found for key, found in value.items() if found is not None}
        checked.setdefault("name", CUSTOM)
        manifest = checked.get("manifest")
        if manifest and not values.is_url(manifest):
            folder = (info.context or {}).get("folder", Path())
            checked["manifest"] = str((folder / values.folder(manifest)).absolute())
        return checked


def _names() -> str:
    return ", ".join(("auto", *CNIS))


def _known(name: str) -> str:
    if name not in ("auto", *CNIS):
        near = did_you_mean(name, ("auto", *CNIS))
        own = "; for your own manifest: cni: {name: ..., manifest: FILE or URL}"
        raise ValueError(f"{values.show(name)} is unknown{near}; allowed: {_names()}{own}")
    return name


def _problems(value: dict[object, object]) -> Iterator[tuple[str, str]]:
    """Yield key and message of every problem in the mapping; unknown keys are found by the schema."""
    name, manifest = value.get("name"), value.get("manifest")
    if name is None:
        if manifest is None:
            yield "name", f"is missing; allowed: {_names()}, or any name together with `manifest`"
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        yield "name", str(values.refusal(name, "a-z, 0-9 and `-`, 40 characters at most"))
        return
    elif manifest is None and name == CUSTOM:
        yield "manifest", "is missing; allowed: a file or the URL of your manifest"
    elif manifest is None:
        try:
            _known(name)
        except ValueError as error:
            yield "name", str(error)
            return
    elif name in BUILT_IN:
        yield "manifest", f"cannot be given for {name}; allowed: with another name, such as {CUSTOM}"
    yield from _text_problems(name, value)
    yield from _list_problems(value)
    yield from _value_problems(name, value)


def _has_versions(name: object) -> bool:
    """Return whether a CNI takes a version and values; one of another package sees to them itself."""
    return name in VERSIONED or name in CNIS.added()


def _text_problems(name: object, value: dict[object, object]) -> Iterator[tuple[str, str]]:
    version, manifest = value.get("version"), value.get("manifest")
    if version is not None:
        if manifest is None and not _has_versions(name):
            yield "version", f"cannot be given for {name}; allowed: for {', '.join(VERSIONED)}"
        elif not isinstance(version, str) or not _VERSION.fullmatch(version):
            yield "version", str(values.refusal(version, "an exact version such as v3.33.0"))
    sha256 = value.get("sha256")
    if sha256 is not None:
        own = isinstance(manifest, str) and values.is_url(manifest)
        fetched = own or (manifest is None and _has_versions(name))
        if not fetched:
            yield "sha256", "has no download to check; allowed: with a version, or the URL of a manifest"
        elif not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            yield "sha256", str(values.refusal(sha256, "64 digits of 0-9 and a-f, in quotes"))
    if manifest is not None and (
        not isinstance(manifest, str) or not manifest or ("://" in manifest and not values.is_url(manifest))
    ):
        yield "manifest", str(values.refusal(manifest, "the path of a file, or http(s)://HOST/..."))


def _list_problems(value: dict[object, object]) -> Iterator[tuple[str, str]]:
    images = value.get("images")
    if images is None:
        return
    if value.get("manifest") is None:
        yield "images", "need a manifest of your own; allowed: together with `manifest`"
    elif not isinstance(images, list):
        yield "images", str(values.refusal(images, "a list such as [quay.io/NAME/IMAGE:TAG]"))
    else:
        for number, image in enumerate(images):
            found = _IMAGE.fullmatch(image) if isinstance(image, str) else None
            if found is None or (found["digest"] and not found["tag"]):
                allowed = "REGISTRY/NAME:TAG, and after it @sha256:DIGEST if you like"
                yield f"images.{number}", str(values.refusal(image, allowed))


def _value_problems(name: object, value: dict[object, object]) -> Iterator[tuple[str, str]]:
    given = value.get("values")
    if given is None:
        return
    if value.get("manifest") is not None:
        yield "values", "cannot be given with `manifest`, which is applied unchanged; edit the manifest"
    elif not isinstance(given, dict) or not _is_plain(given):
        yield "values", str(values.refusal(given, "a mapping of texts, numbers, lists and mappings"))
    elif not _has_versions(name):
        yield "values", f"cannot be given for {name}; allowed: for {', '.join(VERSIONED)}"
    elif name in VALUES:
        known = VALUES[str(name)]
        for key, found in given.items():
            if key not in known:
                near = did_you_mean(key, tuple(known))
                yield f"values.{key}", f"is an unknown key{near}; allowed: {', '.join(known)}"
            elif found not in known[key]:
                yield f"values.{key}", str(values.refusal(found, ", ".join(known[key])))


def _is_plain(given: dict[object, object]) -> bool:
    """Return whether the values are JSON types only: no dates, no sets, no keys that are not text."""
    try:
        json.dumps(given)
    except (TypeError, ValueError, RecursionError):
        return False
    return all(isinstance(key, str) for key in given)
