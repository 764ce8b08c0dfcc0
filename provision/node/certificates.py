"""The certificates on a node: where they are, how they are read, and when they expire."""

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
# A certificate that expires within this time is renewed too, so that a restored lab can be used for a while.
MARGIN = dt.timedelta(days=1)

# Prints "-- FILE" before each file. Only the certificates, since some of the files also hold private keys.
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
    """A file on a node, and when the first certificate in it expires."""

    node: str
    file: str
    end: dt.datetime

    def days(self, now: dt.datetime) -> int:
        """Return how many whole days are left; negative when it has expired."""
        return (self.end - now).days


def expiries(node: Node, runner: Runner, deadline: float) -> list[Expiry]:
    """Return the certificates of a control plane, sorted by expiry.

    `deadline` is in seconds. Raises RemoteError, and LabError for a file that cannot be parsed.
    """
    text = runner.run(CERTIFICATES, deadline=deadline, what="read the certificates").stdout
    try:
        ends = certificates(text.splitlines())
    except ValueError as error:
        raise LabError(f"{node.name}: {error}") from error
    return sorted((Expiry(node.name, *each) for each in ends.items()), key=lambda each: each.end)


def certificate_end(pem: str) -> dt.datetime:
    """Return the earliest expiry of the certificates in `pem`."""
    found = x509.load_pem_x509_certificates(pem.encode())
    return min(certificate.not_valid_after_utc for certificate in found)


def certificates(lines: Sequence[str]) -> dict[str, dt.datetime]:
    """Return file -> earliest expiry, from the output of CERTIFICATES; raises ValueError naming the file."""
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
        # A kubeconfig without an embedded certificate has no entry.
        for path, text in texts.items():
            found[path] = certificate_end(text)
    except ValueError as error:
        raise ValueError(f"{path} has no readable certificate: {error}") from error
    return found
