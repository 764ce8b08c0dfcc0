"""Certificates and tokens of nodes, which end so many days or seconds after NOW, the present of the tests."""

from __future__ import annotations

import base64
import datetime as dt
import json

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = 1_800_000_000.0
PKI = "/etc/kubernetes/pki"
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
SERVING = "/var/lib/kubelet/pki/kubelet.crt"
_KEY = ec.generate_private_key(ec.SECP256R1())


def at(days: float) -> dt.datetime:
    """Return the time `days` after NOW."""
    return dt.datetime.fromtimestamp(NOW, dt.UTC) + dt.timedelta(days=days)


def certificate(days: float) -> str:
    """Return a certificate that ends `days` after NOW."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_KEY.public_key())
    builder = builder.serial_number(1).not_valid_before(at(-4000)).not_valid_after(at(days))
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def node_name(node: str) -> x509.Name:
    """Return as whom the kubelet of a node speaks to the API server."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
        ]
    )


def request(name: x509.Name, key: ec.EllipticCurvePrivateKey = _KEY) -> str:
    """Return a request for a certificate, as openssl prints it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def signed(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey = _KEY,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> str:
    """Return the certificate that a control plane makes of a request, as openssl prints it."""
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(at(-1)).not_valid_after(at(365))
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def token(uid: str, expires: float, *, namespace: str = "kube-system", pod: str = "pod") -> str:
    """Return the middle part of a service account's token."""
    claims = {
        "exp": NOW + expires,
        "kubernetes.io": {"namespace": namespace, "pod": {"name": pod, "uid": uid}},
    }
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def kubeconfig(days: float) -> str:
    """Return an admin kubeconfig as kubeadm writes it, whose certificate ends `days` after NOW."""
    user = {"client-certificate-data": _data(certificate(days)), "client-key-data": KEY_DATA}
    cluster = {"certificate-authority-data": _data(certificate(3000)), "server": "https://192.168.60.11:6443"}
    name = "kubernetes-admin@kubernetes"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "users": [{"name": "kubernetes-admin", "user": user}],
            "contexts": [{"name": name, "context": {"cluster": "kubernetes", "user": "kubernetes-admin"}}],
            "current-context": name,
        }
    )


def _data(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


# The private key of the kubeconfigs here, as it is written in them.
KEY_DATA = _data(_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode())
