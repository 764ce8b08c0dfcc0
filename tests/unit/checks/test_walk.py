"""The walk-through over a kubectl that answers from a script."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision.checks import walk as walk_module
from provision.checks.from_host import fetch
from provision.checks.walk import LEAST_SECONDS, START_SECONDS, Walk, begin, pytest_collection_modifyitems
from provision.errors import CommandTimeout, WaitTimeout
from provision.testing.kubectl import LabKubectl
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode
from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.lab import Lab, make_lab

SPACE = "kubelab-verify-abc"


class Shell:
    """Notes the commands of a node; `error` is what each of them ends with."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.commands: list[str] = []

    def run(self, command: str, deadline: float) -> tuple[bytes, bytes, int]:
        self.commands.append(command)
        if self.error is not None:
            raise self.error
        return b"", b"", 0

    def close(self) -> None:
        pass


def under_test(lab: Lab, shell: Shell) -> LabUnderTest:
    found = LabUnderTest(lab.ctx)
    found.nodes = [LabNode(node, lambda: shell, lab.ctx.scaled) for node in lab.ctx.inventory.nodes]
    return found


@pytest.fixture
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Lab:
    """Return a lab of one control plane and, unless a test says otherwise, one worker."""
    workers = {"count": getattr(request, "param", 1)}
    made = make_lab(
        tmp_path, changes={"find_bundle": lambda: bundle}, workers=workers, controlPlanes={"count": 1}
    )
    bundle = make_bundle(tmp_path / "bundle", {"busybox": "busybox:1"})
    made.ctx.workspace.kubeconfig.write_text("")
    return made


@pytest.fixture
def walk(lab: Lab) -> Walk:
    return Walk(under_test(lab, Shell()), LabKubectl(lab.ctx), SPACE)


@pytest.fixture
def server() -> Iterator[str]:
    """Return host:port of a web server that answers with its caller's path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"you asked for {self.path}\n".encode())

        def log_message(self, *_: Any) -> None:
            pass

    serving = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


def ready_pod(name: str, ip: str) -> str:
    status = {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]}
    return json.dumps({"kind": "Pod", "metadata": {"name": name}, "status": status})


def test_what_is_refused_is_told_where_it_is_missed(lab: Lab, walk: Walk) -> None:
    lab.kubectl.answer("apply -f -", stderr='services "pods" is invalid: sabotage\n', code=1)
    lab.kubectl.answer("get service pods*", stderr='services "pods" not found\n', code=1)
    walk.start()
    with pytest.raises(WaitTimeout, match='kubectl apply had failed: services "pods" is invalid: sabotage'):
        walk.wait_for("service", "pods", until=bool, what="a Service")


def test_a_wait_tells_what_was_awaited(lab: Lab, walk: Walk) -> None:
    lab.kubectl.answer("apply -f -")
    lab.kubectl.answer(f"get pod on-lab-w1 -n {SPACE} -o json", '{"kind": "Pod", "status": {}}')
    walk.start()
    with pytest.raises(WaitTimeout, match="the Ready pod on-lab-w1") as late:
        walk.peer("lab-w1")
    assert "refused" not in str(late.value)


def test_a_node_that_starts_no_pods_is_waited_for_once(lab: Lab, walk: Walk) -> None:
    clock = lab.ctx.fake_clock
    lab.kubectl.answer("get pod *", '{"kind": "Pod", "status": {}}')
    for node, most in (("lab-cp1", START_SECONDS), ("lab-w1", LEAST_SECONDS), ("lab-w1", LEAST_SECONDS)):
        before = clock.now()
        with pytest.raises(WaitTimeout):
            walk.peer(node)
        assert clock.now() - before == pytest.approx(most, abs=1.0)


def test_a_script_runs_in_the_pod_on_its_node(lab: Lab, walk: Walk) -> None:
    lab.kubectl.answer(f"get pod on-lab-w1 -n {SPACE} -o json", ready_pod("on-lab-w1", "10.244.21.5"))
    lab.kubectl.answer(f"exec -n {SPACE} on-lab-w1 -- sh -c hostname sh 1 two", "lab-w1\n")
    assert walk.run("lab-w1", "hostname", 1, "two") == "lab-w1\n"
    assert walk.peer("lab-w1").ip == "10.244.21.5"
    assert len([call for call in lab.kubectl.calls if call.startswith("get pod")]) == 1


def test_pods_for_workers_are_at_home_there(walk: Walk) -> None:
    assert walk.site.nodes == ["lab-cp1", "lab-w1"]
    assert walk.site.homes == ["lab-w1"]
    assert walk.home.name == "lab-w1"


@pytest.mark.parametrize("lab", [0], indirect=True)
def test_a_single_node_is_home_to_all_and_has_no_others(walk: Walk) -> None:
    assert walk.home.name == "lab-cp1"
    with pytest.raises(pytest.skip.Exception, match="one node only"):
        walk.others("lab-cp1")


def test_a_definition_is_known_by_its_full_name(lab: Lab, walk: Walk) -> None:
    names = "customresourcedefinition.apiextensions.k8s.io/ipaddresspools.metallb.io\n"
    lab.kubectl.answer("get customresourcedefinitions -o name", names)
    assert walk.defines("ipaddresspools.metallb.io", "other.example")
    assert not walk.defines("metallb.io")


def test_the_host_asks_without_a_proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(f"http://{server}/path") == "you asked for /path"


def test_an_address_that_does_not_answer_is_named_with_its_error(walk: Walk) -> None:
    with pytest.raises(WaitTimeout, match=r"http://127\.0\.0\.1:9/ .*last seen: .*refused"):
        walk.fetch("http://127.0.0.1:9/")


def test_a_pod_is_asked_through_port_forward(lab: Lab, walk: Walk, server: str) -> None:
    port = server.rpartition(":")[2]
    lines = f"Forwarding from 127.0.0.1:{port} -> 8080\nForwarding from 127.0.0.1:9 -> 8080\n"
    lab.kubectl.answer(f"--namespace={SPACE} --address=127.0.0.1 pod/on-lab-w1 :8080", lines)
    assert walk.fetch_forwarded("on-lab-w1", 8080) == "you asked for /"


def begin_in(lab: Lab, shell: Shell) -> Any:
    lab.kubectl.answer("apply -f -")
    found = [{"kind": kind} for kind in ("ServiceAccount", "ConfigMap")]
    lab.kubectl.answer("get serviceaccount/default *", json.dumps({"items": found}))
    lab.kubectl.answer("delete namespace kubelab-verify-* --wait=false --ignore-not-found")
    return begin(under_test(lab, shell), LabKubectl(lab.ctx))


@pytest.mark.parametrize("dead", [False, True])
def test_nothing_is_left_after_an_interrupt_even_on_a_dead_node(lab: Lab, dead: bool) -> None:
    shell = Shell(CommandTimeout("lab-w1", "rm", 1.0) if dead else None)
    with pytest.raises(KeyboardInterrupt), begin_in(lab, shell) as begun:
        raise KeyboardInterrupt
    assert any(f"rm -rf {begun.site.host_folder}" in command for command in shell.commands)
    assert lab.kubectl.calls[-1].startswith(f"delete namespace {begun.namespace} ")


def test_jobs_come_last_of_ours_and_a_users_own_tests_after_them() -> None:
    folder = Path(walk_module.__file__).parent
    paths = [folder / "test_jobs.py", folder / "test_dns.py", Path("/own/test_jobs.py"), folder / "test_a.py"]
    items = [SimpleNamespace(path=path) for path in paths]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.path for item in items] == [paths[1], paths[3], paths[0], paths[2]]
