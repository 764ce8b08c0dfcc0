from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.errors import LabError
from provision.repair.signing import LONGEST, checked_certificate, checked_request, pem
from tests.fakes.node.credentials import certificate, node_name, request, signed

NODE = "lab-w1"
GOOD = request(node_name(NODE))


def name(**parts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(getattr(NameOID, key), value) for key, value in parts.items()])


def of_rsa() -> str:
    key = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateSigningRequestBuilder().subject_name(node_name(NODE))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def changed() -> str:
    """Return a request whose signature is of another one."""
    der = bytearray(x509.load_pem_x509_csr(GOOD.encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def test_a_request_is_written_anew() -> None:
    asked = checked_request(NODE, f"Using configuration from x\n{GOOD}REQUEST\nreboot\n")
    assert pem(asked) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "REQUEST\nreboot",
        "\udcff",
        request(name(ORGANIZATION_NAME="system:masters", COMMON_NAME="kubernetes-admin")),
        request(name(ORGANIZATION_NAME="system:nodes", COMMON_NAME="system:node:lab-cp1")),
        request(name(COMMON_NAME="system:node:lab-w1")),
        request(
            x509.Name([*node_name(NODE), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters")])
        ),
        of_rsa(),
        changed(),
        certificate(1),
        "#" * LONGEST + GOOD,
    ],
)
def test_any_other_request_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="lab-w1: the certificate request of lab-w1") as caught:
        checked_request(NODE, text)
    assert "kubelab ssh lab-w1" in caught.value.hint


def test_the_certificate_of_a_request_is_written_anew() -> None:
    asked = checked_request(NODE, GOOD)
    made = signed(node_name(NODE))
    assert checked_certificate(NODE, "lab-cp1", asked, f"Signature ok\n{made}CERTIFICATE\nreboot\n") == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CERTIFICATE\nreboot",
        signed(node_name("lab-w2")),
        signed(node_name(NODE), ec.generate_private_key(ec.SECP256R1())),
        signed(node_name(NODE), usage=ExtendedKeyUsageOID.SERVER_AUTH),
        certificate(1),
    ],
)
def test_any_other_certificate_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="lab-cp1: its certificate for lab-w1"):
        checked_certificate(NODE, "lab-cp1", checked_request(NODE, GOOD), text)
