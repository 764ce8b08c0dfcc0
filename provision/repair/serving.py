"""Kubelets' serving certificates, signed by the cluster's authority where an add-on verifies them.

A kubelet takes the certificate and key that it finds, and makes a self-signed one only without. So nothing of
its configuration changes, nobody approves requests of nodes, and names and addresses are those of lab.yaml.
They are good for as long as the authority itself: a kubelet does not renew what it did not ask for.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from provision.cluster.kubeconfig import read_kubeconfig
from provision.config.inventory import Node
from provision.errors import LabError
from provision.lab.addons import wanted
from provision.lab.context import Context
from provision.node.certificates import KUBELET_PKI, SERVING_CRT
from provision.node.files import PRIVATE, File, unpack_script
from provision.repair.authority import request_script, sign, sign_script
from provision.repair.services import run_on
from provision.repair.signing import checked_certificate, checked_request

# kubeadm's authority has ten years.
DAYS = 3650
SERVING_KEY = f"{KUBELET_PKI}/kubelet.key"
NEW_KEY = f"{KUBELET_PKI}/kubelab-serving.key"
NEW_CERTIFICATE = f"{KUBELET_PKI}/kubelab-serving.crt"
READ = f"if [ -f {SERVING_CRT} ]; then cat {SERVING_CRT}; fi\n"
EXTENSIONS = """
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:{node.name},IP:{node.ip}
"""
# Interrupted in between, the kubelet finds no pair, and makes one of its own.
INSTALL = f"""
rm -f {SERVING_CRT}
mv -f {NEW_KEY} {SERVING_KEY}
mv -f {NEW_CERTIFICATE} {SERVING_CRT}
"""


def are_wanted(ctx: Context) -> bool:
    """Return whether an add-on of the lab verifies the kubelets."""
    return any(addon.signed_kubelets for addon in wanted(ctx))


def authority_of(ctx: Context) -> x509.Certificate:
    """Return the cluster's certificate authority, as the lab's kubeconfig has it; raises LabError."""
    document = read_kubeconfig(ctx.workspace.kubeconfig)
    try:
        data = document["clusters"][0]["cluster"]["certificate-authority-data"]
        return x509.load_pem_x509_certificate(base64.b64decode(data))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise LabError(
            f"{ctx.workspace.kubeconfig} has no readable certificate authority: {error}", hint="kubelab up"
        ) from None


def is_good(text: str, node: Node, authority: x509.Certificate, soon: dt.datetime) -> bool:
    """Return whether a serving certificate is of the authority, for that node, and good until `soon`."""
    try:
        found = x509.load_pem_x509_certificate(text.encode())
        found.verify_directly_issued_by(authority)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return node.ip in addresses and found.not_valid_after_utc > soon


def lacking(ctx: Context, soon: dt.datetime) -> list[str]:
    """Return the nodes whose kubelet has no such certificate; all of them are asked. Raises RemoteError."""
    authority = authority_of(ctx)
    scripts = {node.name: READ for node in ctx.inventory.nodes}
    said = run_on(ctx, scripts, "read the kubelet's serving certificate", ctx.scaled(20))
    return [node.name for node in ctx.inventory.nodes if not is_good(said[node.name], node, authority, soon)]


def signed_scripts(ctx: Context, names: Iterable[str]) -> dict[str, str]:
    """Return node -> the script that gives its kubelet a certificate, which is signed now.

    The kubelet has to be started again afterwards.
    """
    nodes = {name: ctx.inventory.node(name) for name in names}
    if not nodes:
        return {}
    asking = {name: request_script(name, NEW_KEY) for name in nodes}
    said = run_on(ctx, asking, "ask for a serving certificate", ctx.scaled(30))
    requests = {name: checked_request(name, text) for name, text in said.items()}
    extensions = {name: EXTENSIONS.format(node=node) for name, node in nodes.items()}
    made = sign(ctx, sign_script(requests, extensions, DAYS))
    return {name: _install_script(ctx, name, request, made) for name, request in requests.items()}


def _install_script(
    ctx: Context, name: str, request: x509.CertificateSigningRequest, made: Mapping[str, str]
) -> str:
    signer = ctx.inventory.first.name
    text = checked_certificate(name, signer, request, made.get(name, ""), ExtendedKeyUsageOID.SERVER_AUTH)
    return f"umask 077\n{unpack_script({NEW_CERTIFICATE: File(text, PRIVATE)})}{INSTALL}"
