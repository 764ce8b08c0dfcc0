"""One value of lab.yaml is changed, and what a worker that goes has there; or nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.config.edit import with_addons, with_workers
from provision.errors import ConfigError


def edited(folder: Path, text: str, count: int = 3) -> str:
    file = folder / "lab.yaml"
    file.write_bytes(text.encode())
    found, config = with_workers(file, count)
    assert config.workers.count == count
    assert file.read_bytes() == text.encode()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "# mine\nname: lab\nworkers:\n  # how many\n  count: 2   # two\n  cpus: 2\n",
            "# mine\nname: lab\nworkers:\n  # how many\n  count: 3   # two\n  cpus: 2\n",
        ),
        ("{name: lab, workers: {cpus: 2, count: 2}}", "{name: lab, workers: {cpus: 2, count: 3}}"),
        ("name: lab\r\nworkers: {count: 12}\r\n", "name: lab\r\nworkers: {count: 3}\r\n"),
        (
            "\ufeffname: lab # \u00e9\nworkers: {count: 2}\n",
            "\ufeffname: lab # \u00e9\nworkers: {count: 3}\n",
        ),
        (
            "controlPlanes: {count: 1}\nname: lab\n'workers': {'count': 2}\n",
            "controlPlanes: {count: 1}\nname: lab\n'workers': {'count': 3}\n",
        ),
    ],
)
def test_only_the_number_is_another_one(tmp_path: Path, text: str, expected: str) -> None:
    assert edited(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "name: lab\n",
        "name: lab\nworkers: {cpus: 2}\n",
        "name: lab\nworkers: {count: 0x2}\n",
        "name: lab\nworkers: {count: !!int 2}\n",
        "name: lab\nworkers: &all {count: &two 2}\n",
        "name: lab\nworkers: {cpus: &n 2, count: *n}\n",
        "name: lab\nworkers: &w {count: 1, cpus: 2}\ncontrolPlanes: *w\n",
        "name: lab\ncontrolPlanes: {<<: &c {count: 1}}\nworkers: {<<: *c}\n",
    ],
)
def test_where_it_is_no_plain_number_of_its_own_the_line_to_write_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"workers\.count: .*is not changed") as caught:
        edited(tmp_path, text)
    assert "count: 3" in caught.value.hint
    assert (tmp_path / "lab.yaml").read_text() == text


@pytest.mark.parametrize(
    ("text", "count", "key"),
    [
        ("name: lab\nworkers: {count: 50}\n", 51, "workers.count: 51"),
        ("name: lab\nnetwork: {nodes: 192.168.60.0/27}\nworkers: {count: 2}\n", 30, "network.nodes"),
    ],
)
def test_what_lab_yaml_does_not_allow_is_refused_by_its_key(
    tmp_path: Path, text: str, count: int, key: str
) -> None:
    with pytest.raises(ConfigError, match=key):
        edited(tmp_path, text, count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name: lab\nworkers: {count: 2}\nnodes:\n  lab-w1: {name: w1-k8s} # one\n"
            "  lab-w2: {name: w2-k8s} # two\n# the rest\ndns: [192.0.2.1]\n",
            "name: lab\nworkers: {count: 1}\nnodes:\n  lab-w1: {name: w1-k8s} # one\n"
            "# the rest\ndns: [192.0.2.1]\n",
        ),
        (
            "name: lab\nnodes:\n  lab-w2:\n    name: w2-k8s\n    labels:\n      a: b\n\n  # mine\n"
            "  lab-cp1:\n    name: m-k8s\nworkers:\n  count: 2\n",
            "name: lab\nnodes:\n\n  # mine\n  lab-cp1:\n    name: m-k8s\nworkers:\n  count: 1\n",
        ),
        (
            "name: lab\nworkers: {count: 2}\nnodes:\n  lab-w2:\n    taints:\n    - a:NoSchedule\n# end",
            "name: lab\nworkers: {count: 1}\n# end",
        ),
        (
            "name: lab\nworkers: {count: 2}\nnodes: {lab-w2: {name: w2-k8s}}",
            "name: lab\nworkers: {count: 1}\n",
        ),
        (
            "name: lab\nworkers: {count: 2}\nnodes: {lab-w1: {name: w1-k8s}, lab-w2: {name: w2-k8s}}\n",
            "name: lab\nworkers: {count: 1}\nnodes: {lab-w1: {name: w1-k8s}}\n",
        ),
        (
            "name: lab\nworkers: {count: 2}\nnodes: {lab-w2: {name: w2-k8s}, lab-w1: {name: w1-k8s}}\n",
            "name: lab\nworkers: {count: 1}\nnodes: {lab-w1: {name: w1-k8s}}\n",
        ),
        (
            "{name: lab, workers: {count: 2}, nodes: {lab-w2: {name: w2-k8s}}}",
            "{name: lab, workers: {count: 1}}",
        ),
    ],
)
def test_what_a_worker_that_goes_has_of_its_own_goes_too(tmp_path: Path, text: str, expected: str) -> None:
    assert edited(tmp_path, text, 1) == expected


def test_what_cannot_be_taken_out_is_told(tmp_path: Path) -> None:
    text = "<<: {nodes: {lab-w2: {name: n}}}\nname: lab\nworkers: {count: 2}\n"
    with pytest.raises(ConfigError, match=r"nodes\.lab-w2: .*is not changed") as caught:
        edited(tmp_path, text, 1)
    assert "workers.count: 1" in caught.value.hint
    assert (tmp_path / "lab.yaml").read_text() == text


def test_what_another_value_refers_to_is_not_taken_out(tmp_path: Path) -> None:
    text = "name: lab\nnodes: &n {lab-w2: {name: n}}\nx-n: *n\nworkers: {count: 2}\n"
    with pytest.raises(ConfigError, match="is not changed"):
        edited(tmp_path, text, 1)
    assert (tmp_path / "lab.yaml").read_text() == text


def with_list(folder: Path, text: str, *names: str) -> str:
    file = folder / "lab.yaml"
    file.write_bytes(text.encode())
    found, config = with_addons(file, names)
    assert config.addons == names
    assert file.read_bytes() == text.encode()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: lab\naddons: []  # mine\n", "name: lab\naddons: [storage]  # mine\n"),
        ("addons: none\nname: lab\n", "addons: [storage]\nname: lab\n"),
        ("{addons: default, name: lab}", "{addons: [storage], name: lab}"),
        ("name: lab\naddons:\n  - storage\n\n# end\n", "name: lab\naddons:\n  - storage\n\n# end\n"),
        ("addons:\r\n- storage\r\nname: lab\r\n", "addons:\r\n- storage\r\nname: lab\r\n"),
        ("name: lab", "name: lab\naddons: [storage]\n"),
        ("name: lab\r\n", "name: lab\r\naddons: [storage]\r\n"),
    ],
)
def test_only_the_list_of_addons_is_another_one(tmp_path: Path, text: str, expected: str) -> None:
    assert with_list(tmp_path, text, "storage") == expected


def test_the_last_addon_is_taken_out_of_brackets(tmp_path: Path) -> None:
    assert with_list(tmp_path, "name: lab\naddons: [storage]\n") == "name: lab\naddons: []\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{name: lab}", ["storage"]),
        ("name: lab\n...\n", ["storage"]),
        ("name: lab\naddons: &all []\n", ["storage"]),
        ("name: lab\naddons:\n  - storage  # to keep\n", []),
        ("name: lab\naddons:\n  - storage\n", []),
        ("x-all: &all [storage]\nname: lab\naddons: *all\n", []),
    ],
)
def test_where_it_is_no_plain_list_the_line_to_write_is_told(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    with pytest.raises(ConfigError, match=r"addons: .*is not changed") as caught:
        with_list(tmp_path, text, *names)
    assert f"addons: [{', '.join(names)}]" in caught.value.hint
    assert (tmp_path / "lab.yaml").read_text() == text
