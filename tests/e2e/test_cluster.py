"""What a user of a fresh cluster relies on, on real machines."""

from __future__ import annotations

import itertools
import subprocess
import urllib.request

import pytest
from testinfra.host import Host

from provision.cluster.health import condition, internal_ips, restarts
from provision.cluster.kubectl import Kubectl
from tests.e2e.cluster import Cluster

ECHO = "echo"
LABELS = {"app": ECHO}


def _deployment(image: str) -> dict[str, object]:
    """Return a web server on every node, the control plane included; each pod serves its own name."""
    serve = "mkdir -p /tmp/www && hostname > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"
    container = {
        "name": ECHO,
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", serve],
        "readinessProbe": {"httpGet": {"port": 8080}, "timeoutSeconds": 30},
    }
    apart = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": LABELS}}
    pod = {
        "containers": [container],
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "terminationGracePeriodSeconds": 0,
    }
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": ECHO}, "spec": spec}


def _service() -> dict[str, object]:
    spec = {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": ECHO}, "spec": spec}


@pytest.fixture(scope="module")
def pods(kubectl: Kubectl, image: str, wait_for) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """Return node -> pod of the web servers, once all of them are Ready."""
    kubectl.apply([_deployment(image), _service()])

    def ready() -> dict[str, str] | None:
        found = kubectl.items("pods", f"--selector=app={ECHO}")
        if [condition(pod, "Ready") for pod in found] != ["True", "True"]:
            return None
        return {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in found}

    placed = wait_for(ready, "two Ready web servers")
    return dict(placed)


def _fetch(kubectl: Kubectl, pod: str, url: str) -> str:
    return kubectl("exec", pod, "--", "wget", "-q", "-T", "20", "-O", "-", url, deadline=120).strip()


def test_every_node_is_ready_under_its_own_address(cluster: Cluster, kubectl: Kubectl) -> None:
    nodes = {item["metadata"]["name"]: item for item in kubectl.items("nodes")}
    wanted = {node.name: [node.ip] for node in cluster.context.inventory.nodes}
    assert {name: internal_ips(node) for name, node in nodes.items()} == wanted
    assert {condition(node, "Ready") for node in nodes.values()} == {"True"}


def test_the_deployment_runs_on_both_nodes(cluster: Cluster, pods: dict[str, str]) -> None:
    assert set(pods) == {node.name for node in cluster.context.inventory.nodes}


def test_dns_answers_in_a_pod_on_every_node(kubectl: Kubectl, pods: dict[str, str], wait_for) -> None:  # type: ignore[no-untyped-def]
    address = kubectl.json("get", "service", "kubernetes")["spec"]["clusterIP"]
    for pod in pods.values():

        def resolves(pod: str = pod) -> bool:
            return address in kubectl("exec", pod, "--", "nslookup", "kubernetes.default.svc.cluster.local")

        wait_for(resolves, f"an answer of DNS to {pod}", seconds=20)


def test_the_service_is_reached_from_a_pod_on_either_node(
    kubectl: Kubectl, pods: dict[str, str], wait_for
) -> None:  # type: ignore[no-untyped-def]
    for pod in pods.values():
        seen: set[str] = set()

        def both(pod: str = pod, seen: set[str] = seen) -> bool:
            seen.add(_fetch(kubectl, pod, f"http://{ECHO}"))
            return seen == set(pods.values())

        wait_for(both, f"answers of both web servers to {pod}")


def test_a_pod_sees_another_pods_own_address(kubectl: Kubectl, pods: dict[str, str], wait_for) -> None:  # type: ignore[no-untyped-def]
    ips = {name: kubectl.json("get", "pod", name)["status"]["podIP"] for name in pods.values()}
    for asker, other in itertools.permutations(pods.values()):

        def answers(asker: str = asker, other: str = other) -> bool:
            return _fetch(kubectl, asker, f"http://{ips[other]}:8080") == other

        wait_for(answers, f"an answer of {other} to {asker}", seconds=20)


def test_the_node_port_answers_the_host_on_every_node(
    cluster: Cluster, kubectl: Kubectl, pods: dict[str, str], wait_for
) -> None:  # type: ignore[no-untyped-def]
    port = kubectl.json("get", "service", ECHO)["spec"]["ports"][0]["nodePort"]
    for node in cluster.context.inventory.nodes:

        def answers(url: str = f"http://{node.ip}:{port}") -> bool:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.read().decode().strip() in pods.values()

        wait_for(answers, f"an answer on port {port} of {node.name}", seconds=20)


def test_kubelet_and_containerd_run_and_start_at_boot(host: Host) -> None:
    for name in ("kubelet", "containerd"):
        assert host.service(name).is_running
        assert host.service(name).is_enabled


def test_swap_is_off_and_stays_off(host: Host) -> None:
    assert host.check_output("tail -n +2 /proc/swaps") == ""
    assert "swap" not in host.file("/etc/fstab").content_string


def test_only_the_labs_own_key_may_log_in(cluster: Cluster, host: Host) -> None:
    key = cluster.context.workspace.ssh_key.with_name("id_ed25519.pub").read_text()
    assert host.file("/home/vagrant/.ssh/authorized_keys").content_string.strip() == key.strip()
    assert not host.file("/root/.ssh/authorized_keys").exists


def test_the_guests_clock_is_the_hosts(host: Host) -> None:
    assert (
        host.file("/sys/devices/system/clocksource/clocksource0/current_clocksource").content_string
        == "tsc\n"
    )


def test_every_join_token_expires(kubectl: Kubectl) -> None:
    secrets = kubectl.items(
        "secrets", "-n", "kube-system", "--field-selector=type=bootstrap.kubernetes.io/token"
    )
    assert all("expiration" in secret["data"] for secret in secrets)


def test_up_again_changes_nothing(cluster: Cluster, kubectl: Kubectl) -> None:
    before = {pod["metadata"]["uid"]: restarts(pod) for pod in kubectl.items("pods", "-A")}
    (result,) = [event["data"] for event in cluster.events("up") if event["event"] == "result"]
    assert result["changed"] == []
    assert {pod["metadata"]["uid"]: restarts(pod) for pod in kubectl.items("pods", "-A")} == before


def test_nothing_restarted_since_the_cluster_was_ready(
    kubectl: Kubectl, pods: dict[str, str], restarts_of_up: dict[str, int]
) -> None:
    now = {pod["metadata"]["uid"]: pod for pod in kubectl.items("pods", "-A")}
    assert set(restarts_of_up) <= set(now)
    # On a busy host the control plane's own start may take a second try; nothing else may.
    tiers = {uid: (pod["metadata"].get("labels") or {}).get("tier") for uid, pod in now.items()}
    allowed = {uid: count for uid, count in restarts_of_up.items() if tiers[uid] == "control-plane"}
    assert [pod["metadata"]["name"] for uid, pod in now.items() if restarts(pod) > allowed.get(uid, 0)] == []


def test_kubectl_through_kubelab(cluster: Cluster, wait_for) -> None:  # type: ignore[no-untyped-def]
    def lines() -> list[str]:
        return cluster.kubelab("kubectl", "--", "get", "nodes", "--no-headers", check=False).splitlines()

    wait_for(lambda: len(lines()) == len(cluster.context.inventory.nodes), "the list of nodes")


def test_ssh_through_kubelab(cluster: Cluster) -> None:
    node = cluster.context.inventory.first.name
    ended = subprocess.run(
        ["ssh", "-F", str(cluster.context.workspace.ssh_config), node, "hostname"],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert ended.stdout.strip() == node
