"""A real lab of three all its life: its file is edited, workers come and go, it is off and on again.

The tests are one story, in this order. Each leaves the lab as its file says, and the file as it was.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from provision.checks.from_host import fetch_soon
from provision.config.addresses import API_PORT
from provision.lab.answers import ANSWERS, row_of
from provision.providers.libvirt.virsh import Virsh
from tests.e2e.cluster import Cluster
from tests.e2e_life.registry import tiny_registry

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "build" / "e2e-life"
LAB = "kubelab-life"
CP1, W1 = f"{LAB}-cp1", f"{LAB}-w1"
# What a third worker is called.
OWN = "w3-k8s"
HOST = "192.168.181.1"
API = "192.168.181.11"
BUSYBOX = "docker.io/library/busybox:1.37"
HTTPD = ("sh", "-c", "echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp")
_PKI = "/etc/kubernetes/pki/etcd"
ETCD = f"--cacert={_PKI}/ca.crt --cert={_PKI}/healthcheck-client.crt --key={_PKI}/healthcheck-client.key"
# Folder beside lab.yaml -> what the patch in it sets.
PATCHES = {"patches": 3000, "others": 4000}
FURTHER_DISK = "/dev/disk/by-id/virtio-kubelab-1"
# An edit for every key that is refused on a lab that is there.
REFUSED = {
    "kubernetes": 'kubernetes: "1.35"',
    "packages": "packages: [tree, vim]",
    "cni": "cni: calico",
    "controlPlanes.disk": "controlPlanes: {disk: 13GiB}",
    "controlPlanes.disks": "controlPlanes: {disks: [1GiB]}",
    "nodes.NODE.name": "nodes: {kubelab-life-w1: {name: w1-k8s}}",
    "nodes.NODE.address": "nodes: {kubelab-life-w1: {address: 192.168.181.60}}",
    "network.nodes": f"{{network: {{nodes: 192.168.182.0/24}}, nodes: {{{W1}: {{address: 192.168.182.9}}}}}}",
    "network.pods": "network: {pods: 10.245.0.0/16}",
    "network.services": "network: {services: 10.112.0.0/12}",
    "network.mtu": "network: {mtu: 1400}",
    "network.bridge": "network: {bridge: kubelab-t0}",
    "kubeadm.apiServerExtraArgs": 'kubeadm: {apiServerExtraArgs: {v: "1"}}',
    "kubeadm.controllerManagerExtraArgs": 'kubeadm: {controllerManagerExtraArgs: {v: "1"}}',
    "kubeadm.schedulerExtraArgs": 'kubeadm: {schedulerExtraArgs: {v: "1"}}',
    "kubeadm.etcdExtraArgs": 'kubeadm: {etcdExtraArgs: {snapshot-count: "7000"}}',
    "kubeadm.apiServerCertSANs": "kubeadm: {apiServerCertSANs: [other.lab.example]}",
    "kubeadm.featureGates": "kubeadm: {featureGates: {ImageVolume: true}}",
    "kubeadm.clusterDomain": "kubeadm: {clusterDomain: lab.example}",
    "kubeadm.patches": "kubeadm: {patches: others}",
    "kubelet": "kubelet: {maxPods: 80}",
    "kubeProxy": "kubeProxy: {mode: iptables}",
}
# Where no other value is allowed, an edit ends before there is anything to compare.
ONE_VALUE = {"provider", "runtime"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Return a lab that is made; it is destroyed in the end."""
    made = Cluster.of(FOLDER, HERE / "lab.yaml")
    for folder, limit in PATCHES.items():
        (FOLDER / folder).mkdir(exist_ok=True)
        (FOLDER / folder / "kubeletconfiguration+merge.yaml").write_text(f"podPidsLimit: {limit}\n")
    try:
        made.kubelab("up")
        yield made
    finally:
        made.destroy()


@pytest.fixture(autouse=True)
def told(lab: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell why the first test failed that did, before the next one changes the lab."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed == 0:
        lab.tell_why()


@contextmanager
def edited(lab: Cluster, text: str) -> Iterator[None]:
    """Let lab.yaml have other values meanwhile."""
    file = lab.folder / "lab.yaml"
    before = file.read_bytes()
    lab.edit(text)
    try:
        yield
    finally:
        file.write_bytes(before)


def test_a_new_lab_is_as_its_file_says(lab: Cluster) -> None:
    assert lab.ended("diff")[0] == 0


def test_every_key_that_is_refused_has_an_edit_here() -> None:
    parents = {key.rpartition(".")[0] for key in ANSWERS}
    refused = {key for key, answer in ANSWERS.items() if answer == "refused"}
    leaves = {key for key in refused if not key.startswith("cni.")} - (parents - {"cni"}) - {"name"}
    assert leaves - ONE_VALUE == set(REFUSED)


def test_a_node_has_the_address_of_its_own(lab: Cluster) -> None:
    assert " 192.168.181.50/24 " in on(lab, "w1", "ip -o -4 address show")
    assert addresses(lab)[W1].startswith("192.168.181.50 ")
    assert addresses(lab)[CP1].startswith("192.168.181.11 ")


def test_a_node_has_the_packages_of_the_file(lab: Cluster) -> None:
    for node in ("cp1", "w1", "w2"):
        assert on(lab, node, "tree --version").startswith("tree v")


def test_snapshots_hold_the_further_disks(lab: Cluster) -> None:
    assert int(on(lab, "w1", f"blockdev --getsize64 {FURTHER_DISK}")) == 2**30
    assert on(lab, "w1", f"readlink -f {FURTHER_DISK}").strip() == "/dev/vdb"
    try:
        write_on_disk(lab, "before")
        lab.kubelab("snapshot", "save", "written")
        write_on_disk(lab, "after")
        lab.kubelab("snapshot", "restore", "written")
        assert read_from_disk(lab) == "before"
        assert lab.ended("verify", "--quick")[0] == 0
    finally:
        lab.ended("snapshot", "delete", "written")


def test_a_node_has_what_people_are_used_to(lab: Cluster) -> None:
    for words in ("kubectl get nodes", "sudo kubectl get nodes", "bash -ic 'type k'", "sudo crictl ps"):
        assert lab.ended("ssh", CP1, words)[0] == 0
    member = lab.kubelab("ssh", CP1, f"sudo etcdctl {ETCD} member list")
    assert CP1 in member
    lab.kubelab(
        "ssh",
        CP1,
        f"sudo etcdctl {ETCD} snapshot save /tmp/etcd.db && sudo etcdutl snapshot status /tmp/etcd.db",
    )
    on(lab, "w1", "echo KUBELET_EXTRA_ARGS=--v=4 >/etc/default/kubelet; systemctl restart kubelet")
    try:
        assert "--v=4" in on(lab, "w1", "tr '\\0' ' ' </proc/$(pgrep -o kubelet)/cmdline")
    finally:
        on(lab, "w1", "rm /etc/default/kubelet; systemctl restart kubelet")


def test_kubernetes_own_programs_run_with_what_the_file_says(lab: Cluster) -> None:
    for component, argument in (("kube-apiserver", "--v=2"), ("etcd", "--snapshot-count=5000")):
        words = ("-n", "kube-system", "get", "pod", f"{component}-{CP1}", "-o", "json")
        assert argument in json.loads(kubectl(lab, *words))["spec"]["containers"][0]["command"]
    for node in (CP1, W1):
        path = f"/api/v1/nodes/{node}/proxy/configz"
        kubelet = json.loads(kubectl(lab, "get", "--raw", path))["kubeletconfig"]
        assert (kubelet["maxPods"], kubelet["podPidsLimit"]) == (90, PATCHES["patches"])
    assert "nftables" in on(lab, "w1", "curl -s --noproxy '*' http://127.0.0.1:10249/proxyMode")
    certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate((API, API_PORT)).encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "api.lab.example" in names.get_values_for_type(x509.DNSName)
    assert "maxPods: 90" in lab.kubelab("render", "--kubeadm")


def test_images_are_pinned_whole_and_put_back(lab: Cluster) -> None:
    on(lab, "w1", f"ctr -n k8s.io images export /tmp/image.tar {BUSYBOX} && rm /tmp/image.tar")
    on(lab, "w1", f"ctr -n k8s.io images rm {BUSYBOX}")
    assert lab.ended("verify", "--quick")[0] == 3
    lab.kubelab("up")
    assert BUSYBOX in on(lab, "w1", "ctr -n k8s.io images ls -q")
    assert "io.cri-containerd.pinned=pinned" in on(lab, "w1", f"ctr -n k8s.io images ls name=={BUSYBOX}")


def test_labels_and_taints_follow_the_file(lab: Cluster) -> None:
    asked = "{labels: {disk: ssd}, taints: ['gpu=yes:NoSchedule']}"
    kubectl(lab, "label", "node", W1, "users=own")
    with edited(lab, f"workers: {asked}"):
        assert lab.ended("diff")[0] == 1
        lab.kubelab("up")
        assert lab.ended("diff")[0] == 0
        assert marks(lab, W1) == ("ssd", "own", "gpu")
    lab.kubelab("up")
    assert marks(lab, W1) == ("", "own", "")
    assert nothing_to_do(lab)


def test_workers_come_and_go(lab: Cluster) -> None:
    for count in (3, 1, 2):
        # The one that comes has a name of its own, and lab.yaml does not know it any more when it goes.
        nodes = f"{{{LAB}-w3: {{name: {OWN}}}}}" if count == 3 else "{}"
        with edited(lab, f"{{workers: {{count: {count}}}, nodes: {nodes}}}"):
            if count == 1:
                code, _ = lab.ended("up", "--json")
                assert code == 2
            lab.kubelab("up", "--yes")
            assert lab.ended("diff")[0] == 0
            assert len(addresses(lab)) == len(lab.context.machines.ids()) == count + 1
            left = Virsh()("vol-list", "default")
            assert (f"{LAB}-w3" in left, f"{LAB}-w2" in left) == (count == 3, count > 1)
            assert (f"kubelab-{LAB}-w3-1.qcow2" in left) == (count == 3)
            assert (OWN in kubectl(lab, "get", "nodes")) == (count == 3)
            if count == 3:
                assert {lab.kubelab("ssh", name, "hostname").strip() for name in (OWN, f"{LAB}-w3")} == {OWN}
                assert OWN in lab.kubelab("ssh", CP1, "cat /etc/hosts")
            assert lab.ended("verify", "--quick")[0] == 0


def test_workers_with_other_disks_are_made_anew(lab: Cluster) -> None:
    before = addresses(lab)
    kubectl(lab, "create", "deployment", "web", "--image=busybox:1.37", "--replicas=2", "--", *HTTPD)
    try:
        with edited(lab, f"nodes: {{{LAB}-w2: {{disks: [2GiB]}}}}"):
            assert lab.ended("up", "--json")[0] == 2
            assert addresses(lab) == before
            lab.kubelab("up", "--yes")
            assert lab.ended("diff")[0] == 0
            assert int(on(lab, "w2", f"blockdev --getsize64 {FURTHER_DISK}")) == 2**31
            after = addresses(lab)
            assert {name for name in before if after[name] != before[name]} == {f"{LAB}-w2"}
            kubectl(lab, "rollout", "status", "deployment/web", "--timeout=300s")
        lab.kubelab("up", "--yes")
        assert int(on(lab, "w2", f"blockdev --getsize64 {FURTHER_DISK}")) == 2**30
        assert lab.ended("verify", "--quick")[0] == 0
        with edited(lab, f"nodes: {{{CP1}: {{disk: 13GiB}}}}"):
            assert lab.ended("up")[0] == 2
    finally:
        kubectl(lab, "delete", "deployment", "web", "--now")


def test_another_memory_is_given_by_a_restart(lab: Cluster) -> None:
    before = memory(lab, W1)
    with edited(lab, f"nodes: {{{W1}: {{memory: 2.25GiB}}}}"):
        assert lab.ended("up", "--json")[0] == 2
        assert memory(lab, W1) == before
        lab.kubelab("up", "--restart")
        assert memory(lab, W1) > before
        assert lab.ended("diff")[0] == 0
        assert len(addresses(lab)) == 3
    lab.kubelab("up", "--restart")
    assert memory(lab, W1) == before


def test_a_single_node_is_drained_stopped_and_started(lab: Cluster) -> None:
    lab.kubelab("node", "drain", W1)
    assert "cordoned" in lab.kubelab("node", "list")
    lab.kubelab("node", "uncordon", W1)
    lab.kubelab("node", "stop", W1)
    lab.kubelab("node", "start", W1)
    lab.kubelab("node", "restart", W1)
    assert len(addresses(lab)) == 3
    assert lab.ended("verify", "--quick")[0] == 0


@pytest.mark.parametrize("key", REFUSED)
def test_what_a_lab_cannot_follow_is_refused_before_anything_is_changed(lab: Cluster, key: str) -> None:
    before = seen(lab)
    with edited(lab, REFUSED[key]):
        assert lab.ended("diff")[0] == 1
        code, _ = lab.ended("up")
        (error,) = [event for event in lab.events("up", check=False) if event["event"] == "error"]
    assert code == 2
    assert row_of(error["message"].partition(":")[0]) == key
    assert seen(lab) == before


def test_the_proxy_of_the_nodes_follows_the_file(lab: Cluster) -> None:
    with edited(lab, f"proxy: http://{HOST}:3128"):
        lab.kubelab("up")
        assert lab.ended("diff")[0] == 0
        assert f"{HOST}:3128" in on(lab, "w1", "systemctl show containerd --property=Environment")
        assert lab.ended("verify", "--quick")[0] == 0
    lab.kubelab("up")
    assert "3128" not in on(lab, "w1", "systemctl show containerd --property=Environment")


def test_images_come_through_the_mirrors_of_the_file(lab: Cluster) -> None:
    image, folder = "mirrored.invalid/tiny:1", "/etc/containerd/certs.d/mirrored.invalid"
    with tiny_registry(HOST) as registry:
        with edited(lab, f"registryMirrors: {{mirrored.invalid: ['http://{registry}']}}"):
            lab.kubelab("up")
            assert lab.ended("diff")[0] == 0
            on(lab, "w1", f"crictl pull {image} && crictl rmi {image}")
            assert lab.ended("verify", "--quick")[0] == 0
        lab.kubelab("up")
        assert lab.ended("ssh", W1, f"sudo crictl pull {image}")[0] != 0
        own = f"mkdir -p {folder}; echo 'server = \"http://{registry}\"' >{folder}/hosts.toml"
        try:
            on(lab, "w1", f"{own}; crictl pull {image}")
        finally:
            on(lab, "w1", f"rm -r {folder}; crictl rmi {image}")
    assert nothing_to_do(lab)


def test_a_registry_without_tls_is_asked_if_the_file_says_so(lab: Cluster) -> None:
    with tiny_registry(HOST) as registry:
        image = f"{registry}/tiny:1"
        assert lab.ended("ssh", W1, f"sudo crictl pull {image}")[0] != 0
        with edited(lab, f"insecureRegistries: ['{registry}']"):
            lab.kubelab("up")
            assert lab.ended("diff")[0] == 0
            on(lab, "w1", f"crictl pull {image} && crictl rmi {image}")
        lab.kubelab("up")
        assert lab.ended("ssh", W1, f"sudo crictl pull {image}")[0] != 0


def test_the_resolvers_of_the_nodes_follow_the_file(lab: Cluster) -> None:
    with edited(lab, f"dns: [{HOST}, 192.0.2.53]"):
        lab.kubelab("up")
        assert lab.ended("diff")[0] == 0
        assert "192.0.2.53" in on(lab, "w1", "cat /etc/resolv.conf")
        overrides = json.dumps({"spec": {"dnsPolicy": "Default"}})
        words = ("--image=busybox:1.37", "--restart=Never", f"--overrides={overrides}", "--")
        try:
            kubectl(lab, "run", "asks", *words, "cat", "/etc/resolv.conf")
            done = "--for=jsonpath={.status.phase}=Succeeded"
            kubectl(lab, "wait", done, "pod/asks", "--timeout=180s")
            assert "nameserver 192.0.2.53" in kubectl(lab, "logs", "asks")
        finally:
            kubectl(lab, "delete", "pod", "asks", "--now")
        assert lab.ended("verify", "--quick")[0] == 0
    lab.kubelab("up")
    assert "192.0.2.53" not in on(lab, "w1", "cat /etc/resolv.conf")
    assert nothing_to_do(lab)


def test_the_time_zone_of_the_nodes_follows_the_file(lab: Cluster) -> None:
    assert on(lab, "w1", "date +%Z").strip() == "KST"
    running = "systemctl show containerd kubelet systemd-journald --property=MainPID"
    before = on(lab, "w1", running)
    with edited(lab, "timeZone: America/Phoenix"):
        assert lab.ended("diff")[0] == 1
        lab.kubelab("up")
        assert lab.ended("diff")[0] == 0
        for node in ("cp1", "w1", "w2"):
            assert on(lab, node, "date +%Z; cat /etc/timezone").split() == ["MST", "America/Phoenix"]
        assert on(lab, "w1", running) == before
        assert lab.ended("verify", "--quick")[0] == 0
    lab.kubelab("up")
    assert on(lab, "w1", "date +%Z").strip() == "KST"
    assert nothing_to_do(lab)


def test_scripts_and_files_are_brought_to_nodes_and_again_when_they_change(lab: Cluster) -> None:
    script, motd = lab.folder / "setup.sh", lab.folder / "motd"
    script.write_text("#!/bin/sh\necho $KUBELAB_NODE $KUBELAB_ROLE >>/root/ran\n")
    motd.write_text("of the lab\n")
    asked = "{provision: [{script: setup.sh}, {file: motd, to: /etc/motd}]}"
    with edited(lab, f"workers: {asked}"):
        assert lab.ended("diff")[0] == 1
        lab.kubelab("up")
        assert lab.ended("diff")[0] == 0
        assert on(lab, "w1", "cat /root/ran /etc/motd") == f"{W1} worker\nof the lab\n"
        assert lab.ended("verify", "--quick")[0] == 0
        script.write_text("#!/bin/sh\necho no such package >&2\nexit 3\n")
        code, _ = lab.ended("up")
        (error,) = [event for event in lab.events("up", check=False) if event["event"] == "error"]
        assert code == 1
        assert "setup.sh" in error["message"]
        script.write_text("#!/bin/sh\necho again >>/root/ran\n")
        lab.kubelab("up")
        assert on(lab, "w1", "cat /root/ran") == f"{W1} worker\nagain\n"
        assert nothing_to_do(lab)
    lab.kubelab("up")
    assert nothing_to_do(lab)


def test_ports_of_this_host_lead_to_a_node_and_to_a_service(lab: Cluster) -> None:
    open_ports = (
        f"ports: [{{host: 18080, node: {W1}, port: 30080}}, {{host: 18081, service: default/web, port: 80}}]"
    )
    try:
        kubectl(lab, "run", "web", f"--image={BUSYBOX}", "--labels=app=web", "--", *HTTPD)
        kubectl(lab, "wait", "pod/web", "--for=condition=Ready", "--timeout=300s")
        kubectl(lab, "create", "service", "nodeport", "web", "--tcp=80:80", "--node-port=30080")
        with edited(lab, open_ports):
            assert lab.ended("diff")[0] == 1
            lab.kubelab("up")
            assert lab.ended("diff")[0] == 0
            for port in (18080, 18081):
                assert fetched(lab, port) == "hello"
            assert "127.0.0.1:18081 -> default/web:80" in lab.kubelab("status")
            assert nothing_to_do(lab)
            lab.kubelab("stop")
            assert not listens(18080)
            lab.kubelab("start")
            for port in (18080, 18081):
                assert fetched(lab, port) == "hello"
        lab.kubelab("up")
        assert not listens(18080)
        assert not listens(18081)
    finally:
        kubectl(lab, "delete", "pod/web", "service/web", "--now")


def test_a_port_of_this_host_that_is_taken_is_told_before_anything_is_changed(lab: Cluster) -> None:
    with (
        socket.create_server(("127.0.0.1", 18080)),
        edited(lab, f"ports: [{{host: 18080, node: {W1}, port: 30080}}]"),
    ):
        code, _ = lab.ended("up")
    assert code == 2


def test_broken_pods_of_the_users_own_are_shown_and_never_waited_for(lab: Cluster) -> None:
    try:
        kubectl(lab, "run", "typo", "--image=nosuch.invalid/x:1")
        kubectl(lab, "run", "once", "--image=busybox:1.37", "--restart=Never", "--", "false")
        assert nothing_to_do(lab)
        code, said = lab.ended("status")
        assert code == 0
        assert "typo" in said
        assert lab.ended("verify", "--quick")[0] == 0
    finally:
        kubectl(lab, "delete", "pod", "typo", "once", "--now")


def test_a_policy_without_effect_is_told(lab: Cluster) -> None:
    everything = {"podSelector": {}, "policyTypes": ["Ingress"]}
    metadata = {"name": "deny", "namespace": "default"}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
    file = lab.folder / "policy.json"
    file.write_text(json.dumps({**policy, "spec": everything}))
    kubectl(lab, "apply", "-f", str(file))
    try:
        (result,) = [event for event in lab.events("status") if event["event"] == "result"]
        assert result["data"]["policies"] == {"total": 1, "ignored": 1}
    finally:
        kubectl(lab, "delete", "-f", str(file))


def test_a_worker_that_was_reset_by_hand_joins_again(lab: Cluster) -> None:
    gone = f"{LAB}-w2"
    on(lab, "w2", "kubeadm reset -f")
    kubectl(lab, "delete", "node", gone)
    lab.kubelab("up")
    assert gone in addresses(lab)
    assert lab.ended("verify", "--quick")[0] == 0
    assert lab.ended("diff")[0] == 0


def test_a_dead_proxy_of_the_user_is_not_asked_for_the_lab(lab: Cluster) -> None:
    dead = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    for words in (("status",), ("kubectl", "--", "get", "nodes"), ("verify", "--quick"), ("up",), ("reset",)):
        assert lab.ended(*words, **dead)[0] == 0


def test_a_lab_is_stopped_and_started_in_either_way(lab: Cluster) -> None:
    before = addresses(lab)
    lab.kubelab("stop")
    assert lab.ended("status")[0] == 1
    lab.kubelab("start")
    assert addresses(lab) == before
    lab.kubelab("stop", "--save")
    lab.kubelab("start")
    assert addresses(lab) == before
    assert nothing_to_do(lab)


def test_vagrants_own_verbs_do_no_harm(lab: Cluster) -> None:
    before = addresses(lab)
    subprocess.run(["vagrant", "halt"], cwd=lab.folder, check=True)
    subprocess.run(["vagrant", "up"], cwd=lab.folder, check=True)
    lab.kubelab("up")
    assert addresses(lab) == before
    assert lab.ended("verify", "--quick")[0] == 0


def seen(lab: Cluster) -> tuple[list[str], list[bytes]]:
    """Return what the machines are defined as, and the files that kubelab keeps of the lab."""
    ids = lab.context.machines.ids()
    kept = [lab.folder / "Vagrantfile", lab.context.workspace.decision]
    return [Virsh()("dumpxml", machine) for machine in ids.values()], [file.read_bytes() for file in kept]


def fetched(lab: Cluster, port: int) -> str:
    """Return what a port of this host answers to HTTP: the rules of the node's kube-proxy may be late."""
    return fetch_soon(f"http://127.0.0.1:{port}/", lab.context.scaled(30), lab.context.clock)


def listens(port: int) -> bool:
    """Return whether anything on this host accepts a connection to a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return False
    return True


def on(lab: Cluster, node: str, script: str) -> str:
    return lab.kubelab("ssh", f"{LAB}-{node}", "--", "sudo", "sh", "-c", script)


def write_on_disk(lab: Cluster, text: str) -> None:
    """Write a text where a worker's further disk begins."""
    on(lab, "w1", f"printf %s {text} | dd of={FURTHER_DISK} conv=fsync,notrunc")


def read_from_disk(lab: Cluster) -> str:
    """Return what was written there last; not from the node's memory, which a snapshot holds as well."""
    return on(lab, "w1", f"dd if={FURTHER_DISK} iflag=direct bs=4096 count=1 2>/dev/null | head -c 6")


def marks(lab: Cluster, node: str) -> tuple[str, str, str]:
    """Return a label that lab.yaml may give, one that a user gave, and the keys of the taints of a node."""
    found = json.loads(kubectl(lab, "get", "node", node, "-o", "json"))
    labels = found["metadata"]["labels"]
    taints = [taint["key"] for taint in found["spec"].get("taints", [])]
    return labels.get("disk", ""), labels.get("users", ""), " ".join(taints)


def memory(lab: Cluster, node: str) -> int:
    """Return how many KiB a node itself says that it has."""
    return int(lab.kubelab("ssh", node, "grep MemTotal /proc/meminfo").split()[1])


def kubectl(lab: Cluster, *words: str) -> str:
    return lab.kubelab("kubectl", "--", *words)


def nothing_to_do(lab: Cluster) -> bool:
    (result,) = [event for event in lab.events("up") if event["event"] == "result"]
    return not result["data"]["changed"]


def addresses(lab: Cluster) -> dict[str, str]:
    """Return node -> its address and when it became one, of the nodes that are Ready."""
    rows = (line.split() for line in kubectl(lab, "get", "nodes", "--no-headers", "-o", COLUMNS).splitlines())
    return {name: f"{address} {created}" for name, address, created, ready in rows if ready == "True"}


COLUMNS = (
    "custom-columns=NAME:.metadata.name,ADDRESS:.status.addresses[0].address,"
    "CREATED:.metadata.creationTimestamp,READY:.status.conditions[?(@.type=='Ready')].status"
)
