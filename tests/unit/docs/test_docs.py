"""The documents speak of what is there: files, commands, keys, exit codes, steps and events."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from provision import cli, errors
from provision.config.artifacts import PLAIN
from provision.engine.steps import Together
from provision.lab.answers import ANSWERS
from provision.report.base import EventReporter
from provision.steps import UP
from tests.fakes.config import every_key

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")
PAGES = sorted([*(ROOT / name for name in TOP), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:")
PATH = re.compile(r"(?<![\w./-])(?:provision|tests|templates|scripts|examples)/[\w./-]*[\w/]")
# Stand for a name that the reader chooses.
PLACEHOLDER = re.compile(r"NAME|CONCERN")


def text(name: str) -> str:
    return (DOCS / name).read_text()


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, by its words: "up", "snapshot save"."""
    for name in cli.COMMANDS:
        command = cli.group.get_command(click.Context(cli.group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {child}", sub) for child, sub in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if not ELSEWHERE.match(link)]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_path_that_is_named_exists(page: Path) -> None:
    # The examples speak of a user's own folder of tests.
    if page.parent.name == "examples":
        return
    named = [path for path in PATH.findall(page.read_text()) if not PLACEHOLDER.search(path)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in LINK.findall((ROOT / "README.md").read_text())}
    assert [relative(page) for page in PAGES if page.name != "README.md" and page not in linked] == []


def test_every_room_is_on_the_map() -> None:
    rooms = [file.parent.name for file in (ROOT / "provision").glob("*/__init__.py")]
    assert [room for room in rooms if f"{room}/ " not in text("architecture.md")] == []


def test_the_map_has_the_arrows_of_the_import_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    page = text("architecture.md")
    arrows = re.findall(r"^`.+?(?=\n\n)", page.partition("From top to bottom")[2], re.M | re.S)[0]
    said = [re.findall(r"[a-z]+", layer) for layer in arrows.split("→")]
    assert said == [layer.split(" | ") for layer in layers if layer != "__main__"]


def test_every_command_and_option_is_described() -> None:
    page = text("commands.md")
    missing = [name for name, _ in commands() if f"`kubelab {name}" not in page]
    for name, command in commands():
        options = [option for option in command.params if isinstance(option, click.Option)]
        missing += [f"{name} {option.opts[0]}" for option in options if f"`{option.opts[0]}" not in page]
    assert missing == []


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.LabError)
    }
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text("commands.md"), re.M)} == {0, *codes}


def test_every_key_of_lab_yaml_is_described() -> None:
    page = text("lab-yaml.md")
    assert [key for key in every_key() if f"| `{key}` |" not in page] == []
    forms = [f"| `{name}` |" for name in PLAIN] + ["| `{bundle:", "| `{mirror:"]
    assert [form for form in forms if form not in page] == []


def test_the_page_says_of_every_key_what_becomes_of_its_edit() -> None:
    section = text("lab-yaml.md").partition("## On a lab that is there")[2].partition("\n## ")[0]
    said = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \|", section, re.M))
    words = {
        "grows": "more: applied, fewer: refused",
        "restarts": "applied by restarting the machines",
        "anew": "applied by making workers anew",
    }
    assert said == {key: words.get(answer, answer) for key, answer in ANSWERS.items()}


def test_every_step_of_up_is_described_in_its_order() -> None:
    steps = [step for item in UP for step in (item.steps if isinstance(item, Together) else (item,))]
    assert re.findall(r"^\| `([a-z-]+)` \|", text("how-up-works.md"), re.M) == [step.id for step in steps]


def test_every_event_is_described() -> None:
    # What is `said` goes to the run log alone, and a `secret` to nobody.
    apart = {"event", "close", "said", "secret"}
    events = {name for name in vars(EventReporter) if not name.startswith("_")} - apart
    section = text("json-events.md").partition("## Events")[2].partition("## Results")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == events


def test_every_concern_of_the_checks_is_described() -> None:
    concerns = {file.stem.removeprefix("test_") for file in (ROOT / "provision" / "checks").glob("test_*.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", text("verify.md"), re.M)) == concerns
