"""Renews expired certificates: of the control plane, and each kubelet's client and serving certificate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from provision.errors import LabError
from provision.kubeadm.unit import CONFIG
from provision.lab.context import Context
from provision.node.certificates import CLIENT_PEM, KUBELET_PKI, SERVING_CRT
from provision.node.files import PRIVATE, File, unpack_script
from provision.repair.authority import PKI, request_script, sign, sign_script
from provision.repair.services import RESTART_CONTROL_PLANE, RESTART_KUBELET, START_SECONDS, run_on
from provision.repair.serving import are_wanted, signed_scripts
from provision.repair.signing import checked_certificate, checked_request
from provision.repair.survey import NodeState, Survey

AUTHORITIES = (f"{PKI}/ca.crt", f"{PKI}/front-proxy-ca.crt", f"{PKI}/etcd/ca.crt")
# It only contains the path of the file with the kubelet's certificate.
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
NEW_KEY = f"{KUBELET_PKI}/kubelab-new.key"
NEW_CERTIFICATE = f"{KUBELET_PKI}/kubelab-new.crt"

RENEW = f"kubeadm certs renew all --config={CONFIG} >&2\n"
# As the kubelet's own rotation does it: certificate and key in one file, and a link to it.
INSTALL = f"""
umask 077
file={KUBELET_PKI}/kubelet-client-$(date +%Y-%m-%d-%H-%M-%S).pem
cat {NEW_CERTIFICATE} {NEW_KEY} > "$file"
rm -f {NEW_CERTIFICATE} {NEW_KEY}
ln -sfn "$file" {CLIENT_PEM}.new
mv -Tf {CLIENT_PEM}.new {CLIENT_PEM}
"""
# The kubelet creates a new serving certificate when there is none.
FORGET_SERVING = f"rm -f {SERVING_CRT} {KUBELET_PKI}/kubelet.key\n"


@dataclass(frozen=True)
class Due:
    """The certificates to renew on one node."""

    control_plane: bool
    client: bool
    serving: bool

    def __bool__(self) -> bool:
        return self.control_plane or self.client or self.serving


def due(certificates: Mapping[str, dt.datetime], soon: dt.datetime) -> Due:
    """Return which of a node's certificates expire before `soon`; a missing certificate is not due."""
    ended = {path for path, end in certificates.items() if end < soon}
    leaves = ended - {*AUTHORITIES, KUBELET_CONF, CLIENT_PEM, SERVING_CRT}
    return Due(control_plane=bool(leaves), client=CLIENT_PEM in ended, serving=SERVING_CRT in ended)


class CertificateStep:
    """Every certificate of the kubeadm cluster is valid for some time.

    Raises LabError when a certificate authority itself has expired: then nothing can be renewed.
    """

    id = "certificates"
    title = "Certificates"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not any(self._due(ctx).values())

    def apply(self, ctx: Context) -> None:
        wanted = {name: found for name, found in self._due(ctx).items() if found}
        _check_authorities(self.survey.states(ctx), self.survey.soon)
        ctx.report.progress(f"renewing certificates of {', '.join(wanted)}", self.id)
        requests = self._renew(ctx, wanted)
        signed = _sign(ctx, requests)
        due_serving = [name for name, found in wanted.items() if found.serving]
        serving = signed_scripts(ctx, due_serving) if are_wanted(ctx) else {}
        scripts = {}
        for name, found in wanted.items():
            script = install_script(signed[name]) if found.client else ""
            script += serving.get(name, FORGET_SERVING) if found.serving else ""
            script += RESTART_CONTROL_PLANE if found.control_plane else ""
            # The kubelet reads certificates only at its start, which also resets its crash back-off.
            scripts[name] = script + RESTART_KUBELET
        run_on(ctx, scripts, "install certificates", ctx.scaled(START_SECONDS) + 120)
        self.survey.forget()
        self._check(ctx)

    def plan(self, ctx: Context) -> str:
        return "renew expired certificates"

    def _check(self, ctx: Context) -> None:
        soon = self.survey.soon
        for name, state in self.survey.states(ctx).items():
            if due(state.certificates, soon):
                paths = sorted(path for path, end in state.certificates.items() if end < soon)
                raise LabError(
                    f"{name}: {', '.join(paths)} could not be renewed",
                    hint=f"kubelab ssh {name} -- sudo journalctl -u kubelet -e",
                )

    def _due(self, ctx: Context) -> dict[str, Due]:
        soon = self.survey.soon
        return {name: due(state.certificates, soon) for name, state in self.survey.states(ctx).items()}

    def _renew(self, ctx: Context, wanted: Mapping[str, Due]) -> dict[str, x509.CertificateSigningRequest]:
        """Renew the control plane's certificates; return the requests of the kubelets that need one."""
        scripts = {}
        for name, found in wanted.items():
            script = RENEW if found.control_plane else ""
            script += request_script(name, NEW_KEY) if found.client else ""
            if script:
                scripts[name] = script
        said = run_on(ctx, scripts, "renew certificates", ctx.scaled(30))
        return {name: checked_request(name, text) for name, text in said.items() if wanted[name].client}


def install_script(certificate: str) -> str:
    """Return a script that gives the kubelet this certificate, and the key that its node made for it."""
    return unpack_script({NEW_CERTIFICATE: File(certificate, PRIVATE)}) + INSTALL


def _sign(ctx: Context, requests: Mapping[str, x509.CertificateSigningRequest]) -> dict[str, str]:
    """Sign the requests with the cluster's CA, on the control plane; return node -> certificate in PEM."""
    if not requests:
        return {}
    first, said = ctx.inventory.first.name, sign(ctx, sign_script(requests))
    return {
        name: checked_certificate(name, first, request, said.get(name, ""))
        for name, request in requests.items()
    }


def _check_authorities(states: Mapping[str, NodeState], soon: dt.datetime) -> None:
    for name, state in states.items():
        for path in AUTHORITIES:
            end = state.certificates.get(path)
            if end is not None and end < soon:
                raise LabError(
                    f"{name}: the certificate authority {path}, which cannot be renewed, expires on "
                    f"{end:%Y-%m-%d}",
                    hint="recreate the lab: kubelab destroy, then kubelab up",
                )
