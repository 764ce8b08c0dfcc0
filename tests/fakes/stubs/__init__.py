"""Whole programs that tests put on PATH in place of the real ones."""

from pathlib import Path

STUBS = Path(__file__).parent
