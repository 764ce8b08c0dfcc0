"""When the certificates that a control plane lives by end."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

from provision.errors import LabError
from provision.inventory import Node
from provision.repair.state import certificate_end, sections
from provision.repair.survey import CLIENT_PEM
from provision.runner import Runner

# Certificates only: what stands beside them in the same files is a private key.
_READ = f"""
set --
for file in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /etc/kubernetes/*.conf {CLIENT_PEM}; do
    if [ -f "$file" ]; then set -- "$@" "$file"; fi
done
if [ $# -gt 0 ]; then
    awk 'FNR == 1 {{print "== " FILENAME}} /BEGIN CERTIFICATE/,/END CERTIFICATE/ {{print}}
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
    text = runner.run(_READ, deadline=deadline, what="read the certificates").stdout
    # A kubeconfig may name a file instead of holding a certificate.
    found = [_expiry(node, file, lines) for file, lines in sections(text).items() if lines]
    return sorted(found, key=lambda each: each.end)


def _expiry(node: Node, file: str, lines: list[str]) -> Expiry:
    try:
        texts = [base64.b64decode(line[5:]).decode() if line.startswith("data ") else line for line in lines]
        return Expiry(node.name, file, certificate_end("\n".join(texts)))
    except ValueError as error:
        raise LabError(f"{node.name}: {file} holds no certificate that can be read: {error}") from error
