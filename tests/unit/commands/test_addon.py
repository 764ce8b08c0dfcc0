"""`kubelab addon` from the command line, where the lab is not there yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from provision.lab.artifacts import tools_of
from provision.report.base import RecordingReporter
from tests.fakes.config import make_config
from tests.fakes.providers.virsh import install

LAB = "name: lab\nprovider: libvirt\ncni: bridge\naddons: []  # none yet\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    Path("lab.yaml").write_text(LAB)


def kubelab(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def result(told: Result) -> dict[str, Any]:
    found = [json.loads(line) for line in told.stdout.splitlines()]
    (data,) = [event["data"] for event in found if event["event"] == "result"]
    return dict(data)


def test_before_the_lab_is_there_only_the_file_is_changed() -> None:
    told = kubelab("addon", "enable", "storage", "--json")
    assert told.exit_code == 0, told.output
    assert result(told) == {"addons": ["storage"], "changed": ["addons"]}
    assert Path("lab.yaml").read_text() == LAB.replace("[]", "[storage]")
    assert not Path("Vagrantfile").exists()
    again = kubelab("addon", "enable", "storage", "--json")
    assert result(again) == {"addons": ["storage"], "changed": []}
    assert kubelab("addon", "disable", "storage").exit_code == 0
    assert Path("lab.yaml").read_text() == LAB


@pytest.mark.parametrize("deed", ["enable", "disable"])
def test_a_name_that_no_addon_has_is_bad_usage(deed: str) -> None:
    told = kubelab("addon", deed, "storag")
    assert told.exit_code == 2
    assert "did you mean `storage`" in told.stderr
    assert Path("lab.yaml").read_text() == LAB


def test_every_addon_is_listed_though_there_is_no_cluster() -> None:
    told = kubelab("addon", "list", "--json")
    assert told.exit_code == 0, told.output
    found = {each["name"]: each for each in result(told)["addons"]}
    assert found["storage"]["wanted"] is False
    assert found["storage"]["state"] is None
    assert found["storage"]["title"]


def test_the_objects_are_printed_and_nothing_is_written() -> None:
    Path("lab.yaml").write_text(LAB.replace("[]", "default").replace("cni", "artifacts: source\ncni"))
    told = kubelab("render", "--addons")
    assert told.exit_code == 0, told.output
    assert "kind: StorageClass" in told.stdout
    assert not Path("Vagrantfile").exists()


def test_what_an_addon_is_built_from_is_among_what_would_be_fetched() -> None:
    Path("lab.yaml").write_text(LAB.replace("[]", "[storage]").replace("cni", "artifacts: source\ncni"))
    told = kubelab("bundle", "create", "--dry-run", "--json")
    assert told.exit_code == 0, told.output
    fetched = [each["where"] for each in result(told)["fetch"]]
    assert "github.com/rancher/local-path-provisioner@v0.0.30" in fetched


def test_go_is_needed_for_the_images_of_an_addon_wherever_kubernetes_comes_from() -> None:
    release = {"artifacts": "release", "kubernetes": "1.36.3"}
    for names, tools in (([], ["skopeo"]), (["storage"], ["skopeo", "go"])):
        assert tools_of(make_config(addons=names, **release), None, RecordingReporter()) == tools
