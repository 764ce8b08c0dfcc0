"""The lab's own SSH key."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from provision.host.files import PRIVATE, PUBLIC, write_atomic


def make_key(path: Path, comment: str) -> None:
    """Write a new Ed25519 key pair to `path` and `path`.pub, unless the private key exists."""
    if path.exists():
        return
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    write_atomic(path.with_name(f"{path.name}.pub"), f"{public} {comment}\n", mode=PUBLIC)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write_atomic(path, private, mode=PRIVATE)
