"""A question with a limit that holds whatever the network does with it."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

from provision.errors import WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# A first look-up of a name behind a slow proxy, a redirect and two TLS handshakes.
ANSWER_WITHIN = 10.0


def within(seconds: float, ask: Callable[[], T], whom: str) -> T:
    """Return what `ask` returns, or raise what it raises; WaitTimeout when `seconds` have passed.

    It is asked in a thread that is left behind then: looking up a name cannot be given a deadline.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=work, name=f"ask {whom}", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise WaitTimeout(f"{whom} did not answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]
