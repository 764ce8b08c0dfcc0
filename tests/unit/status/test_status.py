from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.cluster.health import COMPONENTS
from provision.cni.choose import cni_of
from provision.config.inventory import Node
from provision.errors import Cancelled, ConfigError, ConnectFailed, Result, ToolFailed
from provision.lab import start_record
from provision.lab.start_record import UNKNOWN
from provision.lifecycle.up import show_cluster
from provision.providers.base import SnapshotBackend
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.manifests import Manifests
from provision.status.gather import gather
from provision.status.screen import DAYS_TO_WARN, SHOWN, show, watch
from provision.verify import record as verify_record
from provision.verify.record import VerifyRecord
from tests.fakes.lab import Lab, changed, make_lab
from tests.fakes.node.credentials import NOW, certificate
from tests.fakes.node.runner import Call
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.snapshots import FakeVm
from tests.fakes.snapshots import manifest

KINDS = "get nodes,pods,deployments,daemonsets,networkpolicies.networking.k8s.io --all-namespaces -o json"
READYZ = "get --raw /readyz?verbose"
CREATED = "2026-11-01T00:00:00Z"
PKI = "/etc/kubernetes/pki"
# Certificates are made relative to NOW.
FROM_NOW = (dt.datetime.fromtimestamp(NOW, dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds() / 86400


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a healthy cluster of two nodes."""
    return healthy(make_lab(tmp_path, workers={"count": 1}))


def healthy(made: Lab) -> Lab:
    made.ctx.workspace.kubeconfig.write_text("a kubeconfig\n")
    for node in made.ctx.inventory.nodes:
        made.machines.make(node.name)
        made.backend.vms[id_of(node.machine)] = FakeVm()
    answer(made, whole(made))
    made.kubectl.answer(READYZ, "[+]etcd ok\nreadyz check passed\n")
    certificates(made, {f"{PKI}/ca.crt": 3000, f"{PKI}/apiserver.crt": 300})
    return made


def answer(lab: Lab, items: list[dict[str, Any]]) -> None:
    lab.kubectl.answer(KINDS, json.dumps({"items": items}))


def whole(lab: Lab, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a healthy cluster holds, and `more`."""
    nodes = [ready(node) for node in lab.ctx.inventory.nodes]
    first = lab.ctx.inventory.first.name
    return [*nodes, *(component(name, first) for name in COMPONENTS), *more]


def ready(node: Node, state: str = "True", name: str = "") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": state, "message": "container runtime is down"}]
    addresses = [{"type": "InternalIP", "address": node.ip}]
    content = {"conditions": conditions, "addresses": addresses, "nodeInfo": {"kubeletVersion": "v1.36.3"}}
    metadata = {"name": name or node.name, "creationTimestamp": CREATED}
    return {"kind": "Node", "metadata": metadata, "spec": {}, "status": content}


def pod(name: str, namespace: str = "default", **status: Any) -> dict[str, Any]:
    fine = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": CREATED}
    spec = {"nodeName": "lab-cp1"}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": fine | status}


def component(name: str, node: str = "lab-cp1", **status: Any) -> dict[str, Any]:
    made = pod(f"{name}-{node}", "kube-system", **status)
    made["metadata"]["labels"] = {"component": name, "tier": "control-plane"}
    return made


def pending(name: str) -> dict[str, Any]:
    waiting = {"name": "web", "restartCount": 4, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    return pod(name, phase="Pending", conditions=[], containerStatuses=[waiting])


def certificates(lab: Lab, days: dict[str, float]) -> None:
    """Let the control plane show certificates that end so many days from now."""
    text = ""
    for path, left in days.items():
        pem = certificate(left - FROM_NOW)
        content = f"data {base64.b64encode(pem.encode()).decode()}\n" if path.endswith(".conf") else pem
        text += f"-- {path}\n{content}"
    lab.runners[lab.ctx.inventory.first.name].script[:] = [("BEGIN CERTIFICATE", Result(text, "", 0))]


def told(lab: Lab) -> dict[str, Any]:
    """Gather and show the lab, and return what programs are told."""
    found = gather(lab.ctx)
    show(lab.ctx, found)
    known: dict[str, Any] = lab.report.of("result")[-1]["data"]
    assert found.healthy == known["healthy"] == (not known["problems"])
    assert json.loads(json.dumps(known)) == known
    return known


def table(lab: Lab, title: str) -> list[list[str]]:
    """Return the rows of the table that was shown last under `title`."""
    found = [event for event in lab.report.of("table") if event["title"] == title]
    return [list(row) for row in found[-1]["rows"]]


def facts(lab: Lab) -> dict[str, str]:
    return {row[0]: row[1] for row in table(lab, "Lab lab")}


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: object) -> Any:
        raise error

    return fail


def test_a_cluster_is_healthy_when_all_of_it_is(lab: Lab) -> None:
    known = told(lab)
    assert known["healthy"]
    age = f"{(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(CREATED)).days} d"
    assert table(lab, "Nodes") == [
        ["lab-cp1", "control-plane", "192.168.60.11", "running", "Ready", "v1.36.3", age],
        ["lab-w1", "worker", "192.168.60.21", "running", "Ready", "v1.36.3", age],
    ]
    assert table(lab, "Control plane")[0] == ["kube-apiserver", "lab-cp1", "Ready", "0", age]
    assert [row[0] for row in table(lab, "Control plane")] == list(COMPONENTS)
    shown = facts(lab)
    assert (shown["API server"], shown["pods"]) == ("ready", "4 of 4 Ready or completed")
    assert (shown["last verify"], shown["snapshot"]) == ("never", "none")
    assert shown["certificates"] == f"299 days left (lab-cp1: {PKI}/apiserver.crt)"
    assert lab.report.of("warn") == lab.report.of("next_commands") == []
    assert known["unknown"] == {}


def test_a_node_that_is_not_ready_is_named_with_its_reason(lab: Lab) -> None:
    first, second = lab.ctx.inventory.nodes
    answer(lab, [*whole(lab)[2:], ready(first), ready(second, "False")])
    assert told(lab)["problems"] == ["node lab-w1 is not Ready: container runtime is down"]
    assert [event["text"] for event in lab.report.of("warn")] == told(lab)["problems"]
    assert table(lab, "Nodes")[1][4] == "NotReady"


def test_nodes_that_are_cordoned_missing_or_not_in_the_labs_file_are_shown_so(lab: Lab) -> None:
    first, second = lab.ctx.inventory.nodes
    cordoned = {**ready(first), "spec": {"unschedulable": True}}
    answer(lab, [*whole(lab)[2:], cordoned, ready(second, name="spare")])
    known = told(lab)
    assert known["problems"] == ["node lab-w1 is not in the cluster"]
    rows = table(lab, "Nodes")
    assert [row[3:5] for row in rows] == [
        ["running", "Ready, cordoned"],
        ["running", "not in the cluster"],
        ["not in lab.yaml", "Ready"],
    ]
    assert [(node["name"], node["in_lab"]) for node in known["nodes"]][-1] == ("spare", False)


@pytest.mark.parametrize("state", ["stopped", "paused", None])
def test_a_machine_that_does_not_run_is_a_problem_before_its_node_is(lab: Lab, state: str | None) -> None:
    if state is None:
        del lab.machines.state["lab-w1"]
        del lab.backend.vms[id_of("lab-w1")]
    else:
        lab.machines.state["lab-w1"] = state
    assert told(lab)["problems"] == [f"machine lab-w1 is {state or 'missing'}"]
    assert table(lab, "Nodes")[1][3:5] == [state or "missing", "Ready"]
    following = "kubelab start" if state else "kubelab up"
    assert lab.report.of("next_commands")[-1]["commands"] == [following]


@pytest.mark.parametrize(("state", "word"), [("stopped", "stopped"), ("saved", "saved")])
def test_a_lab_that_is_off_is_told_as_one_and_start_is_next(lab: Lab, state: str, word: str) -> None:
    lab.machines.state["lab-cp1"], lab.machines.state["lab-w1"] = state, "stopped"
    (problem,) = told(lab)["problems"]
    assert problem.startswith(f"the lab is {word}: ")
    assert facts(lab)["API server"] == problem
    assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab start"]
    assert lab.kubectl.calls == []


def test_an_interrupted_start_is_told_while_nothing_goes_on_with_it(lab: Lab) -> None:
    start_record.write(lab.ctx.workspace, UNKNOWN)
    assert told(lab)["healthy"]
    assert lab.report.of("warn")[-1]["text"].endswith("kubelab start goes on")
    assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab start"]
    with lab.ctx.workspace.lock():
        told(lab)
    assert len(lab.report.of("next_commands")) == 1


def test_an_api_server_whose_machine_is_off_is_not_waited_for(lab: Lab) -> None:
    lab.machines.state["lab-cp1"] = "stopped"
    known = told(lab)
    assert known["problems"] == ["machine lab-cp1 is stopped"]
    assert facts(lab)["API server"] == "machine lab-cp1 is stopped"
    assert (facts(lab)["pods"], facts(lab)["certificates"]) == ("unknown", "unknown")
    assert table(lab, "Nodes")[1][3:5] == ["running", "unknown"]
    assert lab.kubectl.calls == lab.runners["lab-cp1"].calls == []


def test_an_api_server_that_does_not_answer_is_told_in_one_line_with_all_else(lab: Lab) -> None:
    noise = "E1121 10:00:00.1 17 memcache.go:265] couldn't get current server API group list\n"
    for question in (KINDS, READYZ):
        lab.kubectl.answer(question, stderr=f"{noise}connection refused\n", code=1)
    assert told(lab)["problems"] == ["the API server does not answer: connection refused"]
    assert facts(lab)["API server"] == "the API server does not answer: connection refused"
    assert "days left" in facts(lab)["certificates"]
    assert table(lab, "Nodes")[0][3:5] == ["running", "unknown"]


def test_what_fails_of_readyz_is_named_even_when_nothing_else_answers(lab: Lab) -> None:
    text = 'an error on the server ("[+]ping ok\\n[-]etcd failed: reason withheld") has prevented\n'
    lab.kubectl.answer(READYZ, stderr=text, code=1)
    assert told(lab)["problems"] == ["the API server is not ready: etcd"]
    assert facts(lab)["API server"] == "not ready: etcd"
    lab.kubectl.answer(KINDS, stderr="etcdserver: request timed out\n", code=1)
    slow = "the API server does not answer: etcdserver: request timed out"
    assert told(lab)["problems"] == [slow, "the API server is not ready: etcd"]


def test_what_fails_of_readyz_for_a_moment_is_no_problem(lab: Lab) -> None:
    # On a busy host an etcd that answered late once made `status` red after a restore.
    lab.kubectl.answer(READYZ, stderr="[+]ping ok\n[-]etcd failed: reason withheld\n", code=1)
    lab.ctx.fake_clock.on_sleep = lambda: lab.kubectl.answer(READYZ, "[+]etcd ok\nreadyz check passed\n")
    assert told(lab)["problems"] == []
    assert facts(lab)["API server"] == "ready"


def test_readyz_that_gives_no_answer_is_a_problem(lab: Lab) -> None:
    lab.kubectl.answer(READYZ, stderr="Forbidden\n", code=1)
    assert told(lab)["problems"] == ["/readyz does not answer: Forbidden"]
    assert facts(lab)["API server"] == "Forbidden"


def test_a_component_without_a_pod_is_missed(lab: Lab) -> None:
    items = [item for item in whole(lab) if item["metadata"]["name"] != "kube-scheduler-lab-cp1"]
    # Another namespace's pod of that name is no scheduler.
    answer(lab, [*items, pod("kube-scheduler-lab-cp1")])
    assert told(lab)["problems"] == ["kube-scheduler is not running on lab-cp1"]


def test_a_component_that_is_not_ready_says_why(lab: Lab) -> None:
    crash = {"name": "etcd", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    items = [item for item in whole(lab) if item["metadata"]["name"] != "etcd-lab-cp1"]
    answer(lab, [*items, component("etcd", conditions=[], containerStatuses=[crash])])
    assert not told(lab)["healthy"]
    row = next(row for row in table(lab, "Control plane") if row[0] == "etcd")
    assert row[2:4] == ["Running: container etcd CrashLoopBackOff", "7"]


def test_pods_that_are_not_ready_have_a_table_and_no_warning_each(lab: Lab) -> None:
    vital = pending("dns")
    vital["metadata"]["namespace"] = "kube-system"
    answer(lab, whole(lab, vital))
    known = told(lab)
    assert known["problems"] == ["pod kube-system/dns is Pending: container web ImagePullBackOff"]
    assert len(table(lab, "Pods not Ready")) == 1
    assert lab.report.of("warn") == []


def test_a_pod_that_a_user_broke_is_shown_and_the_lab_is_healthy(lab: Lab) -> None:
    answer(lab, whole(lab, pending("web-1"), pod("done", phase="Succeeded", conditions=[])))
    known = told(lab)
    reason = "Pending: container web ImagePullBackOff"
    assert known["healthy"]
    (row,) = table(lab, "Pods not Ready")
    assert row[:5] == ["default", "web-1", "lab-cp1", reason, "4"]
    assert facts(lab)["pods"] == "5 of 6 Ready or completed"
    assert lab.report.of("warn") == []


@pytest.mark.parametrize(
    ("cni", "ignored"), [("bridge", 1), ("calico", 0), ("none", 0), ({"manifest": "/tmp/net.yaml"}, 0)]
)
def test_a_policy_without_effect_is_told(tmp_path: Path, cni: object, ignored: int) -> None:
    made = make_lab(tmp_path, cni=cni, workers={"count": 1})
    lab = healthy(dataclasses.replace(made, ctx=changed(made.ctx, cni=cni_of(made.ctx.config.cni))))
    metadata = {"name": "deny", "namespace": "default"}
    answer(lab, whole(lab, {"kind": "NetworkPolicy", "metadata": metadata, "spec": {}}))
    known = told(lab)
    assert known["healthy"]
    assert known["policies"] == {"total": 1, "ignored": ignored}
    warned = [event["text"] for event in lab.report.of("warn")]
    told_so = "1 NetworkPolicy has no effect: the pod network bridge does not enforce them"
    assert warned == [told_so] * ignored


def test_the_screen_stays_one_screen_and_programs_get_all(lab: Lab) -> None:
    answer(lab, whole(lab, *(pending(f"web-{number}") for number in range(SHOWN + 5))))
    known = told(lab)
    assert len(table(lab, "Pods not Ready")) == SHOWN
    assert any("and 5 more" in event["text"] for event in lab.report.of("info"))
    assert len(known["pods"]["not_ready"]) == SHOWN + 5


def test_a_hypervisor_that_does_not_answer_hides_nothing_else(lab: Lab) -> None:
    failed = ToolFailed(["virsh", "list"], 1, "error: failed to connect to the hypervisor\n")
    lab.machines.states = raising(failed)  # type: ignore[method-assign]
    known = told(lab)
    assert known["problems"] == ["the hypervisor does not answer: error: failed to connect to the hypervisor"]
    assert [row[3:5] for row in table(lab, "Nodes")] == [["unknown", "Ready"]] * 2
    assert facts(lab)["snapshot"] == "the hypervisor does not answer"
    assert "days left" in facts(lab)["certificates"]


def test_ssh_that_is_refused_hides_the_certificates_alone(lab: Lab) -> None:
    lab.runners["lab-cp1"].script[:] = [("", ConnectFailed("lab-cp1", "connection refused"))]
    why = "lab-cp1: connection refused"
    assert told(lab)["problems"] == [f"the certificates cannot be read: {why}"]
    assert facts(lab)["certificates"] == why
    assert facts(lab)["pods"] == "4 of 4 Ready or completed"


def test_a_certificate_that_cannot_be_understood_is_named(lab: Lab) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"
    answered = Result(f"-- {PKI}/apiserver.crt\n{broken}", "", 0)
    lab.runners["lab-cp1"].script[:] = [("", answered)]
    (problem,) = told(lab)["problems"]
    assert f"{PKI}/apiserver.crt" in problem


def test_the_certificate_that_ends_first_is_shown_and_warned_of_in_time(lab: Lab) -> None:
    conf = "/etc/kubernetes/scheduler.conf"
    soon = {f"{PKI}/apiserver.crt": DAYS_TO_WARN - 0.5, conf: 20.5, "/etc/kubernetes/kubelet.conf": 3000.0}
    certificates(lab, soon | {f"{PKI}/ca.crt": DAYS_TO_WARN + 1.0})
    known = told(lab)
    assert known["healthy"]
    assert facts(lab)["certificates"] == f"20 days left (lab-cp1: {conf})"
    (warning,) = lab.report.of("warn")
    assert warning["text"].startswith("2 certificates")
    assert [each["days"] for each in known["certificates"]][:2] == [20, DAYS_TO_WARN - 1]


def test_a_kubeconfig_that_names_a_file_holds_no_certificate(lab: Lab) -> None:
    pem = certificate(9.5 - FROM_NOW)
    text = f"-- /etc/kubernetes/kubelet.conf\n-- {PKI}/apiserver.crt\n{pem}"
    lab.runners["lab-cp1"].script[:] = [("", Result(text, "", 0))]
    assert [each["file"] for each in told(lab)["certificates"]] == [f"{PKI}/apiserver.crt"]


def test_a_certificate_that_has_ended_is_a_problem(lab: Lab) -> None:
    certificates(lab, {f"{PKI}/apiserver.crt": -1.5})
    (problem,) = told(lab)["problems"]
    assert f"the certificate {PKI}/apiserver.crt of lab-cp1 expired on 20" in problem


def test_the_snapshot_the_lab_stands_on_is_shown_with_its_age(lab: Lab) -> None:
    store = Manifests(lab.ctx.workspace.snapshots, "lab")
    hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1, minutes=5)
    store.write(manifest("before", None).model_copy(update={"time": hour_ago, "note": "all is well"}))
    for vm in lab.backend.vms.values():
        vm.held, vm.current = {"before": ("", True)}, "before"
    assert told(lab)["snapshot"]["name"] == "before"
    assert facts(lab)["snapshot"] == "before, 1 h ago: all is well"
    lab.backend.vms[id_of("lab-w1")].current = None
    assert told(lab)["snapshot"] is None
    assert facts(lab)["snapshot"] == "none"


def test_a_provider_without_snapshots_says_so(lab: Lab) -> None:
    def no_snapshots(cancel: threading.Event) -> SnapshotBackend:
        raise ConfigError("it has no snapshots", key="provider")

    ctx = dataclasses.replace(lab.ctx, snapshots=no_snapshots)
    assert told(dataclasses.replace(lab, ctx=ctx))["healthy"]
    assert facts(lab)["snapshot"] == "provider: it has no snapshots"


@pytest.mark.parametrize("green", [True, False])
def test_the_last_verification_is_shown_and_does_not_decide_about_now(lab: Lab, green: bool) -> None:
    failures = () if green else ("test_dns_answers: no answer",)
    time = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=3, seconds=5)
    counts = {"passed": 40, "failed": len(failures), "skipped": 2}
    record = VerifyRecord(time=time, green=green, quick=True, seconds=31.5, failures=failures, **counts)
    verify_record.write(lab.ctx.workspace, record)
    known = told(lab)
    assert known["healthy"]
    assert (known["verify"]["green"], known["verify"]["passed"]) == (green, 40)
    if green:
        assert facts(lab)["last verify"] == "green, quick, 3 min ago: 40 passed, 0 failed, 2 skipped"
        assert lab.report.of("next_commands") == []
    else:
        assert facts(lab)["last verify"].startswith("red, quick, 3 min ago: 40 passed, 1 failed")
        assert facts(lab)["last verify"].endswith("test_dns_answers: no answer")
        assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab verify"]


def test_without_machines_or_cluster_the_next_command_is_up(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    assert told(lab)["problems"] == ["the lab has no machines"]
    lab.machines.up()
    lab.backend.vms = {machine: FakeVm() for machine in lab.machines.ids().values()}
    assert told(lab)["problems"] == ["the lab has no cluster yet"]
    assert [event["commands"] for event in lab.report.of("next_commands")] == [["kubelab up"]] * 2
    assert lab.kubectl.calls == []


def test_a_cache_without_kubectl_is_told(lab: Lab) -> None:
    ctx = changed(lab.ctx, find_bundle=lambda: None)
    (problem,) = told(dataclasses.replace(lab, ctx=ctx))["problems"]
    assert problem.startswith("kubectl is missing")


def test_an_interrupted_snapshot_command_is_told_before_all_else(lab: Lab) -> None:
    journal = snapshot_journal.Journal(action="save", name="a", time=dt.datetime.now(dt.UTC), ids={})
    snapshot_journal.write(lab.ctx.workspace, journal)
    told(lab)
    assert lab.report.events[0][0] == "warn"
    assert "`kubelab snapshot save a` was interrupted" in lab.report.of("warn")[0]["text"]


def test_everything_is_asked_at_once(lab: Lab) -> None:
    # The hypervisor answers only when the API server and the control plane have been asked.
    asked = threading.Event()
    answered = lab.runners["lab-cp1"].script[0][1]

    def certificates_are_read(call: Call) -> Result:
        asked.set()
        assert isinstance(answered, Result)
        return answered

    lab.runners["lab-cp1"].script[:] = [("", certificates_are_read)]
    lab.backend.before = lambda call: None if asked.wait(10) else pytest.fail("asked one by one")
    assert told(lab)["healthy"]


def test_being_given_up_is_no_state_of_the_lab(lab: Lab) -> None:
    lab.machines.states = raising(Cancelled("given up"))  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        gather(lab.ctx)
    lab.ctx.cancel.set()
    del lab.machines.states
    with pytest.raises(Cancelled):
        gather(lab.ctx)


def test_up_shows_also_a_node_that_is_not_in_the_labs_file_or_never_spoke(lab: Lab) -> None:
    first = lab.ctx.inventory.first
    silent = {"kind": "Node", "metadata": {"name": "spare"}, "status": {}}
    shown = json.dumps({"items": [ready(first), silent, pod("web-1")]})
    lab.kubectl.answer("get nodes,pods --all-namespaces -o json", shown)
    show_cluster(lab.ctx)
    assert table(lab, "Nodes")[1] == ["spare", "NotReady", "worker", "", ""]
    assert table(lab, "Pods") == [["default", "web-1", "Running", "0", "lab-cp1"]]


def test_up_does_not_end_red_because_its_last_question_failed_in_passing(lab: Lab) -> None:
    question = "get nodes,pods --all-namespaces -o json"
    late = "Unable to connect to the server: net/http: TLS handshake timeout"
    lab.kubectl.answer(question, stderr=late, code=1)
    shown = json.dumps({"items": [ready(lab.ctx.inventory.first)]})
    lab.ctx.fake_clock.on_sleep = lambda: lab.kubectl.answer(question, shown)
    show_cluster(lab.ctx)
    assert [row[:2] for row in table(lab, "Nodes")] == [["lab-cp1", "Ready"]]
    assert any("TLS handshake timeout" in event["text"] for event in lab.report.of("info"))


def watched(lab: Lab, rounds: int, *, redraw: bool, change: Callable[[int], None] | None = None) -> int:
    """Watch for so many rounds, changing the world between them, and return how often it was shown."""
    number = 0

    def on_sleep() -> None:
        nonlocal number
        number += 1
        if number == rounds:
            raise KeyboardInterrupt
        if change is not None:
            change(number)

    lab.ctx.fake_clock.on_sleep = on_sleep
    with pytest.raises(KeyboardInterrupt):
        watch(lab.ctx, redraw=redraw)
    return len(lab.report.of("result"))


def test_off_a_terminal_a_watched_lab_is_shown_again_when_something_changed(lab: Lab) -> None:
    def change(number: int) -> None:
        if number == 3:
            answer(lab, whole(lab, pending("web-1")))

    assert watched(lab, 6, redraw=False, change=change) == 2
    assert [len(event["data"]["pods"]["not_ready"]) for event in lab.report.of("result")] == [0, 1]


def test_an_error_that_stays_is_no_change(lab: Lab) -> None:
    def change(number: int) -> None:
        lab.kubectl.answer(KINDS, stderr=f"E1121 10:00:0{number} memcache.go\nrefused\n", code=1)

    change(0)
    assert watched(lab, 4, redraw=False, change=change) == 1


def test_on_a_terminal_a_watched_lab_is_drawn_anew_every_time(lab: Lab) -> None:
    assert watched(lab, 4, redraw=True) == 4


def test_nodes_are_shown_by_names_of_their_own(tmp_path: Path) -> None:
    named = {"lab-cp1": {"name": "m-k8s"}, "lab-w1": {"name": "w1-k8s"}}
    lab = make_lab(tmp_path, workers={"count": 1}, nodes=named)
    healthy(lab)
    found = gather(lab.ctx)
    assert found.healthy
    assert found.states == {"m-k8s": "running", "w1-k8s": "running"}
    lab.machines.state["w1-k8s"] = "stopped"
    assert "machine w1-k8s is stopped" in gather(lab.ctx).problems
