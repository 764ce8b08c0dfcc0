"""What the run says: streamed to the terminal and into a file, with the seconds since its start."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

KEPT_LINES = 40


class Log:
    """Takes lines from several threads; `last` are the newest ones."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self._stream = file.open("w", buffering=1, encoding="utf-8", errors="replace")
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Write every line of `text`."""
        for line in text.splitlines():
            stamped = f"[{time.monotonic() - self._began:7.1f}s] {line}"
            with self._lock:
                self.last.append(stamped)
                print(stamped, file=self._stream)
                print(stamped, flush=True)
