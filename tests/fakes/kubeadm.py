"""What kubeadm does and leaves on a node when all goes well."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

KUBEADM = """
kube=etc/kubernetes
joined() {{ mkdir -p $kube; echo kubelet-client-current.pem > $kube/kubelet.conf; touch {api}/nodes/{name}; }}
case "$1 $2" in
"init phase") touch {api}/addons;;
init*) mkdir -p $kube/pki; cp ca.crt $kube/pki; cp admin.conf $kube; joined; touch {api}/ready {api}/addons;;
join*)
    if [ -e {api}/nodes/{name} ]; then echo "a Node {name} already exists in the cluster"; exit 1; fi
    joined;;
reset*) rm -rf $kube/pki $kube/*.conf;;
esac
"""


def certificate() -> bytes:
    """Return a fresh certificate authority's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
