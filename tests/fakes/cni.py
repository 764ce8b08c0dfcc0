"""Small manifests of our own, with the kinds and names of the published ones, and what stands around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from provision.artifacts.bundle import Bundle, entry_of, write_index
from provision.cni.base import Site
from provision.config.inventory import inventory_of
from provision.host.facts import Acceleration
from tests.fakes.config import make_config

KVM, TCG = Acceleration("kvm", 1.0), Acceleration("tcg", 10.0)

_CALICO = """
kind: ConfigMap
apiVersion: v1
metadata: {{name: calico-config, namespace: kube-system}}
data: {{calico_backend: bird, veth_mtu: "0", cni_network_config: '{{"name": "k8s-pod-network"}}'}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: ippools.crd.projectcalico.org}}
spec: {{group: crd.projectcalico.org, names: {{kind: IPPool, plural: ippools}}}}
---
kind: DaemonSet
apiVersion: apps/v1
metadata: {{name: calico-node, namespace: kube-system}}
spec:
  template:
    spec:
      hostNetwork: true
      initContainers:
{init}
      containers:
        - name: calico-node
          image: quay.io/calico/node:{version}
          env:
            - {{name: DATASTORE_TYPE, value: kubernetes}}
            - name: CALICO_NETWORKING_BACKEND
              valueFrom: {{configMapKeyRef: {{name: calico-config, key: calico_backend}}}}
            - {{name: CLUSTER_TYPE, value: "k8s,bgp"}}
            - {{name: CALICO_IPV4POOL_IPIP, value: Always}}
            - {{name: CALICO_IPV4POOL_VXLAN, value: Never}}
            - {{name: FELIX_HEALTHENABLED, value: "true"}}
          livenessProbe:
            exec: {{command: [{health}, {dash}felix-live, {dash}bird-live]}}
            periodSeconds: 10
            initialDelaySeconds: 10
            failureThreshold: 6
            timeoutSeconds: 10
          readinessProbe:
            exec: {{command: [{health}, {dash}felix-ready, {dash}bird-ready]}}
            periodSeconds: 10
            timeoutSeconds: 10
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: calico-kube-controllers, namespace: kube-system}}
spec:
  template:
    spec:
      containers:
        - name: calico-kube-controllers
          image: quay.io/calico/{controllers}:{version}
          livenessProbe:
            exec: {{command: [{check}, -l]}}
            periodSeconds: 10
            initialDelaySeconds: 10
            failureThreshold: 6
            timeoutSeconds: 10
          readinessProbe:
            exec: {{command: [{check}, -r]}}
            periodSeconds: 10
"""

# Up to v3.32 each part of Calico has a program and an image of its own, and its flags have one dash.
CALICO_3_32 = _CALICO.format(
    version="v3.32.4",
    init="""
        - {name: upgrade-ipam, image: "quay.io/calico/cni:v3.32.4"}
        - {name: install-cni, image: "quay.io/calico/cni:v3.32.4"}
        - {name: ebpf-bootstrap, image: "quay.io/calico/node:v3.32.4", command: [calico-node, -init]}
""".strip("\n"),
    health="/bin/calico-node",
    dash="-",
    controllers="kube-controllers",
    check="/usr/bin/check-status",
)
CALICO_3_32_IMAGES = (
    "quay.io/calico/cni:v3.32.4",
    "quay.io/calico/kube-controllers:v3.32.4",
    "quay.io/calico/node:v3.32.4",
)
# From v3.33 on one program does all of it: other images, and flags with two dashes.
CALICO = _CALICO.format(
    version="v3.33.1",
    init="""
        - {name: upgrade-ipam, image: "quay.io/calico/calico:v3.33.1"}
        - {name: install-cni, image: "quay.io/calico/calico:v3.33.1", args: [component, cni, install]}
        - {name: install-plugins, image: "quay.io/calico/third-party-cni-plugins:v3.33.1"}
        - {name: ebpf-bootstrap, image: "quay.io/calico/node:v3.33.1"}
""".strip("\n"),
    health="calico, component, node, health",
    dash="--",
    controllers="calico",
    check="/usr/bin/calico, component, kube-controllers, kube-controllers-health",
)
CALICO_IMAGES = (
    "quay.io/calico/calico:v3.33.1",
    "quay.io/calico/node:v3.33.1",
    "quay.io/calico/third-party-cni-plugins:v3.33.1",
)

FLANNEL = """
kind: Namespace
apiVersion: v1
metadata: {name: kube-flannel}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
data:
  cni-conf.json: '{"name": "cbr0"}'
  net-conf.json: '{"Network": "10.244.0.0/16", "EnableNFTables": false, "Backend": {"Type": "vxlan"}}'
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-flannel}
spec:
  template:
    spec:
      initContainers:
        - {name: install-cni-plugin, image: "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3"}
      containers:
        - name: kube-flannel
          image: ghcr.io/flannel-io/flannel:v0.28.9
          args: [--ip-masq, --kube-subnet-mgr]
          env:
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
"""

# What `helm template` prints, for the stub in its place.
CILIUM = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  template:
    spec:
      containers:
        - name: cilium-agent
          image: quay.io/cilium/cilium:v1.20.3
          livenessProbe:
            httpGet: {host: 127.0.0.1, path: /healthz, port: 9879}
            periodSeconds: 30
            timeoutSeconds: 5
"""

PINNED = f"sha256:{'d' * 64}"
# A chart pins the images of its optional parts by digest, beside their tag.
CILIUM_WITH_HUBBLE = f"""{CILIUM}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: hubble-relay, namespace: kube-system}}
spec:
  template:
    spec:
      containers: [{{name: hubble-relay, image: "quay.io/cilium/hubble-relay:v1.20.3@{PINNED}"}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: hubble-generate-certs, namespace: kube-system}}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers: [{{name: wait, image: "quay.io/cilium/cilium:v1.20.3@{PINNED}"}}]
          containers: [{{name: certgen, image: "quay.io/cilium/certgen:v0.4.1@{PINNED}"}}]
"""

OWN = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: own, namespace: kube-system}
spec: {template: {spec: {containers: [{name: own, image: "busybox:1.37"}]}}}
"""


def make_site(root: Path | None = None, speed: Acceleration = KVM, **keys: Any) -> Site:
    """Return a site of a lab with one worker, whose wanted files lie in `root`."""
    config = make_config(**{"workers": {"count": 1}, **keys})
    folder = root or Path("/nowhere")
    return Site(config, inventory_of(config), speed, "1.36.3", files=lambda name: folder / name)


def make_cni_bundle(root: Path, files: Mapping[str, str], *refs: str, digest: str = "") -> Bundle:
    """Write a small bundle with manifests (name -> text) and images, all of one digest."""
    entries = []
    for name, text in files.items():
        file = root / "manifests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        entries.append(entry_of(root, f"manifests/{name}", "file"))
    for number, ref in enumerate(refs):
        file = root / "images" / f"{number}.tar"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(ref)
        entries.append(entry_of(root, f"images/{number}.tar", "image", ref=ref, version="1", digest=digest))
    root.mkdir(parents=True, exist_ok=True)
    write_index(root, kubernetes="1.36.3", source="source", recipe="0" * 64, entries=entries)
    return Bundle.open(root)


def as_yaml(documents: list[dict[str, Any]]) -> str:
    """Return objects as YAML text, in the order of their keys."""
    return yaml.safe_dump_all(documents, sort_keys=False)
