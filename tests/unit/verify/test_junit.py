from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.verify.junit import publish
from provision.verify.run import Request, run_checks
from provision.verify.selection import Selection
from tests.fakes.lab import make_lab

COUNT = r"\d+"
SECONDS = r"\d+(\.\d+)?"
TEXT = r"(?s).*"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"


@dataclass(frozen=True)
class Kind:
    """What the xunit2 family of JUnit allows in one element; attributes map to the form of their values."""

    required: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    children: frozenset[str] = frozenset()
    text: bool = False


REASON = Kind(optional={"message": TEXT, "type": TEXT}, text=True)
OUTPUT = Kind(text=True)
KINDS = {
    "testsuites": Kind(
        optional={"name": TEXT, "time": SECONDS}
        | dict.fromkeys(("tests", "failures", "disabled", "errors"), COUNT),
        children=frozenset({"testsuite"}),
    ),
    "testsuite": Kind(
        required={"name": TEXT, "tests": COUNT},
        optional={"time": SECONDS, "timestamp": MOMENT}
        | dict.fromkeys(("errors", "failures", "skipped"), COUNT)
        | dict.fromkeys(("file", "group", "hostname", "id", "log", "package", "url", "version"), TEXT),
        children=frozenset({"testsuite", "properties", "testcase", "system-out", "system-err"}),
    ),
    "testcase": Kind(
        required={"name": r"(?s).+", "classname": TEXT},
        optional={"time": SECONDS, "group": TEXT},
        children=frozenset({"skipped", "error", "failure", "system-out", "system-err"}),
    ),
    "properties": Kind(children=frozenset({"property"})),
    "property": Kind(required={"name": TEXT, "value": TEXT}),
    "failure": REASON,
    "error": REASON,
    "skipped": REASON,
    "system-out": OUTPUT,
    "system-err": OUTPUT,
}


def faults(element: ET.Element, where: str = "") -> list[str]:
    """Return what the schema does not allow in an element and below."""
    path = f"{where}/{element.tag}"
    kind = KINDS[element.tag]
    found = [f"{path}: lacks {name}" for name in kind.required if name not in element.attrib]
    allowed = {**kind.required, **kind.optional}
    for name, value in element.attrib.items():
        if name not in allowed:
            found.append(f"{path}: {name} is not allowed")
        elif not re.fullmatch(allowed[name], value):
            found.append(f"{path}: {name}={value}")
    if (element.text or "").strip() and not kind.text:
        found.append(f"{path}: has text")
    for child in element:
        fits = child.tag in kind.children
        found += faults(child, path) if fits else [f"{path}: {child.tag} is not allowed"]
    return found


CHECKS = """
import pytest

TOKEN = "abcdef.0123456789abcdef"

@pytest.fixture
def broken(): raise RuntimeError("not made")

@pytest.mark.parametrize("node", ["lab-cp1", "lab-w1"])
def test_passes(node): print("\\x1b[1m seen")
def test_fails(): assert False, f"the token {TOKEN} <&> \\x00 \\x1b[31m never ends"
def test_breaks(broken): pass
def test_skips(): pytest.skip("no DNS")
class TestGroup:
    def test_inside(self): pass
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> ET.Element:
    """Return the testsuites element of a run in which everything that can happen did."""
    root = tmp_path_factory.mktemp("junit")
    for name, text in {"checks/test_all.py": CHECKS, "own/test_bad.py": "import no_such_module\n"}.items():
        (root / name).parent.mkdir()
        (root / name).write_text(text)
    (root / "lab.yaml").write_text("name: lab\n")
    target = root / "results" / "junit.xml"
    request = Request(root / "lab.yaml", Selection(), (root / "own",), target, root / "checks")
    checks = run_checks(make_lab(root).ctx, request, "verify")
    assert [check.outcome for check in checks].count("failed") == 3
    return ET.parse(target).getroot()


def test_a_red_runs_file_is_valid(suite: ET.Element) -> None:
    assert suite.tag == "testsuites"
    assert faults(suite) == []


def test_the_schema_here_finds_faults() -> None:
    case = '<testcase name="b" line="3"><p/></testcase>'
    text = f'<testsuites><testsuite name="a" tests="x">{case}</testsuite></testsuites>'
    assert faults(ET.fromstring(text)) == [
        "/testsuites/testsuite: tests=x",
        "/testsuites/testsuite/testcase: lacks classname",
        "/testsuites/testsuite/testcase: line is not allowed",
        "/testsuites/testsuite/testcase: p is not allowed",
    ]


def test_the_suite_is_named_and_counted(suite: ET.Element) -> None:
    (inner,) = suite
    counts = {name: inner.get(name) for name in ("name", "tests", "failures", "errors", "skipped")}
    assert counts == {"name": "kubelab", "tests": "7", "failures": "1", "errors": "2", "skipped": "1"}


def test_cases_bear_short_names(suite: ET.Element) -> None:
    cases = {(case.get("classname"), case.get("name")) for case in suite.iter("testcase")}
    assert cases == {
        ("test_all", "test_passes[lab-cp1]"),
        ("test_all", "test_passes[lab-w1]"),
        ("test_all", "test_fails"),
        ("test_all", "test_breaks"),
        ("test_all", "test_skips"),
        ("test_all.TestGroup", "test_inside"),
        ("", "own.test_bad"),
    }


def test_no_secret_is_handed_on(suite: ET.Element) -> None:
    (failure,) = suite.iter("failure")
    assert "the token [redacted] <&>" in failure.attrib["message"]
    assert "[redacted]" in (failure.text or "")
    assert "abcdef.0123456789abcdef" not in ET.tostring(suite, encoding="unicode").replace("TOKEN = ", "")


def test_a_file_that_is_there_is_replaced_as_a_whole(tmp_path: Path) -> None:
    written, target = tmp_path / "written.xml", tmp_path / "target.xml"
    written.write_text("<testsuites />")
    target.write_text("x" * 1000)
    publish(written, target)
    assert ET.parse(target).getroot().tag == "testsuites"


def test_a_device_is_written_into(tmp_path: Path) -> None:
    written, pipe = tmp_path / "junit.xml", tmp_path / "pipe"
    written.write_text("<testsuites/>")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    publish(written, pipe)
    assert (b"testsuites" in os.read(reader, 1000), pipe.is_fifo()) == (True, True)
    os.close(reader)
