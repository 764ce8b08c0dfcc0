from __future__ import annotations

from pathlib import Path

import pytest

from provision.config.inventory import inventory_of
from provision.config.schema import parse_config
from provision.errors import ConfigError

NODES = ("lab-cp1", "lab-w1")


def test_paths_are_those_beside_lab_yaml_and_nodes_get_those_of_their_pool_first(tmp_path: Path) -> None:
    text = """
name: lab
workers: {count: 1, provision: [{script: a.sh}]}
nodes: {lab-w1: {provision: [{file: ../motd, to: /etc/motd, mode: '755'}]}}
"""
    nodes = inventory_of(parse_config(text, folder=tmp_path / "here")).nodes
    found = {node.name: [(task.source, task.to, task.mode) for task in node.tasks] for node in nodes}
    script = (str(tmp_path / "here" / "a.sh"), "", 0o644)
    assert found == {
        "lab-cp1": [],
        "lab-w1": [script, (str(tmp_path / "here" / ".." / "motd"), "/etc/motd", 0o755)],
    }


@pytest.mark.parametrize(
    ("value", "key", "said"),
    [
        ("x.sh", "", "a list of 50 at most"),
        ("[x.sh]", ".0", "{script: FILE} or"),
        ("[{script: a, file: b}]", ".0", "{script: FILE} or"),
        ("[{file: b}]", ".0", "{script: FILE} or"),
        ("[{script: ''}]", ".0.script", "the path of a file"),
        ("[{script: 1}]", ".0.script", "the path of a file"),
        ("[{script: a}, {file: a, to: motd}]", ".1.to", "an absolute path"),
        ("[{file: a, to: /etc/../x}]", ".0.to", "an absolute path"),
        ("[{file: a, to: /etc/}]", ".0.to", "an absolute path"),
        ("[{file: a, to: /}]", ".0.to", "an absolute path"),
        ("[{file: a, to: /x, mode: 0644}]", ".0.mode", "in quotes"),
        ("[{file: a, to: /x, mode: '4755'}]", ".0.mode", "in quotes"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_key(value: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_config(f"name: lab\nworkers: {{provision: {value}}}\n")
    assert caught.value.key == f"workers.provision{key}"
