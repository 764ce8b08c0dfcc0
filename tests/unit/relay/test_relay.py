"""A relay for real: a process of its own that leads ports of this host to another."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.config.ports import PortConfig
from provision.errors import LabError
from provision.relay import process
from provision.relay.plan import Gate, Plan, Way
from provision.relay.record import Record, living
from provision.relay.taken import not_to_be_had
from tests.fakes.sockets import shouting

NOWHERE = Path("/nowhere")
GATE = Gate(node="lab-cp1", host="127.0.0.1", port=1, user="me", key_file=NOWHERE, known_hosts=NOWHERE)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Return where a relay records itself; it is ended afterwards."""
    record = tmp_path / "relay.json"
    yield record
    process.end(record)


@pytest.fixture
def echo() -> Iterator[int]:
    with shouting() as port:
        yield port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def plan_to(port: int, **keys: object) -> Plan:
    host = free_port()
    target = {"node": "127.0.0.1", **keys}
    way = Way(address="127.0.0.1", host=host, port=port, text=f"127.0.0.1:{host} -> lab-w1:{port}", **target)
    return Plan(ways=(way,), gate=GATE, seconds=5.0)


def say(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as client, client.makefile("rb") as said:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return said.read()


def test_it_passes_on_what_both_sides_say_also_after_one_has_ended_its_own(file: Path, echo: int) -> None:
    plan = plan_to(echo)
    process.start(file, plan)
    record = living(file)
    assert record is not None
    assert record.plan == plan
    assert file.stat().st_mode & 0o777 == 0o600
    for text in (b"hello", b"x" * 2_000_000):
        assert say(plan.ways[0].host, text) == text.upper()


def test_a_far_side_that_is_not_there_ends_the_connection_and_no_other(file: Path, echo: int) -> None:
    there, gone = plan_to(echo).ways[0], plan_to(free_port()).ways[0]
    service = plan_to(443, node="", service="default/web").ways[0]
    process.start(file, Plan(ways=(there, gone, service), gate=GATE, seconds=5.0))
    assert say_or_reset(gone.host) == say_or_reset(service.host) == b""
    assert say(there.host, b"hello") == b"HELLO"


def say_or_reset(port: int) -> bytes:
    try:
        return say(port, b"hello")
    except OSError:
        return b""


def test_it_is_ended_by_its_record_and_its_port_is_free_again(file: Path, echo: int) -> None:
    plan = plan_to(echo)
    process.start(file, plan)
    assert process.end(file)
    assert not file.exists()
    assert not process.end(file)
    socket.create_server(("127.0.0.1", plan.ways[0].host)).close()


def test_one_that_was_killed_is_known_to_be_gone(file: Path, echo: int) -> None:
    process.start(file, plan_to(echo))
    record = living(file)
    assert record is not None
    descriptor = os.pidfd_open(record.pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    assert select.select([descriptor], [], [], 30)[0]
    os.close(descriptor)
    assert living(file) is None
    assert not process.end(file)


def test_another_process_of_that_number_is_left_alone(file: Path, echo: int) -> None:
    process.start(file, plan_to(echo))
    real = living(file)
    assert real is not None
    for change in ({"pid": os.getpid()}, {"began": real.began + 1}):
        write(file, real.model_copy(update=change))
        assert living(file) is None
        assert not process.end(file)
    write(file, real)
    assert living(file) == real


def write(file: Path, record: Record) -> None:
    file.write_text(record.model_dump_json())


def test_a_copied_folder_has_no_relay_and_a_moved_one_keeps_it(file: Path, echo: int, tmp_path: Path) -> None:
    process.start(file, plan_to(echo))
    other = tmp_path / "other" / "relay.json"
    other.parent.mkdir()
    other.write_bytes(file.read_bytes())
    assert not process.end(other)
    assert living(file) is not None
    file.rename(other)
    assert process.end(other)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "\udcff"])
def test_a_damaged_record_tells_of_no_relay(file: Path, text: str) -> None:
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert living(file) is None


def test_a_port_that_is_taken_meanwhile_is_named_and_nothing_is_left(file: Path, echo: int) -> None:
    taken = plan_to(echo).ways[0].model_copy(update={"host": echo})
    with pytest.raises(LabError, match=rf"127\.0\.0\.1:{echo}: Address already in use"):
        process.start(file, Plan(ways=(plan_to(echo).ways[0], taken), gate=GATE, seconds=5.0))
    assert not file.exists()


def test_ports_that_cannot_be_had_are_told_by_their_keys(file: Path, echo: int) -> None:
    given = [
        {"host": free_port()},
        {"host": echo},
        {"host": free_port(), "address": "192.0.2.1"},
    ]
    ports = [PortConfig.model_validate({"node": "lab-w1", "port": 80, **keys}) for keys in given]
    found = dict(not_to_be_had(ports, file))
    assert list(found) == ["ports.1.host", "ports.2.address"]
    assert f"{echo} is in use" in found["ports.1.host"]
    assert "has no 192.0.2.1" in found["ports.2.address"]


def test_what_the_labs_own_relay_has_is_not_taken(file: Path, echo: int) -> None:
    plan = plan_to(echo)
    process.start(file, plan)
    port = PortConfig.model_validate({"host": plan.ways[0].host, "node": "lab-w1", "port": 80})
    assert not_to_be_had([port], file) == []
