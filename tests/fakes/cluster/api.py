"""An API server kept in files, which a stub of kubectl shows."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path

from provision.cluster.health import KUBE_SYSTEM
from provision.cluster.kubectl import Kubectl
from provision.cluster.leaders import LEADERS


class Api:
    """The cluster as a stub of kubectl shows it, kept in files that stubs of kubeadm may change.

    `ready`: the API server answers; `addons`: they are there; `nodes/NAME`: the Node objects;
    `leases/NAMESPACE/NAME`: the Leases, with when they were renewed.
    """

    def __init__(self, root: Path, kubectl: Kubectl) -> None:
        self.root = root
        self.clock = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
        self.kubeconfig = kubectl.kubeconfig
        (root / "nodes").mkdir(parents=True)
        for name in LEADERS:
            self.renew(name)
        kubectl.program.parent.mkdir(parents=True, exist_ok=True)
        kubectl.program.write_text(f"""#!/bin/sh
shift 2
cd {shlex.quote(str(root))}
printf '%s\\n' "$*" >> calls
test -e ready || {{ echo "connection refused" >&2; exit 1; }}
case "$*" in
"get --raw"*) ;;
*coredns*) test -e addons;;
"get nodes"*)
    printf '{{"items": ['
    comma=
    for name in $(ls nodes); do printf '%s{{"metadata": {{"name": "%s"}}}}' "$comma" "$name"; comma=,; done
    printf ']}}';;
"get leases"*)
    printf '{{"items": ['
    comma=
    for lease in leases/*/*; do
        path=${{lease#*/}}
        printf '%s{{"metadata": {{"namespace": "%s", "name": "%s"}}, ' "$comma" "${{path%/*}}" "${{path#*/}}"
        printf '"spec": {{"renewTime": "%s"}}}}' "$(cat "$lease")"
        comma=,
    done
    printf ']}}';;
"delete leases"*) shift 4; for name; do rm -f "leases/kube-system/$name"; done;;
"delete node"*) rm -f "nodes/$3";;
apply*) cat > applied;;
*) echo "unscripted: $*" >&2; exit 99;;
esac
""")
        kubectl.program.chmod(0o755)

    def set(self, *names: str) -> None:
        """Make these files: `set("ready", "nodes/lab-w1")`."""
        for name in names:
            (self.root / name).touch()

    def reached(self) -> None:
        """Let the host have a kubeconfig, and the API server answer with all add-ons."""
        self.kubeconfig.write_text("{}")
        self.set("ready", "addons")

    def renew(self, name: str, seconds_ago: float = 0.0, namespace: str = KUBE_SYSTEM) -> None:
        """Let a leader, or in the namespace of nodes a kubelet, have renewed its Lease."""
        lease = self.root / "leases" / namespace / name
        lease.parent.mkdir(parents=True, exist_ok=True)
        lease.write_text((self.clock - dt.timedelta(seconds=seconds_ago)).isoformat())

    @property
    def leaders(self) -> set[str]:
        return {path.name for path in (self.root / "leases" / KUBE_SYSTEM).iterdir()}

    @property
    def nodes(self) -> set[str]:
        return {path.name for path in (self.root / "nodes").iterdir()}

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []
