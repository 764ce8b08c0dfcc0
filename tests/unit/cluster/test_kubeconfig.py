from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.cluster.kubeconfig import checked, default_path, files_of_user, merge_into, take_out
from provision.errors import ConfigError, LabError
from tests.fakes.host import homeless
from tests.fakes.lab import make_context
from tests.fakes.node import credentials


def kubeconfig(*names: str, server: str = "https://192.168.60.11:6443") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}} for name in names],
        "users": [{"name": f"{name}-admin", "user": {"client-key-data": "a2V5"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}} for name in names],
        "current-context": names[0],
    }


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig("lab")))
    return file


def test_without_a_file_the_merge_makes_a_private_one(lab: Path, tmp_path: Path) -> None:
    target = tmp_path / "home" / ".kube" / "config"
    merge_into(target, lab)
    merged = yaml.safe_load(target.read_text())
    assert {key: merged[key] for key in kubeconfig("lab")} == kubeconfig("lab")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_the_user_has_stays(lab: Path, tmp_path: Path) -> None:
    target = tmp_path / "config"
    mine = kubeconfig("work", "home", server="https://work:6443") | {"preferences": {"colors": True}}
    target.write_text(yaml.safe_dump(mine))
    merge_into(target, lab)
    merged = yaml.safe_load(target.read_text())
    for section in ("clusters", "users", "contexts"):
        assert merged[section] == mine[section] + kubeconfig("lab")[section]
    assert merged["preferences"] == {"colors": True}
    assert merged["current-context"] == "lab"


def test_a_lab_made_anew_replaces_its_old_entries(lab: Path, tmp_path: Path) -> None:
    target = tmp_path / "config"
    merge_into(target, lab)
    lab.write_text(yaml.safe_dump(kubeconfig("lab", server="https://192.168.70.11:6443")))
    merge_into(target, lab)
    merged = yaml.safe_load(target.read_text())
    assert [entry["cluster"]["server"] for entry in merged["clusters"]] == ["https://192.168.70.11:6443"]
    assert len(merged["users"]) == len(merged["contexts"]) == 1
    once = target.read_bytes()
    merge_into(target, lab)
    assert target.read_bytes() == once


def test_sections_that_are_empty_or_absent_are_no_trouble(lab: Path, tmp_path: Path) -> None:
    target = tmp_path / "config"
    for text in ("", "kind: Config\n", "kind: Config\nclusters: null\nusers: []\n"):
        target.write_text(text)
        merge_into(target, lab)
        assert yaml.safe_load(target.read_text())["contexts"] == kubeconfig("lab")["contexts"]


@pytest.mark.parametrize("text", ["kind: Pod\n", "just text\n", "- a\n- list\n", "clusters: [\n"])
def test_a_file_that_is_no_kubeconfig_is_left_alone(lab: Path, tmp_path: Path, text: str) -> None:
    target = tmp_path / "config"
    target.write_text(text)
    with pytest.raises(ConfigError) as caught:
        merge_into(target, lab)
    assert str(target) in caught.value.message
    assert "--into" in caught.value.hint
    assert target.read_text() == text


def test_a_link_to_a_kubeconfig_stays_a_link(lab: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_text("kind: Config\n")
    link = tmp_path / "config"
    link.symlink_to(real)
    merge_into(link, lab)
    assert link.is_symlink()
    assert yaml.safe_load(real.read_text())["current-context"] == "lab"


def test_a_device_is_written_into(lab: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    merge_into(pipe, lab)
    assert (b"current-context" in os.read(reader, 10_000), pipe.is_fifo()) == (True, True)
    os.close(reader)


def test_kubectls_first_file_is_the_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", f"/one{os.pathsep}/two")
    assert default_path() == Path("/one")
    for value in ("", None):
        monkeypatch.delenv("KUBECONFIG", raising=False)
        if value is not None:
            monkeypatch.setenv("KUBECONFIG", value)
        assert default_path() == tmp_path / ".kube" / "config"


@pytest.mark.parametrize(
    "text",
    [
        "clusters: [x]",
        "clusters: x",
        "users: [{}]",
        "contexts: [{name: [a]}]",
        "clusters: [{name: !!int ''}]",
        "\udcff",
    ],
)
def test_a_kubeconfig_whose_entries_are_none_is_left_alone(lab: Path, tmp_path: Path, text: str) -> None:
    target = tmp_path / "config"
    content = f"kind: Config\n{text}\n".encode(errors="surrogateescape")
    target.write_bytes(content)
    with pytest.raises(ConfigError, match="is not a kubeconfig") as caught:
        merge_into(target, lab)
    assert str(target) in caught.value.message
    assert target.read_bytes() == content


@pytest.mark.parametrize("text", ["", "kind: Config\n", "\udcff", "[" * 600])
def test_a_damaged_kubeconfig_of_the_lab_is_not_merged(tmp_path: Path, text: str) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LabError, match=f"{damaged} is damaged: ") as caught:
        merge_into(tmp_path / "config", damaged)
    assert "kubelab up" in caught.value.hint
    assert not (tmp_path / "config").exists()


def test_a_user_without_a_home_folder_is_told_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    homeless(monkeypatch)
    with pytest.raises(ConfigError, match="HOME: is not set"):
        default_path()


def test_what_kubelab_and_kubeadm_write_is_the_labs_own(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    assert checked(file) == file
    older = yaml.safe_dump(kubeconfig("lab") | {"preferences": {}})
    for text in (credentials.kubeconfig(10), "", "{}", older):
        file.write_text(text)
        assert checked(file) == file


@pytest.mark.parametrize("text", ["users: []\nusers: []\n", "\udcff", "[" * 600])
def test_what_kubectl_may_read_in_another_way_is_not_given_to_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert checked(file).read_bytes() == b""


@pytest.mark.parametrize(
    ("old", "new", "strange"),
    [
        ("client-key-data: a2V5", "exec: {command: touch}", "exec"),
        ("client-key-data: a2V5", "tokenFile: /etc/shadow", "tokenFile"),
        ("client-key-data: a2V5", "client-key: /etc/shadow", "client-key"),
        ("server:", "proxy-url: http://203.0.113.1\n    server:", "proxy-url"),
        ("server:", "certificate-authority: /etc/shadow\n    server:", "certificate-authority"),
        ("kind: Config", "kind: Config\nextensions: []", "extensions"),
    ],
)
def test_a_kubeconfig_that_came_with_the_folder_names_no_program_and_no_file(
    tmp_path: Path, old: str, new: str, strange: str
) -> None:
    file, mine = tmp_path / "kubeconfig", tmp_path / "mine"
    file.write_text(yaml.safe_dump(kubeconfig("lab")).replace(old, new))
    for use in (lambda: checked(file), lambda: merge_into(mine, file)):
        with pytest.raises(LabError, match=f"does not write there: {strange}") as caught:
            use()
        assert "kubelab up" in caught.value.hint
    assert not mine.exists()


def test_no_kubectl_is_run_with_a_kubeconfig_of_somebody_else(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    context.workspace.kubeconfig.write_text("users: [{name: a, user: {exec: {command: touch}}}]")
    with pytest.raises(LabError, match="does not write there: exec"):
        context.kubectl.answers()


def with_authority(authority: str, *names: str) -> dict[str, Any]:
    document = kubeconfig(*names)
    for entry in document["clusters"]:
        entry["cluster"]["certificate-authority-data"] = authority
    return document


def test_what_was_merged_is_taken_out_and_nothing_else(lab: Path, tmp_path: Path) -> None:
    lab.write_text(yaml.safe_dump(with_authority("b3Vycw==", "lab")))
    mine = with_authority("bWluZQ==", "work")
    target = tmp_path / "config"
    target.write_text(yaml.safe_dump(mine))
    merge_into(target, lab)
    assert take_out(target, lab)
    assert yaml.safe_load(target.read_text()) == mine | {"current-context": ""}
    before = target.read_bytes()
    assert not take_out(target, lab)
    assert target.read_bytes() == before


def test_the_users_choice_of_another_context_stays(lab: Path, tmp_path: Path) -> None:
    lab.write_text(yaml.safe_dump(with_authority("b3Vycw==", "lab")))
    target = tmp_path / "config"
    target.write_text(yaml.safe_dump(with_authority("bWluZQ==", "work")))
    merge_into(target, lab)
    chosen = yaml.safe_load(target.read_text()) | {"current-context": "work"}
    target.write_text(yaml.safe_dump(chosen))
    assert take_out(target, lab)
    assert yaml.safe_load(target.read_text())["current-context"] == "work"


def test_a_cluster_of_the_same_name_and_another_authority_is_another_one(lab: Path, tmp_path: Path) -> None:
    lab.write_text(yaml.safe_dump(with_authority("b3Vycw==", "lab")))
    target = tmp_path / "config"
    target.write_text(yaml.safe_dump(with_authority("dGhlaXJz", "lab")))
    assert not take_out(target, lab)
    # Where the lab's own kubeconfig is gone or damaged, nothing is known as its own.
    target.write_bytes(lab.read_bytes())
    for text in ("", "[]"):
        lab.write_text(text)
        assert not take_out(target, lab)
    lab.unlink()
    assert not take_out(target, lab)


def test_a_users_file_that_is_not_there_is_not_made(lab: Path, tmp_path: Path) -> None:
    lab.write_text(yaml.safe_dump(with_authority("b3Vycw==", "lab")))
    assert not take_out(tmp_path / "config", lab)
    assert not (tmp_path / "config").exists()


def test_kubectls_files_are_those_it_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".kube/config"
    monkeypatch.setenv("KUBECONFIG", f"a{os.pathsep}{os.pathsep}{home}")
    assert files_of_user() == [Path("a"), home]
    monkeypatch.delenv("KUBECONFIG")
    assert files_of_user() == [home]
