"""The administrator's credentials, from the file in which kubeadm leaves them on a control plane.

Whoever is root on the node can write what they like into that file, and a kubeconfig may name programs
and files of the host. So nothing of it is taken but two certificates and a key, and those are parsed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from provision.errors import LabError
from provision.node.runner import Runner

ADMIN_CONF = "/etc/kubernetes/admin.conf"
# Characters. Real ones have 6,000; reading a private key takes longer than its length grows.
LONGEST_FILE, LONGEST_FIELD = 65536, 16384


@dataclass(frozen=True)
class Credentials:
    """Who the API server is, and who the administrator is: all in PEM, as written here."""

    authority: bytes
    certificate: bytes
    key: bytes


def read_credentials(runner: Runner) -> Credentials:
    """Return the credentials in a control plane's file; raises LabError, and RemoteError of the node."""
    content = runner.get(ADMIN_CONF)
    try:
        return parse_credentials(content)
    except ValueError as error:
        raise LabError(
            f"{runner.node}: {ADMIN_CONF} is not as kubeadm writes it: {error}",
            hint="if nobody changed it: kubelab destroy, then kubelab up",
        ) from error


def parse_credentials(content: bytes) -> Credentials:
    """Return what is in the three fields of a kubeconfig, each written anew; raises ValueError."""
    if len(content) > LONGEST_FILE:
        raise ValueError(f"it is longer than {LONGEST_FILE} bytes")
    text = content.decode(errors="replace")
    found = Credentials(
        authority=_field(text, "certificate-authority-data", _certificates),
        certificate=_field(text, "client-certificate-data", _certificates),
        key=_field(text, "client-key-data", _key),
    )
    owner = x509.load_pem_x509_certificates(found.certificate)[0]
    if load_pem_private_key(found.key, None).public_key() != owner.public_key():
        raise ValueError("client-key-data is not the key of client-certificate-data")
    return found


def _field(text: str, name: str, written_anew: Callable[[bytes], bytes]) -> bytes:
    values = re.findall(rf"^[ -]*{name}: *([A-Za-z0-9+/]+=*) *$", text, re.MULTILINE)
    if len(values) != 1:
        raise ValueError(f"it has {name} {len(values)} times, instead of once")
    if len(values[0]) > LONGEST_FIELD:
        raise ValueError(f"{name} is longer than {LONGEST_FIELD} characters")
    try:
        return written_anew(base64.b64decode(values[0], validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error


def _certificates(pem: bytes) -> bytes:
    return b"".join(found.public_bytes(Encoding.PEM) for found in x509.load_pem_x509_certificates(pem))


def _key(pem: bytes) -> bytes:
    key = load_pem_private_key(pem, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
