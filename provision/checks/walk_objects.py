"""The objects of the walk-through, all created at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provision.testing.workloads import pod_spec

Object = dict[str, Any]

ECHO, ECHO_PORT = "echo", 8080
# A different port from ECHO_PORT, so that a fault at one server does not affect the other.
WEB, WEB_PORT, WEB_REPLICAS = "web", 8081, 2
HEADLESS = "pods"
VOLUMES, WRITER, READER = "volumes", "writer", "reader"
SETTINGS, PASSWORD = "settings", "password"
SETTINGS_DATA = {"greeting": "hello from a ConfigMap\n"}
PASSWORD_DATA = {"password": "open sesame\n"}
CLAIM, KEEPER = "data", "keeper"
JOB, CRON_JOB = "once", "every-minute"
LARGE_MIB = 4
HOST_FOLDERS = "/run/kubelab-verify"
MOUNTS = "/volumes"

PROBE_SECONDS = 10
CONTROL_PLANE_TAINT = "node-role.kubernetes.io/control-plane"

# $1: the node's name, which the server answers. IPv4 only: otherwise a caller's address is ::ffff:ADDRESS.
SERVE = f"""
mkdir -p /www/cgi-bin && cd /www && echo "$1" >index.html
printf '#!/bin/sh\\necho "Content-Type: text/plain"\\necho\\necho "$REMOTE_ADDR"\\n' >cgi-bin/caller
chmod +x cgi-bin/caller
dd if=/dev/urandom of=large bs=64k count={LARGE_MIB * 16} 2>/dev/null && md5sum <large >large.md5
echo "$1 serves"
exec httpd -f -p 0.0.0.0:{ECHO_PORT} -h /www
"""
SERVE_HOSTNAME = f"mkdir /www && hostname >/www/index.html && exec httpd -f -p {WEB_PORT} -h /www"


@dataclass(frozen=True)
class Site:
    """What the objects depend on. `homes` are the nodes for ordinary pods, `linger` is seconds.

    A terminating web server keeps serving for `linger`, until no node's service rules lead to it any more.
    """

    namespace: str
    image: str
    nodes: Sequence[str]
    homes: Sequence[str]
    linger: int

    @property
    def host_folder(self) -> str:
        """Return the folder of the hostPath volume, on the first of `homes`."""
        return f"{HOST_FOLDERS}/{self.namespace}"


def standing(site: Site) -> list[Object]:
    """Return all objects that the checks share."""
    return [
        *(server(site, f"on-{node}", node) for node in site.nodes),
        service(site, ECHO, ECHO_PORT, {"type": "NodePort", "selector": {"app": ECHO}}),
        service(site, HEADLESS, ECHO_PORT, {"clusterIP": "None", "selector": {"app": ECHO}}),
        _web(site),
        service(site, WEB, WEB_PORT, {"selector": {"app": WEB}}),
        _object(site, "v1", "ConfigMap", SETTINGS, data=SETTINGS_DATA),
        _object(site, "v1", "Secret", PASSWORD, stringData=PASSWORD_DATA),
        _volumes(site),
        _object(site, "batch/v1", "Job", JOB, spec=_job(site)),
        _cron_job(site),
    ]


def server(site: Site, name: str, node: str, app: str = ECHO) -> Object:
    """Return a pod, bound to `node`, that serves the node's name, the caller's address and a large file."""
    spec = _pod(site, SERVE, node, port=ECHO_PORT)
    spec |= {"nodeName": node, "hostname": node, "subdomain": HEADLESS}
    pod = _object(site, "v1", "Pod", name, spec=spec)
    pod["metadata"]["labels"] = {"app": app, "node": node}
    return pod


def service(site: Site, name: str, port: int, spec: Object) -> Object:
    """Return a Service at port 80 for pods that serve at `port`."""
    return _object(site, "v1", "Service", name, spec={**spec, "ports": [{"port": 80, "targetPort": port}]})


def claim(site: Site) -> Object:
    """Return a claim for a volume of the default StorageClass."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return _object(site, "v1", "PersistentVolumeClaim", CLAIM, spec=spec)


def keeper(site: Site) -> Object:
    """Return a pod that idles with the volume of the claim."""
    spec = _pod(site, "exec tail -f /dev/null")
    spec["containers"][0]["volumeMounts"] = [{"name": CLAIM, "mountPath": f"{MOUNTS}/{CLAIM}"}]
    spec["volumes"] = [{"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}]
    return _object(site, "v1", "Pod", KEEPER, spec=spec)


def _web(site: Site) -> Object:
    labels = {"app": WEB}
    spec = _pod(site, SERVE_HOSTNAME, port=WEB_PORT)
    spec["terminationGracePeriodSeconds"] += site.linger
    spec["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": site.linger}}}
    spec["topologySpreadConstraints"] = [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "nodeTaintsPolicy": "Honor",
            "labelSelector": {"matchLabels": labels},
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]
    deployment = {
        "replicas": WEB_REPLICAS,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
        "template": {"metadata": {"labels": labels}, "spec": spec},
    }
    web = _object(site, "apps/v1", "Deployment", WEB, spec=deployment)
    web["metadata"]["labels"] = labels
    return web


def _volumes(site: Site) -> Object:
    """Return a pod with all volumes; ConfigMap and Secret are optional, so that each can fail on its own."""
    sources: dict[str, Object] = {
        "scratch": {"emptyDir": {}},
        "host": {"hostPath": {"path": site.host_folder, "type": "DirectoryOrCreate"}},
        SETTINGS: {"configMap": {"name": SETTINGS, "optional": True}},
        PASSWORD: {"secret": {"secretName": PASSWORD, "optional": True}},
    }
    spec = _pod(site, "exec tail -f /dev/null")
    (writer,) = spec["containers"]
    mounts = [{"name": name, "mountPath": f"{MOUNTS}/{name}"} for name in sources]
    spec |= {
        "nodeName": site.homes[0],
        "containers": [
            {**writer, "name": WRITER, "volumeMounts": mounts},
            {**writer, "name": READER, "volumeMounts": mounts[:1]},
        ],
        "volumes": [{"name": name, **source} for name, source in sources.items()],
    }
    return _object(site, "v1", "Pod", VOLUMES, spec=spec)


def _job(site: Site) -> Object:
    spec = {**_pod(site, "echo done"), "restartPolicy": "Never"}
    return {"backoffLimit": 2, "template": {"spec": spec}}


def _cron_job(site: Site) -> Object:
    spec = {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": _job(site)},
    }
    return _object(site, "batch/v1", "CronJob", CRON_JOB, spec=spec)


def _pod(site: Site, script: str, *arguments: str, port: int | None = None) -> Object:
    """Return the spec of a pod without access to the API server; without workers it tolerates the taint."""
    spec = pod_spec("main", site.image, command=["sh", "-c", script, "sh", *arguments], port=port)
    if port is not None:
        spec["containers"][0]["readinessProbe"]["timeoutSeconds"] = PROBE_SECONDS
    spec |= {"automountServiceAccountToken": False, "enableServiceLinks": False}
    if site.homes == site.nodes:
        spec["tolerations"] = [{"key": CONTROL_PLANE_TAINT, "operator": "Exists", "effect": "NoSchedule"}]
    return spec


def _object(site: Site, version: str, kind: str, name: str, **fields: Any) -> Object:
    metadata = {"name": name, "namespace": site.namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}
