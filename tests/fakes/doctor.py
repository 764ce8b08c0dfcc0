"""A made-up host for the doctor: its facts, its programs and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provision.doctor import Host
from provision.doctor.findings import Answer
from provision.errors import LabError
from provision.host.facts import HostFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


FACTS = HostFacts(
    cpus=2,
    memory_mib=16384,
    disk_free_mib=100_000,
    networks=(),
    cpu_flags=frozenset({"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    kvm_present=True,
    kvm_usable=False,
    os_id="debian",
    os_codename="bookworm",
    is_root=True,
    has_systemd=False,
    arch="x86_64",
)


DEB822 = """\
# the machine's own
Types: deb deb-src
# a remark in the middle
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
"""


MADISON = """\
 qemu-system-x86 | 1:7.2+dfsg-7+deb12u18 | http://mirror.example/debian bookworm/main amd64 Packages
"""


@dataclass
class FakeTools:
    """Answers by the start of the command line; the longest match wins."""

    script: dict[str, str | LabError] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    listening: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        root: bool = False,
        stdin: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        line = " ".join(argv)
        self.calls.append(f"root {line}" if root else line)
        for start in sorted(self.script, key=len, reverse=True):
            if line.startswith(start):
                answer = self.script[start]
                if isinstance(answer, LabError):
                    raise answer
                return answer
        raise AssertionError(f"unscripted command: {line}")

    def which(self, name: str) -> str | None:
        return self.programs.get(name)

    def answers(self, path: Path) -> bool:
        return path.name in self.listening


class Told:
    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class StoppedClock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def host(tools: FakeTools, root: Path = Path("/nowhere"), **facts: object) -> Host:
    return Host(replace(FACTS, **facts), tools, root=root, user="ann", home=root / "home")  # type: ignore[arg-type]


def dpkg(**versions: str) -> dict[str, str | LabError]:
    rows = [f"installed {name.replace('_', '-')} {version}" for name, version in versions.items()]
    return {"dpkg-query": "\n".join([*rows, "config-files long-gone 1.0"]) + "\n"}


def lines(answer: Answer) -> list[str]:
    return [command.line(is_root=True) for command in answer.fixes]
