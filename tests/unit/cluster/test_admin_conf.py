from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from provision.cluster.admin_conf import LONGEST_FIELD, LONGEST_FILE, parse_credentials
from tests.fakes.node.credentials import KEY_DATA, certificate, kubeconfig


def data(pem: str | bytes) -> str:
    return base64.b64encode(pem if isinstance(pem, bytes) else pem.encode()).decode()


def test_what_kubeadm_writes_is_taken_and_written_anew() -> None:
    found = parse_credentials(kubeconfig(10).encode())
    assert x509.load_pem_x509_certificate(found.authority)
    key = load_pem_private_key(found.key, None)
    assert key.public_key() == x509.load_pem_x509_certificate(found.certificate).public_key()


def test_text_around_a_certificate_is_left_behind() -> None:
    own = data(certificate(10))
    text = kubeconfig(10).replace(own, data(f"$(reboot)\n{certificate(10)}more\n"), 1)
    found = parse_credentials(text.encode())
    assert b"reboot" not in found.certificate + found.authority
    assert found.certificate.startswith(b"-----BEGIN CERTIFICATE-----\n")


def another_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return data(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("client-key-data:", "client-key:", "client-key-data 0 times"),
        ("client-certificate-data:", "client-certificate:", "client-certificate-data 0 times"),
        ("certificate-authority-data:", "certificate-authority:", "certificate-authority-data 0 times"),
        ("users:", f"again:\n  client-key-data: {KEY_DATA}\nusers:", "client-key-data 2 times"),
        (KEY_DATA, "c2VjcmV0", "client-key-data cannot be read"),
        (KEY_DATA, "c2Vjcm", "client-key-data cannot be read"),
        (KEY_DATA, data(certificate(1)), "client-key-data cannot be read"),
        (KEY_DATA, another_key(), "is not the key of client-certificate-data"),
        (KEY_DATA, "A" * (LONGEST_FIELD + 4), "client-key-data is longer than"),
        ("kind: Config", "#" * LONGEST_FILE, "longer than"),
    ],
)
def test_anything_else_is_refused(old: str, new: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_credentials(kubeconfig(10).replace(old, new).encode())


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"\n" * LONGEST_FILE, b"- " * (LONGEST_FILE // 2)])
def test_a_file_that_is_no_kubeconfig_is_refused_at_once(content: bytes) -> None:
    with pytest.raises(ValueError, match="certificate-authority-data 0 times"):
        parse_credentials(content)
