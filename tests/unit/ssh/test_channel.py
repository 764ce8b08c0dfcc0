"""What one command may say, read from a channel that has it all at once."""

from __future__ import annotations

import threading
import time
from typing import cast

import pytest

from provision.errors import RemoteError
from provision.ssh.channel import CHUNK, MOST_MIB, Channel, Exchange

MIB = 2**20


class Saying:
    """A channel whose command says so many bytes, then ends."""

    closed = False

    def __init__(self, size: int) -> None:
        self.left = size

    def settimeout(self, seconds: float) -> None:
        return

    def recv_ready(self) -> bool:
        return self.left > 0

    def recv(self, size: int) -> bytes:
        given = min(size, self.left, CHUNK)
        self.left -= given
        return b"x" * given

    def recv_stderr_ready(self) -> bool:
        return False

    def exit_status_ready(self) -> bool:
        return self.left == 0

    @property
    def eof_received(self) -> bool:
        return self.left == 0


def follow(size: int) -> bytearray:
    exchange = Exchange("lab-cp1", "cat it", time.monotonic() + 600, 600, threading.Event())
    return exchange.follow(cast(Channel, Saying(size)))[0]


def test_what_a_node_says_is_read_in_a_time_that_grows_with_its_size() -> None:
    began = time.thread_time()
    assert len(follow((MOST_MIB - 1) * MIB)) == (MOST_MIB - 1) * MIB
    # Copied whole at each chunk it took ten times as long.
    assert time.thread_time() - began < 1.5


def test_a_node_that_says_too_much_is_an_error_that_names_it() -> None:
    with pytest.raises(RemoteError, match=f"lab-cp1: `cat it` said more than {MOST_MIB} MiB") as caught:
        follow((MOST_MIB + 1) * MIB)
    assert "kubelab ssh lab-cp1" in caught.value.hint
