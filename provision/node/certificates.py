"""The certificates on a node: where they lie, how they are read, and when they end."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from provision.config.inventory import Node
from provision.errors import LabError
from provision.node.runner import Runner

KUBELET_PKI = "/var/lib/kubelet/pki"
CLIENT_PEM = f"{KUBELET_PKI}/kubelet-client-current.pem"
SERVING_CRT = f"{KUBELET_PKI}/kubelet.crt"
# A certificate that ends within it is renewed too: who restores a lab wants to use it.
MARGIN = dt.timedelta(days=1)

# A line "-- FILE" before each. Certificates only: what stands beside them in the same files is a private key.
CERTIFICATES = f"""
set --
for file in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /etc/kubernetes/*.conf \\
    {CLIENT_PEM} {SERVING_CRT}; do
    if [ -f "$file" ]; then set -- "$@" "$file"; fi
done
if [ $# -gt 0 ]; then
    awk 'FNR == 1 {{print "-- " FILENAME}} /BEGIN CERTIFICATE/,/END CERTIFICATE/ {{print}}
        /client-certificate-data:/ {{print "data " $2}}' "$@"
fi
"""


@dataclass(frozen=True)
class Expiry:
    """A file on a node, and when the first certificate in it ends."""

    node: str
    file: str
    end: dt.datetime

    def days(self, now: dt.datetime) -> int:
        """Return how many whole days are left; negative when it has ended."""
        return (self.end - now).days


def expiries(node: Node, runner: Runner, deadline: float) -> list[Expiry]:
    """Return the certificates of a control plane, the one that ends first first.

    `deadline` is seconds. Raises RemoteError, and LabError for a file that cannot be understood.
    """
    text = runner.run(CERTIFICATES, deadline=deadline, what="read the certificates").stdout
    try:
        ends = certificates(text.splitlines())
    except ValueError as error:
        raise LabError(f"{node.name}: {error}") from error
    return sorted((Expiry(node.name, *each) for each in ends.items()), key=lambda each: each.end)


def certificate_end(pem: str) -> dt.datetime:
    """Return when the first of the certificates in `pem` to end does so."""
    found = x509.load_pem_x509_certificates(pem.encode())
    return min(certificate.not_valid_after_utc for certificate in found)


def certificates(lines: Sequence[str]) -> dict[str, dt.datetime]:
    """Return when the certificates in a survey end, by file; raises ValueError, which names the file."""
    texts: dict[str, str] = {}
    path = ""
    try:
        for line in lines:
            if line.startswith("-- "):
                path = line[3:]
            elif line.startswith("data "):
                texts[path] = texts.get(path, "") + base64.b64decode(line[5:]).decode()
            else:
                texts[path] = texts.get(path, "") + line + "\n"
        found = {}
        # A kubeconfig may name a file instead of holding a certificate.
        for path, text in texts.items():
            found[path] = certificate_end(text)
    except ValueError as error:
        raise ValueError(f"{path} holds no certificate that can be read: {error}") from error
    return found
