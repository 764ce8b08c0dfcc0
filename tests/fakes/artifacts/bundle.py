"""A small bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.artifacts.bundle import Bundle, entry_of, write_index


def make_bundle(root: Path, images: Mapping[str, str] | None = None) -> Bundle:
    """Write a small bundle of Kubernetes 1.36.3; `images` maps an image's name to its ref."""
    refs = {"pause": "registry.k8s.io/pause:3.10.2"} if images is None else images
    entries = []
    for name, ref in refs.items():
        file = root / "images" / f"{name}.tar"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        entries.append(entry_of(root, f"images/{name}.tar", "image", ref=ref, version="1"))
    root.mkdir(parents=True, exist_ok=True)
    write_index(root, kubernetes="1.36.3", source="test", recipe="0" * 64, entries=entries)
    return Bundle.open(root)
