"""Signs requests of nodes with the cluster's certificate authority, whose key stays on the control plane."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from cryptography import x509

from provision.lab.context import Context
from provision.node.files import PRIVATE, File, unpack_script
from provision.node.sections import sections
from provision.repair.services import run_on
from provision.repair.signing import pem

PKI = "/etc/kubernetes/pki"
CLIENT_DAYS = 365
# The folder of the requests, on the node that signs them.
SIGNING = "/run/kubelab/signing"
CLIENT = """
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth
"""
SIGN = f"""
echo "== {{node}}"
openssl x509 -req -days {{days}} -set_serial 0x{{serial}} -CA {PKI}/ca.crt -CAkey {PKI}/ca.key \\
    -extfile {SIGNING}/{{node}}.extensions -in {SIGNING}/{{node}}.csr
"""


def request_script(node: str, key: str) -> str:
    """Return a script that prints a kubelet's request for a certificate; its key stays in the file `key`."""
    return f"""
umask 077
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} \\
    -subj '/O=system:nodes/CN=system:node:{node}'
"""


def sign_script(
    requests: Mapping[str, x509.CertificateSigningRequest],
    extensions: Mapping[str, str] | None = None,
    days: int = CLIENT_DAYS,
) -> str:
    """Return a script for a control plane that prints, for each request, `== NODE` and the certificate.

    `extensions` maps each node to what its certificate is for: a client, unless given. What the request asks
    for counts for nothing.
    """
    files = {}
    for name, request in requests.items():
        files[f"{SIGNING}/{name}.csr"] = File(pem(request), PRIVATE)
        files[f"{SIGNING}/{name}.extensions"] = File((extensions or {}).get(name, CLIENT), PRIVATE)
    # A serial number is positive and has 20 bytes at most.
    serials = {name: f"1{secrets.token_hex(15)}" for name in requests}
    signing = "".join(SIGN.format(node=name, serial=serial, days=days) for name, serial in serials.items())
    return f"umask 077\ntrap 'rm -rf {SIGNING}' EXIT\n{unpack_script(files)}{signing}"


def sign(ctx: Context, script: str) -> dict[str, str]:
    """Run a `sign_script` on the first control plane; return node -> what it printed for it."""
    first = ctx.inventory.first.name
    said = run_on(ctx, {first: script}, "sign the kubelets' certificates", ctx.scaled(20))[first]
    return {name: "\n".join(lines) for name, lines in sections(said).items()}
