from __future__ import annotations

import _thread
import threading
import time
import traceback
from dataclasses import dataclass

import pytest

from provision.engine.parallel import MOST_THREADS, on_all
from provision.errors import Cancelled, CommandFailed, ConnectFailed, LabError, NodesError, Result
from provision.report.base import RecordingReporter


@dataclass(frozen=True)
class Node:
    name: str


@pytest.fixture
def recorder() -> RecordingReporter:
    return RecordingReporter()


NODES = [Node("lab-cp1"), Node("lab-w1"), Node("lab-w2")]


def test_all_nodes_are_worked_on_at_once_and_results_keep_their_order() -> None:
    meeting = threading.Barrier(len(NODES), timeout=10)

    def work(node: Node) -> str:
        meeting.wait()
        return node.name.upper()

    results = on_all(NODES, work, threading.Event())
    assert list(results.items()) == [(node.name, node.name.upper()) for node in NODES]


def test_no_nodes_no_work() -> None:
    assert on_all([], lambda node: node, threading.Event()) == {}


def test_one_failure_is_raised_as_it_is_after_the_others_ended() -> None:
    ended: list[str] = []

    def work(node: Node) -> None:
        if node.name == "lab-w1":
            raise ConnectFailed(node.name, "no route")
        ended.append(node.name)

    cancel = threading.Event()
    with pytest.raises(ConnectFailed, match="lab-w1"):
        on_all(NODES, work, cancel)
    assert sorted(ended) == ["lab-cp1", "lab-w2"]
    assert not cancel.is_set()


def test_a_failure_is_told_while_the_others_go_on(recorder: RecordingReporter) -> None:
    told = threading.Event()

    def work(node: Node) -> None:
        if node.name == "lab-w1":
            raise CommandFailed(node.name, "kubeadm join", Result("", "error: port 10250 is in use", 1))
        assert told.wait(10)

    class Telling(RecordingReporter):
        def warn(self, text: str) -> None:
            recorder.warn(text)
            told.set()

    with pytest.raises(CommandFailed):
        on_all(NODES, work, threading.Event(), Telling())
    assert recorder.of("warn") == [
        {
            "text": "lab-w1: `kubeadm join` ended with exit code 1: error: port 10250 is in use"
            " (lab-cp1, lab-w2 go on)"
        }
    ]


def test_the_last_failure_and_what_was_given_up_are_not_told(recorder: RecordingReporter) -> None:
    def work(node: Node) -> None:
        raise Cancelled("given up") if node.name == "lab-cp1" else ConnectFailed(node.name, "no route")

    with pytest.raises(ConnectFailed):
        on_all(NODES[1:2], work, threading.Event(), recorder)
    with pytest.raises(Cancelled):
        on_all(NODES[:1], work, threading.Event(), recorder)
    assert recorder.events == []


def test_several_failures_come_together_in_the_order_of_the_nodes() -> None:
    def work(node: Node) -> None:
        if node.name == "lab-cp1":
            raise Cancelled("given up")
        raise ConnectFailed(node.name, "no route")

    with pytest.raises(NodesError) as caught:
        on_all(NODES, work, threading.Event())
    assert list(caught.value.errors) == ["lab-w1", "lab-w2"]


def test_work_given_up_is_cancelled() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        on_all(NODES, lambda node: node, cancel)


def test_a_fault_comes_out_with_its_traceback_and_stops_the_rest() -> None:
    cancel = threading.Event()

    def deep(node: Node) -> None:
        if node.name == "lab-cp1":
            raise ValueError("a bug")
        assert cancel.wait(10)
        raise Cancelled("given up")

    with pytest.raises(ValueError, match="a bug") as caught:
        on_all(NODES, deep, cancel)
    assert "deep" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_ctrl_c_gives_up_the_rest_and_waits_for_it() -> None:
    cancel = threading.Event()
    gave_up: list[str] = []
    begun = threading.Barrier(len(NODES), timeout=10)

    def work(node: Node) -> None:
        if begun.wait() == 0:
            _thread.interrupt_main()
        assert cancel.wait(10)
        gave_up.append(node.name)
        raise LabError("given up")

    with pytest.raises(KeyboardInterrupt):
        on_all(NODES, work, cancel)
    assert len(gave_up) == len(NODES)


def test_a_second_ctrl_c_does_not_wait_for_a_thread_that_does_not_listen() -> None:
    cancel, release = threading.Event(), threading.Event()

    def deaf(node: Node) -> None:
        if node.name == "lab-cp1":
            _thread.interrupt_main()
            assert cancel.wait(10)
            _thread.interrupt_main()
        release.wait(30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        on_all(NODES, deaf, cancel)
    release.set()
    assert time.monotonic() - began < 5


def test_a_hundred_nodes_use_few_threads_and_little_time() -> None:
    most = 0
    running = 0
    lock = threading.Lock()

    def work(_: Node) -> None:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    began = time.perf_counter()
    assert len(on_all([Node(f"n{number}") for number in range(100)], work, threading.Event())) == 100
    assert time.perf_counter() - began < 2.0
    assert 1 < most <= MOST_THREADS
