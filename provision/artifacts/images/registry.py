"""Images from registries, by skopeo: the one that a reference names now, kept as a docker archive."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from provision.artifacts.images.archive import diff_ids, write_archive
from provision.artifacts.images.skopeo_errors import image_error
from provision.engine.parallel import first_failure
from provision.errors import LabError, ToolFailed
from provision.host.process import run_tool

if TYPE_CHECKING:
    from provision.artifacts.sites import Sites
    from provision.report.base import Reporter

PLATFORM = ("--override-os", "linux", "--override-arch", "amd64")
RETRIES = ("--retry-times", "3")
QUERY_DEADLINE = 120.0
COPY_DEADLINE = 3600.0
# A registry counts what one address asks for; more would not be faster either.
AT_ONCE = 3
CHUNK = 1 << 20
# Bytes of an image's manifest or configuration: registries take none larger than 4 MiB.
LARGEST_TEXT = 4 << 20
_REFERENCE = re.compile(r"(?P<name>[^@]+?)(:(?P<tag>[\w][\w.-]*))?(@(?P<digest>sha256:[0-9a-f]{64}))?")


@dataclass(frozen=True)
class Reference:
    """An image's reference in its parts: `registry.test:5000/a/b`, `v1`, `sha256:...` (or nothing)."""

    name: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; one without a tag gets `latest`.

        Raises LabError for one by digest alone, which a docker archive has no place for.
        """
        found = _REFERENCE.fullmatch(text)
        if found is None or (found["digest"] and not found["tag"]):
            raise LabError(f"the image {text!r} has no tag", hint="name it as REGISTRY/NAME:TAG")
        return cls(found["name"], found["tag"] or "latest", found["digest"] or "")

    @property
    def tagged(self) -> str:
        return f"{self.name}:{self.tag}"


def image_file(ref: str) -> str:
    """Return the name of the file that keeps an image, another one for every reference."""
    return re.sub(r"[^\w.-]", "_", Reference.parse(ref).tagged) + ".tar"


def fetch_image(
    ref: str, sites: Sites, folder: Path, cancel: threading.Event | None = None
) -> tuple[Path, str]:
    """Return the archive of the image `ref` in `folder`, and the digest its registry has for it.

    An archive that an earlier run left there is the one of that digest, and is not fetched again.
    Raises MissingTool, LabError, Cancelled.
    """
    wanted = Reference.parse(ref)
    place, tls = sites.image(wanted.tagged)
    found = Reference.parse(place)
    registry = place.partition("/")[0]
    with _trusting(sites, folder, tls) as trust:
        try:
            digest = wanted.digest or _ask(found, trust, folder, cancel)
            archive = folder / f"{digest.removeprefix('sha256:')}-{image_file(ref)}"
            if not archive.exists():
                _copy(f"{found.name}@{digest}", wanted.tagged, archive, trust, cancel)
        except ToolFailed as error:
            raise image_error(ref, registry, error) from error
    return archive, digest


def fetch_images(
    refs: Iterable[str], sites: Sites, folder: Path, reporter: Reporter, cancel: threading.Event
) -> dict[str, tuple[Path, str]]:
    """Return `fetch_image` of every reference, several at once; the first failure stops the others."""
    left = list(dict.fromkeys(refs))
    all_of_them, begun, lock = len(left), time.monotonic(), threading.Lock()

    def one(ref: str) -> tuple[Path, str]:
        found = fetch_image(ref, sites, folder, cancel)
        with lock:
            left.remove(ref)
            done = all_of_them - len(left)
            rest = (time.monotonic() - begun) / done * len(left)
        reporter.progress(f"images: {done} of {all_of_them}, about {rest:.0f} s left")
        return found

    reporter.progress(f"images: 0 of {all_of_them}")
    return first_failure({ref: functools.partial(one, ref) for ref in list(left)}, cancel, most=AT_ONCE)


def _ask(found: Reference, trust: list[str], folder: Path, cancel: threading.Event | None) -> str:
    options = ["--no-tags", "--format", "{{.Digest}}", *RETRIES, *trust]
    argv = ["skopeo", *PLATFORM, "inspect", *options, f"docker://{found.tagged}"]
    digest = run_tool(argv, deadline=QUERY_DEADLINE, cwd=folder, cancel=cancel).strip()
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise LabError(f"skopeo printed no digest for {found.tagged}, but {digest[:100]!r}")
    return digest


def _copy(source: str, ref: str, archive: Path, trust: list[str], cancel: threading.Event | None) -> None:
    """Fetch by digest, so that what is noted is what is there, and write the archive in one form."""
    with tempfile.TemporaryDirectory(prefix=".image-", dir=archive.parent) as work:
        options = [*RETRIES, *(option.replace("--", "--src-", 1) for option in trust)]
        # What skopeo puts aside is as large as the image. By itself it takes /var/tmp, whatever TMPDIR is,
        # and leaves it there when it is killed.
        argv = ["skopeo", "--tmpdir", work, *PLATFORM, "copy", *options]
        argv += [f"docker://{source}", f"docker-archive:raw.tar:{ref}"]
        run_tool(argv, deadline=COPY_DEADLINE, cwd=Path(work), cancel=cancel)
        clean = Path(work) / "clean.tar"
        rewrite(Path(work) / "raw.tar", clean, ref)
        clean.replace(archive)


@contextlib.contextmanager
def _trusting(sites: Sites, folder: Path, tls: bool) -> Iterator[list[str]]:
    """Give skopeo's options for a registry without TLS, or with an authority of the user's own."""
    if not tls:
        yield ["--tls-verify=false"]
    elif sites.ca is None:
        yield []
    else:
        # Skopeo reads a folder of them, beside the host's own.
        with tempfile.TemporaryDirectory(prefix=".ca-", dir=folder) as certificates:
            shutil.copyfile(sites.ca, Path(certificates) / "ca.crt")
            yield ["--cert-dir", certificates]


def rewrite(archive: Path, path: Path, ref: str) -> None:
    """Write the one image of a docker archive to `path`, named `ref`, as the same image always is.

    Raises LabError when the archive is none, or a layer in it is not what the image says.
    """
    try:
        with tarfile.open(archive) as tar, contextlib.ExitStack() as opened:
            (image,) = json.loads(_text(tar, "manifest.json"))
            description = _text(tar, image["Config"])
            layers: dict[str, IO[bytes]] = {}
            for digest, name in zip(diff_ids(description), image["Layers"], strict=True):
                layer = opened.enter_context(_member(tar, name))
                if digest != f"sha256:{_sha256(layer)}":
                    raise ValueError(f"the layer {name} is not {digest}")
                layers[digest.removeprefix("sha256:")] = layer
            write_archive(path, ref, description, layers)
    except (tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise LabError(f"{ref}: what skopeo wrote is not a docker archive: {error}") from error


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _text(tar: tarfile.TarFile, name: str) -> bytes:
    """Return a small file of the archive; raises ValueError, KeyError."""
    with _member(tar, name) as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"{name} is larger than {LARGEST_TEXT // 2**20} MiB")
    return content


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file
