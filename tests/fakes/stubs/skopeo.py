"""A `skopeo` whose registries are the file beside it.

`images` is reference -> text, `fail` part of a reference -> words. It speaks as the real one does: a time, a
level and a message on standard error. Every call's arguments go to `calls`, a line each.
"""

from __future__ import annotations

import marshal
import os
import sys

HERE = os.path.dirname(sys.argv[0])
SCHEME = "docker://"


def sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def fail(words: str) -> None:
    quoted = words.replace('"', '\\"')
    print(f'time="2026-11-21T10:00:00Z" level=fatal msg="{quoted}"', file=sys.stderr)
    sys.exit(1)


def layer(text: str) -> bytes:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("program")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def archive(path: str, text: str, ref: str) -> None:
    """Write what skopeo writes: the same image never in the same bytes of another program."""
    import io
    import json
    import tarfile

    content = layer(text)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(content)}"]}}).encode()
    names = {"config.json": config, "layer.tar": content, "repositories": b"{}"}
    manifest = [{"Config": "config.json", "RepoTags": [ref], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for name, data in (*names.items(), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def main() -> None:
    with open(os.path.join(HERE, "registry"), "rb") as file:
        state = marshal.load(file)
    with open(os.path.join(HERE, "calls"), "a") as file:
        file.write(f"{sys.argv[1:]!r}\n")
    source = next(word for word in sys.argv if word.startswith(SCHEME)).removeprefix(SCHEME)
    name, _, digest = source.partition("@")
    found = {
        ref: text for ref, text in state["images"].items() if not digest or sha256(text.encode()) in digest
    }
    ref = next((ref for ref in found if ref == name or (digest and ref.startswith(f"{name}:"))), None)
    for part, words in state["fail"].items():
        if part in source:
            fail(words)
    if ref is None:
        fail(f"reading manifest {name}: manifest unknown: manifest unknown")
        return
    if "inspect" in sys.argv:
        print(f"sha256:{sha256(found[ref].encode())}")
    else:
        place, _, target = sys.argv[-1].removeprefix("docker-archive:").partition(":")
        archive(place, found[ref], target)


if __name__ == "__main__":
    main()
