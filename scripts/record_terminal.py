"""Run commands in a terminal and draw what they really said, for the pictures in docs/.

    python scripts/record_terminal.py run session.json 'kubelab up' 'kubelab kubectl -- get nodes'
    python scripts/record_terminal.py draw session.json docs/session.svg --fold 1:20-34

`run` starts each command in a pseudo-terminal, so that it writes as it does for a person, and keeps what the
screen shows at its end. `draw` changes no word of it; of lines that `--fold` leaves out it shows the number.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS, LINES = 96, 50
CHUNK = 65536
# Colours stay in the text; of what moves the cursor, only what rich's live display writes is known.
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")
_FOLD = re.compile(r"(\d+):(\d+)-(\d+)")
THEME = TerminalTheme(
    (30, 33, 39),
    (220, 223, 228),
    [
        (90, 96, 110),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (220, 223, 228),
    ],
)
# rich's own frame without the fonts that it would fetch from the network.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


@dataclass
class Screen:
    """The lines of a terminal: enough of one for what rich and plain programs write."""

    rows: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    at_start: bool = True

    def write(self, text: str) -> None:
        """Take output, with its control sequences."""
        for numbers, letter, control, plain in _SEQUENCE.findall(text):
            if control == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
                self.at_start = True
            elif control == "\r":
                self.at_start = True
            elif letter == "A":
                self.row = max(0, self.row - int(numbers or 1))
            elif letter == "K":
                self.rows[self.row] = ""
            elif letter == "m":
                self._add(f"\x1b[{numbers}m")
            elif plain:
                self._add(plain)

    def _add(self, text: str) -> None:
        # What is written from the left edge stands in the place of what was there.
        self.rows[self.row] = text if self.at_start else self.rows[self.row] + text
        self.at_start = False

    def lines(self) -> list[str]:
        """Return the lines that are shown, without empty ones at the end."""
        shown = [row.rstrip() for row in self.rows]
        while shown and not Text.from_ansi(shown[-1]).plain.strip():
            shown.pop()
        return shown


def run(command: str) -> tuple[list[str], int]:
    """Run a command in a terminal of its own; return the lines it leaves there and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    process = subprocess.Popen(
        ["sh", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, CHUNK)
        except OSError:
            # Linux answers so once nobody holds the other end.
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    screen = Screen()
    screen.write(said.decode(errors="replace"))
    return screen.lines(), process.wait()


def draw(
    transcript: list[dict[str, object]],
    folds: dict[int, list[tuple[int, int]]],
    only: list[int] | None = None,
    title: str = "kubelab",
) -> str:
    """Return the picture of a recorded session, or of some of its commands."""
    console = Console(width=COLUMNS, record=True, file=StringIO(), force_terminal=True, highlight=False)
    drawn = only or list(range(1, len(transcript) + 1))
    for number in drawn:
        entry = transcript[number - 1]
        if number != drawn[0]:
            console.print()
        console.print(Text.assemble(("$ ", "bold green"), (str(entry["command"]), "bold")))
        lines = entry["lines"]
        assert isinstance(lines, list)
        hidden = dict(folds.get(number, []))
        at = 1
        while at <= len(lines):
            if at in hidden:
                console.print(Text(f"   ⋮ {hidden[at] - at + 1} lines", "dim"))
                at = hidden[at] + 1
                continue
            console.print(Text.from_ansi(str(lines[at - 1])), overflow="fold")
            at += 1
    return console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id="kubelab")


def fold(text: str) -> tuple[int, int, int]:
    """Read COMMAND:FIRST-LAST, all counted from 1."""
    found = _FOLD.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("give COMMAND:FIRST-LAST, such as 1:20-34")
    return int(found[1]), int(found[2]), int(found[3])


def main() -> int:
    """Run the command line; return the first exit code that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    running = actions.add_parser("run", help="run commands and keep what they said")
    running.add_argument("transcript", type=Path)
    running.add_argument("commands", nargs="+", metavar="COMMAND")
    drawing = actions.add_parser("draw", help="draw a transcript as SVG")
    drawing.add_argument("transcript", type=Path)
    drawing.add_argument("picture", type=Path)
    drawing.add_argument("--fold", action="append", type=fold, default=[], metavar="COMMAND:FIRST-LAST")
    drawing.add_argument("--only", type=int, nargs="+", metavar="COMMAND", help="draw these, counted from 1")
    drawing.add_argument("--title", default="kubelab")
    options = parser.parse_args()
    if options.action == "draw":
        folds: dict[int, list[tuple[int, int]]] = {}
        for number, first, last in options.fold:
            folds.setdefault(number, []).append((first, last))
        transcript = json.loads(options.transcript.read_text())
        options.picture.write_text(draw(transcript, folds, options.only, options.title))
        return 0
    recorded, failed = [], 0
    for command in options.commands:
        lines, code = run(command)
        recorded.append({"command": command, "exit_code": code, "lines": lines})
        # Kept after each: a session takes minutes, and a later command may fail.
        options.transcript.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
        failed = failed or code
    return failed


if __name__ == "__main__":
    sys.exit(main())
