"""`kubectl top`, and what the HorizontalPodAutoscaler goes by: every hop verified, none of them insecure."""

from __future__ import annotations

import base64
import binascii
import copy
import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.addons.base import Plain, Site
from provision.artifacts.source.programs import Programs, shipped
from provision.cluster.health import KUBE_SYSTEM, Object, condition
from provision.cluster.kubectl import Kubectl

MODULE = "sigs.k8s.io/metrics-server"
API = "v1beta1.metrics.k8s.io"
SECRET = "metrics-server-tls"
HOST = f"metrics-server.{KUBE_SYSTEM}.svc"
CERTIFICATE, KEY = "tls.crt", "tls.key"
# As long as kubeadm's authorities; a clock may have been set back since.
YEARS, BACKDATED = dt.timedelta(days=3650), dt.timedelta(days=1)
MARGIN = dt.timedelta(days=30)
# How often each kubelet is asked, in seconds: less often where that costs much.
OFTEN, SELDOM = 15, 60


class MetricsServer(Plain):
    """metrics-server, which verifies the kubelets, and which the API server verifies."""

    name = "metrics-server"
    title = "kubectl top, and what autoscalers go by"
    signed_kubelets = True

    def programs(self) -> Programs:
        """Return the server."""
        image = "registry.k8s.io/metrics-server/metrics-server"
        return shipped("metrics-server", MODULE, {"metrics-server": image})

    def documents(self, site: Site) -> list[Object]:
        """Return the objects; the certificate by which the API server knows it is put in by `prepare`."""
        emulated = site.acceleration.factor > 1
        return self.render(site, resolution=SELDOM if emulated else OFTEN, secret=SECRET, host=HOST)

    def prepare(self, kubectl: Kubectl, documents: Sequence[Object]) -> list[Object]:
        """Return the objects with the certificate that the cluster has, or with a new one."""
        data = _kept(kubectl) or new_pair()
        prepared = copy.deepcopy(list(documents))
        for item in prepared:
            if item["kind"] == "Secret":
                item["data"] = data
            elif item["kind"] == "APIService":
                # Signed by itself, it is its own authority.
                item["spec"]["caBundle"] = data[CERTIFICATE]
        return prepared

    def missing(self, kubectl: Kubectl) -> list[str]:
        """Return what its API lacks."""
        field = f"--field-selector=metadata.name={API}"
        found = kubectl.items("apiservices.apiregistration.k8s.io", field)
        available = any(condition(item, "Available") == "True" for item in found)
        return [] if available else [f"the API {API} is not available"]


def new_pair() -> dict[str, str]:
    """Return a new key and its certificate, as a Secret has them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATED).not_valid_after(now + YEARS)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = builder.add_extension(usage, critical=False).sign(key, SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {CERTIFICATE: _encoded(certificate.public_bytes(Encoding.PEM)), KEY: _encoded(secret)}


def is_good(data: object) -> bool:
    """Return whether what a Secret has is a pair for the server, and for some time yet."""
    if not isinstance(data, dict) or not data.get(KEY):
        return False
    try:
        found = x509.load_pem_x509_certificate(base64.b64decode(data[CERTIFICATE]))
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (KeyError, TypeError, ValueError, binascii.Error, x509.ExtensionNotFound):
        return False
    ends = found.not_valid_after_utc
    return HOST in names.get_values_for_type(x509.DNSName) and ends > dt.datetime.now(dt.UTC) + MARGIN


def _kept(kubectl: Kubectl) -> dict[str, str] | None:
    """Return the pair that the cluster has; None where it has none that is good."""
    field = f"--field-selector=metadata.name={SECRET}"
    for item in kubectl.items("secrets", f"--namespace={KUBE_SYSTEM}", field):
        data = item.get("data") or {}
        if is_good(data):
            return {name: str(data[name]) for name in (CERTIFICATE, KEY)}
    return None


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
