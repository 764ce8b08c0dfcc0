"""What the checks of the walk-through make of a cluster's answers, and their scripts in a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision.checks import test_dns as dns
from provision.checks import test_jobs as jobs
from provision.checks import test_network as network
from provision.checks import test_policy as policy
from provision.checks import test_services as services
from provision.checks import test_workloads as workloads
from provision.checks.walk import Peer
from provision.checks.walk_objects import Site

CP1, W1 = Peer("lab-cp1", "on-lab-cp1", "10.244.11.2"), Peer("lab-w1", "on-lab-w1", "10.244.21.2")
NODE = SimpleNamespace(name="lab-w1", ip="192.168.60.21")
WHOLE = str(4 * 2**20)


class FakeWalk:
    """Two nodes with a pod each; `answers` gives the output of a script, by a word in it."""

    def __init__(self, answers: dict[str, str] | None = None, addons: tuple[str, ...] = ()) -> None:
        self.answers = answers or {}
        self.namespace, self.domain = "ns", "cluster.local"
        self.site = Site("ns", "busybox:1", ["lab-cp1", "lab-w1"], ["lab-w1"], linger=2)
        self.lab = SimpleNamespace(
            scaled=lambda seconds: seconds,
            config=SimpleNamespace(addons=addons),
            control_plane=SimpleNamespace(name="lab-cp1"),
            context=SimpleNamespace(cni=SimpleNamespace(name="bridge", enforces_policies=False)),
        )
        self.applied: list[Any] = []
        self.kubectl = SimpleNamespace(text=lambda *words: "", apply=self.applied.append)
        self.placed: list[str] = []
        self.web = SimpleNamespace(
            wait=lambda replicas, timeout: None,
            pods=lambda: [{"spec": {"nodeName": node}} for node in self.placed],
        )
        self.found: dict[str, Any] = {}

    def peer(self, node: str) -> Peer:
        return next(peer for peer in self.peers() if peer.node == node)

    def peers(self) -> list[Peer]:
        return [CP1, W1]

    def others(self, node: str) -> list[Peer]:
        return [peer for peer in self.peers() if peer.node != node]

    def service(self, name: str) -> dict[str, Any]:
        return {"clusterIP": "10.96.7.7", "ports": [{"nodePort": 30007}]}

    def remaining(self) -> float:
        return 1.0

    def fetch(self, url: str, seconds: float = 1.0) -> str:
        return self.answers[url]

    def fetch_forwarded(self, pod: str, port: int) -> str:
        return self.answers[f"{pod}:{port}"]

    def run(self, node: str, script: str, *arguments: object) -> str:
        return next(answer for word, answer in self.answers.items() if word in script)

    def defines(self, *kinds: str) -> bool:
        return False

    def wait_for(self, *words: str, until: Callable[[Any], object], what: str, timeout: float = 1.0) -> Any:
        assert until(self.found), what
        return self.found


@pytest.mark.parametrize(
    ("check", "answers", "complaint"),
    [
        (
            network.test_pods_reach_each_other_across_nodes_by_their_own_addresses,
            {"caller": "10.244.11.2 10.244.21.2\n"},
            "",
        ),
        (
            network.test_pods_reach_each_other_across_nodes_by_their_own_addresses,
            {"caller": "10.244.11.2 192.168.60.21\n"},
            "10.244.11.2 192.168.60.21",
        ),
        (
            network.test_full_size_packets_pass_between_nodes,
            {"ping": "10.244.11.2 3 packets received of 3 of 1500 bytes\n"},
            "",
        ),
        (
            network.test_full_size_packets_pass_between_nodes,
            {"ping": "10.244.11.2 2 packets received of 3 of 1500 bytes\n"},
            "2 packets received of 3 of 1500 bytes",
        ),
        (network.test_full_size_packets_pass_between_nodes, {"ping": "10.244.11.2 nothing of 3"}, "nothing"),
        (
            network.test_a_large_transfer_from_every_node_arrives_complete,
            {"md5": f"{WHOLE}\nf00  -\nf00  -"},
            "",
        ),
        (
            network.test_a_large_transfer_from_every_node_arrives_complete,
            {"md5": "16384\nf00  -\nba5  -"},
            f"16384 of {WHOLE} bytes arrived from a pod on lab-w1 to one on lab-cp1",
        ),
        (
            network.test_a_large_transfer_from_every_node_arrives_complete,
            {"md5": f"{WHOLE}\nf00  -"},
            "was corrupted",
        ),
        (dns.test_service_names_resolve_on_every_node, {"nslookup": ""}, ""),
        (dns.test_pod_names_resolve_on_every_node, {"nslookup": "echo=10.96.7.7: NXDOMAIN"}, "NXDOMAIN"),
        (
            services.test_a_cluster_ip_reaches_all_its_pods_from_every_node,
            {"wget": "lab-cp1\nlab-w1\n"},
            "",
        ),
        (
            services.test_a_cluster_ip_reaches_all_its_pods_from_every_node,
            {"wget": "lab-w1\n"},
            r"reaches the pods on \['lab-w1'\], not those on \['lab-cp1', 'lab-w1'\]",
        ),
        (
            services.test_a_node_port_answers_the_host_on_every_node,
            {"http://192.168.60.21:30007/": "lab-cp1"},
            "",
        ),
        (
            services.test_a_node_port_answers_the_host_on_every_node,
            {"http://192.168.60.21:30007/": "another"},
            "'another'",
        ),
        (workloads.test_port_forward_reaches_a_pod_on_every_node, {"on-lab-w1:8080": "lab-w1"}, ""),
        (workloads.test_port_forward_reaches_a_pod_on_every_node, {"on-lab-w1:8080": ""}, "answers ''"),
    ],
)
def test_a_check_is_red_when_an_answer_is_wrong(
    check: Callable[..., None], answers: dict[str, str], complaint: str
) -> None:
    walk: Any = FakeWalk(answers)
    walk.lab.config = SimpleNamespace(network=SimpleNamespace(services=["10.96.0.0", "10.96.0.1"]))
    if not complaint:
        check(walk, NODE)
        return
    with pytest.raises(AssertionError, match=complaint):
        check(walk, NODE)


@pytest.mark.parametrize(
    ("homes", "placed", "complaint"),
    [
        (["w1"], ["w1", "w1", "w1"], ""),
        (["w1", "w2"], ["w1", "w2", "w1"], ""),
        (["w1", "w2"], ["w1", "w1", "w1"], "3 pods are not spread: {'w1': 3, 'w2': 0}"),
        (["w1"], ["w1", "w1", "cp1"], "run on cp1: its taint is missing"),
    ],
)
def test_pods_on_the_wrong_nodes_are_noticed(homes: list[str], placed: list[str], complaint: str) -> None:
    walk: Any = FakeWalk()
    walk.site = Site("ns", "busybox:1", ["cp1", *homes], homes, linger=2)
    walk.placed = placed
    if not complaint:
        workloads.test_a_scaled_deployment_spreads_over_the_workers(walk)
        return
    with pytest.raises(AssertionError) as noticed:
        workloads.test_a_scaled_deployment_spreads_over_the_workers(walk)
    assert complaint in str(noticed.value)


@pytest.mark.parametrize(
    ("counted", "complaint"),
    [
        ("40\n0\n", ""),
        ("40\n2\nwget: timed out\n", "2 of 40 requests failed: wget: timed out"),
        ("3\n0\n", "only 3 requests were made"),
    ],
)
def test_a_request_that_failed_during_an_update_is_noticed(counted: str, complaint: str) -> None:
    walk: Any = FakeWalk({"touch /tmp/enough": counted, "wget": ""})
    walk.found = {"items": [{}, {}]}
    if not complaint:
        workloads.test_a_rolling_update_fails_no_request(walk)
        return
    with pytest.raises(AssertionError, match=complaint):
        workloads.test_a_rolling_update_fails_no_request(walk)


@pytest.mark.parametrize(("owner", "found"), [("every-minute", True), ("another", False)])
def test_a_cron_job_is_known_by_the_job_that_it_made(owner: str, found: bool) -> None:
    walk: Any = FakeWalk()
    owned = {"metadata": {"ownerReferences": [{"kind": "CronJob", "name": owner}]}}
    walk.found = {"items": [{"metadata": {}}, owned]}
    walk.kubectl = lambda *words: {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}
    if found:
        jobs.test_a_cron_job_starts_a_job_on_time(walk)
        return
    with pytest.raises(AssertionError, match="a Job of the CronJob"):
        jobs.test_a_cron_job_starts_a_job_on_time(walk)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (policy.test_a_network_policy_is_enforced, r"\(bridge\) does not enforce NetworkPolicies"),
        (services.test_a_load_balancer_gives_an_address_that_answers_the_host, "add-on loadbalancer"),
    ],
)
def test_what_the_cluster_does_not_have_is_skipped_and_said(
    check: Callable[[Any], None], reason: str
) -> None:
    walk = FakeWalk()
    with pytest.raises(pytest.skip.Exception, match=reason):
        check(walk)
    assert walk.applied == []


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a script, with programs of ours before those of the host."""

    def run(script: str, *arguments: object, **programs: str) -> str:
        for name, text in programs.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        ended = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *map(str, arguments)],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return ended.stdout

    return run


NSLOOKUP = """
printf 'Server:\\t\\t10.96.0.10\\nAddress:\\t10.96.0.10:53\\n\\nName:\\t%s\\nAddress: 10.96.1.12\\n' "$2"
# What it does when another domain of the search list has no such name.
exit 1
"""


def test_a_name_is_resolved_once_its_address_is_among_the_answers(shell: Callable[..., str]) -> None:
    assert shell(dns.RESOLVE, 0, "echo=10.96.1.12", "other=10.96.1.12", nslookup=NSLOOKUP) == ""


def test_an_address_that_only_begins_alike_is_not_it(shell: Callable[..., str]) -> None:
    problem = shell(dns.RESOLVE, 0, "echo=10.96.1.1", nslookup=NSLOOKUP)
    assert problem.startswith("echo=10.96.1.1: Server: 10.96.0.10")
    assert len(problem.splitlines()) == 1


def test_asking_ends_as_soon_as_all_have_answered(shell: Callable[..., str], tmp_path: Path) -> None:
    turn = tmp_path / "turns"
    wget = f'echo x >>{turn}; [ "$(wc -l <{turn})" -lt 3 ] && echo lab-w1 || echo lab-cp1'
    assert shell(services.ASK_FOR_ALL, 60, 2, "http://a/", wget=wget) == "lab-cp1\nlab-w1\n"
    assert len(turn.read_text().splitlines()) == 3


def test_asking_ends_at_its_deadline(shell: Callable[..., str]) -> None:
    assert shell(services.ASK_FOR_ALL, 1, 2, "http://a/", wget="echo lab-w1") == "lab-w1\n"


@pytest.mark.parametrize(("code", "wanted", "said"), [(0, 0, True), (1, 1, True), (0, 1, False)])
def test_a_policy_is_judged_by_whether_requests_come_through(
    shell: Callable[..., str], code: int, wanted: int, said: bool
) -> None:
    assert bool(shell(policy.ASK_UNTIL, 0, wanted, "http://a/", wget=f"exit {code}")) is said
