"""The same or different work in threads at once, with one way to give all of it up."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from provision.errors import Cancelled, LabError, NodesError, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from provision.report.base import Reporter

T = TypeVar("T")

MOST_THREADS = 32
# Longer than a program on the host is given to end by itself (command.KILL_GRACE), twice.
GIVE_UP_AFTER = 12.0
_WAIT = 0.2


class Named(Protocol):
    """Anything with a name, such as a Node."""

    @property
    def name(self) -> str:
        """Return the name."""


N = TypeVar("N", bound=Named)


class Jobs(Generic[T]):
    """Named jobs, each in a thread, at most `most` at once.

    `results` and `failures` fill while they run; `failures` is in the order of time. The first
    failure sets `cancel` if `stop_on_error`; one that is no LabError is a fault of ours and always
    does. A job that has not begun when `cancel` is set ends as Cancelled. `on_failure` is told of each
    failure as it happens, with the names of the jobs that go on.
    """

    def __init__(
        self,
        jobs: Mapping[str, Callable[[], T]],
        cancel: threading.Event,
        *,
        stop_on_error: bool,
        most: int = MOST_THREADS,
        on_failure: Callable[[BaseException, list[str]], None] = lambda error, others: None,
    ) -> None:
        self.results: dict[str, T] = {}
        self.failures: dict[str, BaseException] = {}
        self._cancel = cancel
        self._stop_on_error = stop_on_error
        self._on_failure = on_failure
        self._names = tuple(jobs)
        self._lock = threading.Lock()
        self._left = len(jobs)
        # Held until the last job ended. Neither Thread.join nor a Condition: Ctrl-C in the middle of
        # the one marks a thread that still runs as ended, in the middle of the other leaves it locked.
        self._gate = threading.Lock()
        self._gate.acquire()
        self._waiting: queue.SimpleQueue[tuple[str, Callable[[], T]]] = queue.SimpleQueue()
        for item in jobs.items():
            self._waiting.put(item)
        # Daemons: a thread that does not listen must not keep the program from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"kubelab-{number}", daemon=True)
            for number in range(min(most, len(jobs)))
        ]

    def run(self) -> None:
        """Run all jobs and return when the last one ended.

        On Ctrl-C it sets `cancel`, waits for the jobs that run (12 seconds at most, or until the
        next Ctrl-C) and raises KeyboardInterrupt.
        """
        try:
            for thread in self._threads:
                thread.start()
            self._wait(None)
        except KeyboardInterrupt:
            self._cancel.set()
            with contextlib.suppress(KeyboardInterrupt):
                self._forget_waiting()
                self._wait(GIVE_UP_AFTER)
            raise

    def raise_fault(self) -> None:
        """Raise the first failure that is no LabError, with its own traceback."""
        for error in self.failures.values():
            if not isinstance(error, LabError):
                raise error

    def _wait(self, patience: float | None) -> None:
        end = None if patience is None else time.monotonic() + patience
        while self._left and (end is None or time.monotonic() < end):
            self._gate.acquire(timeout=_WAIT)

    def _forget_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
                with self._lock:
                    self._left -= 1

    def _work(self) -> None:
        while True:
            try:
                name, job = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                if self._cancel.is_set():
                    raise Cancelled(f"{name}: given up before it began")
                result = job()
            except BaseException as error:
                # Noted before the others are told to stop: what they say then is a consequence.
                with self._lock:
                    self.failures[name] = error
                    if self._stop_on_error or not isinstance(error, LabError):
                        self._cancel.set()
                    ended = {*self.results, *self.failures}
                # Before the job counts as ended: what is told of it must not come after the end of all.
                try:
                    self._on_failure(error, [other for other in self._names if other not in ended])
                finally:
                    with self._lock:
                        self._ended()
            else:
                with self._lock:
                    self.results[name] = result
                    self._ended()

    def _ended(self) -> None:
        """Count one job as ended; called with the lock held."""
        self._left -= 1
        if self._left == 0:
            self._gate.release()


def on_all(
    nodes: Sequence[N],
    work: Callable[[N], T],
    cancel: threading.Event,
    report: Reporter | None = None,
) -> dict[str, T]:
    """Do `work` on all nodes at once and return its results by node name, in the nodes' order.

    A node that fails does not stop the others; `report` is told of it while they go on. Raises the error
    of the one node that failed, or NodesError; Cancelled if there was no other failure; anything but a
    LabError as it is.
    """

    def bound(node: N) -> Callable[[], T]:
        return lambda: work(node)

    def tell(error: BaseException, others: list[str]) -> None:
        if report is not None and others and isinstance(error, LabError) and not isinstance(error, Cancelled):
            report.warn(f"{in_one_line(error)} ({', '.join(others)} {'go' if others[1:] else 'goes'} on)")

    jobs = Jobs(
        {node.name: bound(node) for node in nodes},
        cancel,
        stop_on_error=False,
        on_failure=tell,
    )
    jobs.run()
    jobs.raise_fault()
    failures = {
        node.name: error for node in nodes if isinstance(error := jobs.failures.get(node.name), LabError)
    }
    real = {name: error for name, error in failures.items() if not isinstance(error, Cancelled)}
    if len(real) > 1:
        raise NodesError(real)
    for error in (real or failures).values():
        raise error
    return {node.name: jobs.results[node.name] for node in nodes}


def first_failure(
    jobs: Mapping[str, Callable[[], T]], cancel: threading.Event, *, most: int = MOST_THREADS
) -> dict[str, T]:
    """Run the jobs, at most `most` at once, and return their results by name, in the jobs' order.

    The first one that fails sets `cancel`, which ends the others, and its error is raised.
    """
    work = Jobs(jobs, cancel, stop_on_error=True, most=most)
    work.run()
    work.raise_fault()
    real = [error for error in work.failures.values() if not isinstance(error, Cancelled)]
    for error in real or work.failures.values():
        raise error
    return {name: work.results[name] for name in jobs}
