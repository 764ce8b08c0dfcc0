"""The process of a relay: reads its plan, listens, records itself, and serves until it is ended."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from provision.relay.far import opener
from provision.relay.listener import Listener
from provision.relay.plan import Plan
from provision.relay.record import write_own


def main() -> None:
    """Listen, and end once a process of its own serves: whoever started this one waits for it."""
    file, plan = Path(sys.argv[1]), Plan.model_validate_json(sys.stdin.buffer.read())
    listeners = []
    for way in plan.ways:
        try:
            listeners.append(Listener(way.address, way.host, opener(way, plan.gate, plan.seconds)))
        except OSError as error:
            sys.exit(f"{way.address}:{way.host}: {error.strerror}")
    recorded, tell = os.pipe()
    if os.fork():
        os.close(tell)
        sys.exit(None if os.read(recorded, 1) else "it ended at once")
    # By the process itself: whatever ends its starter now, it can be found.
    write_own(file, plan)
    os.write(tell, b"1")
    _be_silent()
    serve(listeners)


def serve(listeners: Sequence[Listener]) -> None:
    """Serve all ports until the process is ended."""
    threads = [threading.Thread(target=each.serve_forever) for each in listeners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _be_silent() -> None:
    """Let go of the streams of whoever started it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


if __name__ == "__main__":
    main()
