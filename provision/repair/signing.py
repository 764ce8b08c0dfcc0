"""Kubelets' certificates: a request of one node, signed on another, and never trusted on the way.

Root on a worker could otherwise ask for a certificate of somebody else, or send a script of its own to the
control plane. So what a node says is parsed, has to be exactly what was asked for, and is written anew.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.errors import LabError

# A request or a certificate has less than 2,000 characters.
LONGEST = 16384
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def checked_request(node: str, text: str) -> x509.CertificateSigningRequest:
    """Return a node's request for its kubelet's certificate; raises LabError for any other."""
    try:
        request = x509.load_pem_x509_csr(_short(text))
        _check_key(request.public_key())
        if request.subject != _subject(node):
            raise ValueError("it is for somebody else")
        if not request.is_signature_valid:
            raise ValueError("its signature is wrong")
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refusal(node, f"the certificate request of {node} is not what was asked for", error) from error
    return request


def checked_certificate(
    node: str,
    signer: str,
    request: x509.CertificateSigningRequest,
    text: str,
    usage: x509.ObjectIdentifier = CLIENT,
) -> str:
    """Return the certificate that `signer` made of a node's request, in PEM; raises LabError as above.

    `usage` is what it has to be for, and for nothing else.
    """
    try:
        made = x509.load_pem_x509_certificate(_short(text))
        _check_key(made.public_key())
        if made.subject != _subject(node) or made.public_key() != request.public_key():
            raise ValueError("it is for somebody else")
        said = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if list(said) != [usage]:
            raise ValueError(f"it is not for a {'client' if usage == CLIENT else 'server'}")
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise _refusal(signer, f"its certificate for {node} is not what was asked for", error) from error
    return pem(made)


def pem(signed: x509.CertificateSigningRequest | x509.Certificate) -> str:
    """Return a request or a certificate as text, written anew."""
    return signed.public_bytes(Encoding.PEM).decode()


def _subject(node: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
        ]
    )


def _short(text: str) -> bytes:
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    return text.encode()


def _check_key(key: object) -> None:
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("its key is of another kind")


def _refusal(node: str, message: str, why: Exception) -> LabError:
    return LabError(
        f"{node}: {message}: {why}",
        hint=f"if nobody changed that node: kubelab ssh {node} -- sudo journalctl -u kubelet -e",
    )
