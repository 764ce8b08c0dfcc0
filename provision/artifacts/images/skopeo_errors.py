"""What skopeo says when an image does not come, in words for people."""

from __future__ import annotations

import re

from provision.artifacts.unavailable import Unavailable
from provision.artifacts.web.errors import CA_HINT, REACH_HINT
from provision.errors import LabError, ResourceError, ToolFailed

_MESSAGE = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
_PREFACE = re.compile(r"^(Error parsing image name|initializing source|reading manifest) \S+: ")
_QUERY = re.compile(r"(https?://[^\s?\"]+)\?[^\s\"]*")

# Part of skopeo's last words, what it means, what to do.
_KNOWN = (
    ("unauthorized", "{registry} wants a password, or has no such image", "skopeo login {registry}"),
    ("authentication required", "{registry} wants a password", "skopeo login {registry}"),
    ("denied", "{registry} denies access to it", "skopeo login {registry}"),
    ("manifest unknown", "{registry} has no such image", "see which versions it has"),
    ("name unknown", "{registry} has no such image", "see which versions it has"),
    ("not found", "{registry} has no such image", "see which versions it has"),
    (
        "toomanyrequests",
        "{registry} limits how often this host may ask, and the limit is reached",
        "wait a while, log in there, or use a mirror",
    ),
    (
        "too many requests",
        "{registry} limits how often this host may ask, and the limit is reached",
        "wait a while, log in there, or use a mirror",
    ),
    (
        "certificate has expired",
        "the certificate of {registry} has expired",
        "see whether this host's clock is right; if it is, the registry's owner must renew it",
    ),
    (
        "unknown authority",
        "the certificate of {registry} is signed by an authority unknown to this host",
        CA_HINT,
    ),
    (
        "server gave http response to https client",
        "{registry} answers without TLS",
        "say so in lab.yaml: artifacts: {mirror: {images: 'http://{registry}'}}",
    ),
    ("did not end within", "{registry} does not answer", REACH_HINT),
    ("no such host", "the name {registry} is not known here", REACH_HINT),
    ("connection refused", "{registry} refuses the connection", REACH_HINT),
    ("timeout", "{registry} does not answer", REACH_HINT),
)


# The same for what is no fault of the registry: another way would not help.
_HERE = (
    (
        "digest did not match",
        LabError,
        "{registry} sent something that does not have the requested digest",
        "",
    ),
    (
        "no space left on device",
        ResourceError,
        "the disk is full",
        "make room, or put KUBELAB_CACHE on a larger disk",
    ),
    (
        "zstd compression is not supported",
        LabError,
        "it is packed with zstd, which needs skopeo 1.14 or newer",
        "install a newer skopeo, or use a bundle made elsewhere: artifacts: {bundle: FOLDER}",
    ),
)


def image_error(ref: str, registry: str, error: ToolFailed) -> LabError:
    """Return the error for an image that could not be had from `registry`, from what skopeo said.

    It is Unavailable unless the fault is on this host, or something else came than was asked for.
    """
    messages = _MESSAGE.findall(error.output)
    last = messages[-1] if messages and "did not end within" not in error.output else error.details
    # What comes after the `?` of an address may be a key to it.
    words = _PREFACE.sub("", _QUERY.sub(r"\1", last.replace('\\"', '"')))
    for part, kind, meaning, hint in _HERE:
        if part in words.lower():
            return kind(f"the image {ref}: {meaning.replace('{registry}', registry)} ({words})", hint=hint)
    for part, meaning, hint in _KNOWN:
        if part in words.lower():
            what = meaning.replace("{registry}", registry)
            told = hint.replace("{registry}", registry)
            return Unavailable(ref, f"the image {ref}: {what} ({words})", hint=told)
    return Unavailable(ref, f"the image {ref} does not come from {registry}: {words}", hint=REACH_HINT)
