"""Container images without a container tool: one layer in a docker archive; same input, same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Debian keeps these as links into /usr; packages alone do not make them.
MERGED = ("bin", "lib", "lib64", "sbin")
PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\n"
EXECUTABLE = 0o755
PLAIN = 0o644


@dataclass(frozen=True)
class ImageConfig:
    """What a runtime does with an image when the pod does not say."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


@dataclass
class Layer:
    """The files of an image, owned by root and without dates; a later file replaces an earlier one."""

    _members: dict[str, tuple[tarfile.TarInfo, bytes | Path]] = field(default_factory=dict)

    def add(self, path: str, content: bytes | Path, *, mode: int = PLAIN) -> None:
        """Put a file at the absolute `path`: the given bytes, or those of a file on the host."""
        info = tarfile.TarInfo(_relative(path))
        info.size = content.stat().st_size if isinstance(content, Path) else len(content)
        self._put(info, mode, content)

    def folder(self, path: str, *, mode: int = EXECUTABLE) -> None:
        """Make the folder `path`; those of files come by themselves."""
        info = tarfile.TarInfo(_relative(path))
        info.type = tarfile.DIRTYPE
        self._put(info, mode)

    def link(self, path: str, target: str) -> None:
        """Make `path` a symbolic link to `target`."""
        info = tarfile.TarInfo(_relative(path))
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self._put(info, 0o777)

    def unpack(self, archive: Path, keep: Callable[[str], bool]) -> None:
        """Take the files, folders and links of a tar of Debian packages for which `keep(path)` holds.

        Paths are given to `keep` as they will be, without a leading slash; /bin, /lib, /lib64 and
        /sbin become links into /usr.
        """
        with tarfile.open(archive) as tar:
            for member in tar:
                path = _merged(PurePosixPath(member.name))
                if path in {"", "."} or path in MERGED or not keep(path):
                    continue
                if member.isdir():
                    self.folder(path, mode=member.mode)
                elif member.issym():
                    self.link(path, member.linkname)
                elif member.isreg() or member.islnk():
                    file = tar.extractfile(member)
                    assert file is not None
                    self.add(path, file.read(), mode=member.mode)
        for name in MERGED:
            if any(path.startswith(f"usr/{name}/") for path in self._members):
                self.link(name, f"usr/{name}")

    def content(self, path: str) -> bytes:
        """Return the bytes of the file at `path`; raises KeyError if there is none."""
        content = self._members[_relative(path)][1]
        return content.read_bytes() if isinstance(content, Path) else content

    def write(self, out: IO[bytes]) -> None:
        """Write the layer as an uncompressed tar, sorted, with every parent folder."""
        members = dict(self._members)
        for path in self._members:
            for parent in PurePosixPath(path).parents:
                if str(parent) != "." and str(parent) not in members:
                    info = tarfile.TarInfo(str(parent))
                    info.type, info.mode = tarfile.DIRTYPE, EXECUTABLE
                    members[str(parent)] = (info, b"")
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(members):
                info, content = members[path]
                if isinstance(content, Path):
                    with content.open("rb") as file:
                        tar.addfile(info, file)
                else:
                    tar.addfile(info, io.BytesIO(content))

    def _put(self, info: tarfile.TarInfo, mode: int, content: bytes | Path = b"") -> None:
        info.mode = mode
        self._members[info.name] = (info, content)


def minimal_root() -> Layer:
    """Return the little every image has: root's name and a /tmp."""
    layer = Layer()
    layer.folder("/tmp", mode=0o1777)
    layer.add("/etc/passwd", PASSWD)
    layer.add("/etc/group", GROUP)
    return layer


def write_image(path: Path, ref: str, layer: Layer, config: ImageConfig) -> None:
    """Write a docker archive named `ref` to `path`, for linux/amd64."""
    with tempfile.TemporaryFile(dir=path.parent) as data:
        layer.write(data)
        data.seek(0)
        diff_id = hashlib.file_digest(data, "sha256").hexdigest()
        write_archive(path, ref, _config(config, diff_id), {diff_id: data})


def write_archive(path: Path, ref: str, description: bytes, layers: Mapping[str, IO[bytes]]) -> None:
    """Write a docker archive named `ref` from an image's config and its layers by the digests in it."""
    config_name = f"{hashlib.sha256(description).hexdigest()}.json"
    names = [f"{diff_id.removeprefix('sha256:')}/layer.tar" for diff_id in diff_ids(description)]
    manifest = _json([{"Config": config_name, "RepoTags": [ref], "Layers": names}])
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        _append(tar, config_name, io.BytesIO(description), len(description))
        for digest, data in layers.items():
            size = data.seek(0, io.SEEK_END)
            data.seek(0)
            _append(tar, f"{digest}/layer.tar", data, size)
        _append(tar, "manifest.json", io.BytesIO(manifest), len(manifest))


def take_programs(image: Path, paths: Iterable[str], folder: Path) -> list[str]:
    """Copy those of the absolute `paths` that a docker archive holds into `folder`; return their names."""
    wanted = {_relative(path): PurePosixPath(path).name for path in paths}
    found = set()
    with tarfile.open(image) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"]:
            data = tar.extractfile(name)
            assert data is not None
            with tarfile.open(fileobj=data, mode="r:") as layer:
                for member in layer:
                    program = wanted.get(_relative(member.name.removeprefix("./")))
                    if program is not None and member.isreg():
                        content = layer.extractfile(member)
                        assert content is not None
                        with (folder / program).open("wb") as file:
                            shutil.copyfileobj(content, file)
                        (folder / program).chmod(EXECUTABLE)
                        found.add(program)
    return sorted(found)


def diff_ids(description: bytes) -> list[str]:
    """Return the digests of an image's layers, the lowest first; a layer may be there twice."""
    found: list[str] = json.loads(description)["rootfs"]["diff_ids"]
    return found


def _config(config: ImageConfig, diff_id: str) -> bytes:
    runtime: dict[str, object] = {"Env": [f"PATH={PATH}"], "WorkingDir": "/"}
    if config.entrypoint:
        runtime["Entrypoint"] = list(config.entrypoint)
    if config.command:
        runtime["Cmd"] = list(config.command)
    return _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": runtime,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        }
    )


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _append(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, PLAIN
    tar.addfile(info, content)


def _relative(path: str) -> str:
    return path.strip("/")


def _merged(path: PurePosixPath) -> str:
    """Return where Debian's merged /usr has `path`."""
    if len(path.parts) > 1 and path.parts[0] in MERGED:
        return str("usr" / path)
    return str(path)
