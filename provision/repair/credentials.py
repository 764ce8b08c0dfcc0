"""Removes expired join credentials. Each join creates its own token, so none is needed in advance."""

from __future__ import annotations

import base64
import datetime as dt

from provision.lab.context import Context
from provision.repair.survey import Survey

TOKEN = "bootstrap-token-"
UPLOADED_CERTS = "kubeadm-certs"
# kubeadm lets the control plane's uploaded certificates expire after this time.
UPLOADED = dt.timedelta(hours=2)
FIELDS = '{range .items[*]}{.metadata.name} {.metadata.creationTimestamp} {.data.expiration}{"\\n"}{end}'


class CredentialStep:
    """There is no expired bootstrap token or uploaded certificate."""

    id = "credentials"
    title = "Join credentials"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def is_done(self, ctx: Context) -> bool:
        return not self._expired(ctx)

    def apply(self, ctx: Context) -> None:
        names = self._expired(ctx)
        # The cluster's own controller may have deleted them meanwhile.
        ctx.kubectl("delete", "secret", "--namespace=kube-system", "--ignore-not-found", "--", *names)

    def plan(self, ctx: Context) -> str:
        return "delete expired join tokens"

    def _expired(self, ctx: Context) -> list[str]:
        now = dt.datetime.fromtimestamp(self.survey.wall(), dt.UTC)
        text = ctx.kubectl("get", "secrets", "--namespace=kube-system", f"--output=jsonpath={FIELDS}")
        return expired_secrets(text, now)


def expired_secrets(text: str, now: dt.datetime) -> list[str]:
    """Return the names of expired join Secrets from lines of name, creation and (base64) expiration."""
    found = []
    for line in text.splitlines():
        name, created, *expiration = line.split()
        try:
            if name.startswith(TOKEN) and expiration:
                end = dt.datetime.fromisoformat(base64.b64decode(expiration[0]).decode())
            elif name == UPLOADED_CERTS:
                end = dt.datetime.fromisoformat(created) + UPLOADED
            else:
                continue
            expired = end < now
        except (ValueError, TypeError):
            # A time that nobody understands, or one without a zone: not kubeadm's.
            continue
        if expired:
            found.append(name)
    return found
