"""The examples with the installed wheel, far from the checkout, and what their README says."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

from provision.testing import fixtures, plugin
from tests.packaging.wheel import CHECKOUT, run

EXAMPLES = CHECKOUT / "examples"
README = EXAMPLES / "README.md"
FILES = sorted(file.name for file in (EXAMPLES / "tests").glob("test_*.py"))
NODES = ("lab-cp1", "lab-w1", "lab-w2", "lab-w3")


def table(heading: str) -> set[str]:
    """Return the names in the first column of the README's table below `heading`."""
    part = README.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


def test_they_are_collected_far_from_the_checkout_with_node_names(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "tests", tmp_path / "mine")
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "lab.yaml").write_text("name: lab\nworkers: {count: 3}\n")
    options = ("-q", "--collect-only", "--strict-markers", "-W", "error", "-p", "no:cacheprovider")
    listed = run(installed, tmp_path, "python", "-m", "pytest", *options, f"--lab={lab}", "mine").splitlines()
    tests = [line.partition("/")[2] for line in listed if "::" in line]
    assert sorted({test.partition("::")[0] for test in tests}) == FILES
    forwarding = "test_every_node.py::test_packets_are_forwarded"
    assert [test for test in tests if test.startswith(forwarding)] == [f"{forwarding}[{n}]" for n in NODES]
    # No machine of that lab was ever made, and nothing was looked for or written there.
    assert [path.name for path in lab.iterdir()] == ["lab.yaml"]


def test_the_readme_names_every_example_fixture_and_mark() -> None:
    assert sorted(re.findall(r"\(tests/(\w+\.py)\)", README.read_text())) == FILES
    offered = {name for name in dir(fixtures) if "FixtureFunction" in type(getattr(fixtures, name)).__name__}
    assert table("Fixtures") == {name for name in offered if not name.startswith("_")}
    assert table("Marks") == {re.split(r"\W", text)[0] for text in plugin.MARKERS}


def test_they_are_in_the_sdist(dist: Path) -> None:
    (file,) = dist.glob("*.tar.gz")
    with tarfile.open(file) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= {"examples/README.md", *(f"examples/tests/{name}" for name in FILES)}
