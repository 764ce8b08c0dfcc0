from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from provision.cli import group
from provision.config.inventory import inventory_of
from provision.errors import ConfigError
from provision.ssh.exports import ansible_inventory, hosts_for_testinfra
from provision.ssh.host_keys import ssh_config
from provision.workspace import Workspace
from tests.fakes.config import make_config
from tests.fakes.lab import Lab, make_lab


def exported(root: Path, **keys: Any) -> dict[str, Any]:
    """Return the part of the Ansible inventory that is the lab's."""
    document = ansible_inventory(inventory_of(make_config(**keys)), Workspace(root, "lab"))
    lab: dict[str, Any] = document["all"]["children"]["kubelab"]
    return lab


def config_of(lab: Lab) -> str:
    return ssh_config(lab.ctx.workspace, lab.ctx.inventory)


def test_other_tools_know_nodes_by_names_of_their_own() -> None:
    own = {"workers": {"count": 1}, "nodes": {"lab-w1": {"name": "w1-k8s"}}}
    groups = exported(Path("/lab"), **own)["children"]
    assert groups["workers"]["hosts"] == {"w1-k8s": {"ansible_host": "192.168.60.21"}}
    assert hosts_for_testinfra(inventory_of(make_config(**own))) == ["ssh://lab-cp1", "ssh://w1-k8s"]


def test_ansible_gets_the_nodes_by_role_each_with_its_address() -> None:
    groups = exported(Path("/lab"), workers={"count": 2})["children"]
    assert groups["control_plane"]["hosts"] == {"lab-cp1": {"ansible_host": "192.168.60.11"}}
    assert list(groups["workers"]["hosts"]) == ["lab-w1", "lab-w2"]
    alone = exported(Path("/lab"), workers={"count": 0})["children"]
    assert alone["workers"] == {"hosts": {}}


def test_ansible_reaches_a_node_as_the_ssh_config_does(tmp_path: Path) -> None:
    # ssh splits the value of an option at spaces, and Ansible the options themselves.
    root = tmp_path / "my labs"
    root.mkdir()
    told = exported(root)["vars"]
    first, _ = config_of(make_lab(root, workers={"count": 1})).split("\n\n")
    wanted = dict(line.split(maxsplit=1) for line in first.splitlines())
    arguments = shlex.split(told["ansible_ssh_common_args"])
    assert set(arguments[::2]) == {"-o"}
    options = dict(argument.split("=", 1) for argument in arguments[1::2])
    options |= {"Host": "lab-cp1", "HostName": "192.168.60.11"}
    options |= {"User": told["ansible_user"], "Port": str(told["ansible_port"])}
    options["IdentityFile"] = f'"{told["ansible_ssh_private_key_file"]}"'
    assert options == wanted


@pytest.mark.parametrize("name", ["50% off", "a%h", 'say "hi"', "back\\slash", "it's", "$HOME", "{x}"])
@pytest.mark.skipif(not shutil.which("ssh"), reason="needs ssh")
def test_ssh_looks_for_the_keys_where_they_are(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    lab = make_lab(root)
    lab.ctx.workspace.ssh_config.write_text(config_of(lab))
    argv = ["ssh", "-G", "-F", str(lab.ctx.workspace.ssh_config), "lab-cp1"]
    arguments = shlex.split(exported(root)["vars"]["ansible_ssh_common_args"])
    for more in ([], arguments):
        said = subprocess.run([*argv, *more], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        options = dict(line.split(" ", 1) for line in said.stdout.splitlines() if " " in line)
        # It replaces the %-signs only when it opens the files.
        for option, file in (("identityfile", "id_ed25519"), ("userknownhostsfile", "known_hosts")):
            assert options[option].replace("%%", "%") == str(lab.ctx.workspace.state / file)


@pytest.mark.parametrize("name", ["a ${HOME}", "two\nlines"])
def test_a_folder_that_ssh_cannot_be_told_is_refused(tmp_path: Path, name: str) -> None:
    lab = make_lab(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be told to OpenSSH") as caught:
        config_of(lab)
    assert caught.value.hint == "rename the folder"


def test_testinfra_gets_the_names_the_ssh_config_knows(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, workers={"count": 1})
    hosts = hosts_for_testinfra(lab.ctx.inventory)
    assert hosts == ["ssh://lab-cp1", "ssh://lab-w1"]
    lines = config_of(lab).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("Host ")] == [host[6:] for host in hosts]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return the workspace of a lab whose machines have been made, and go there."""
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\n")
    space = Workspace(tmp_path.resolve(), "lab")
    space.prepare()
    space.ssh_config.write_text("Host lab-cp1\n")
    return space


def kubelab(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def test_the_inventory_is_yaml_in_lines_that_are_not_broken(folder: Workspace) -> None:
    shown = kubelab("inventory")
    assert shown.exit_code == 0
    assert yaml.safe_load(shown.stdout)["all"]["children"]["kubelab"] == exported(
        folder.root, workers={"count": 1}
    )
    (line,) = [line for line in shown.stdout.splitlines() if "UserKnownHostsFile" in line]
    assert line.lstrip().startswith("ansible_ssh_common_args: ")
    assert "StrictHostKeyChecking=yes" in line


def test_the_hosts_of_testinfra_are_one_word(folder: Workspace) -> None:
    assert kubelab("inventory", "--format", "testinfra").stdout == "ssh://lab-cp1,ssh://lab-w1\n"


def test_programs_get_the_same_as_json(folder: Workspace) -> None:
    document = yaml.safe_load(kubelab("inventory", "--json").stdout)["data"]
    assert document["all"]["children"]["kubelab"] == exported(folder.root, workers={"count": 1})
    hosts = yaml.safe_load(kubelab("inventory", "--json", "--format", "testinfra").stdout)["data"]
    assert hosts == {"hosts": ["ssh://lab-cp1", "ssh://lab-w1"]}


def test_the_ssh_config_has_a_path_of_its_own(folder: Workspace) -> None:
    assert kubelab("ssh-config", "--path").stdout == f"{folder.ssh_config}\n"
    shown = kubelab("ssh-config").stdout
    assert shown.startswith("Host lab-cp1\n  HostName 192.168.60.11\n")
    folder.ssh_config.write_text("Host *\n  ProxyCommand touch here\n")
    assert kubelab("ssh-config").stdout == shown
    assert yaml.safe_load(kubelab("ssh-config", "--json").stdout)["data"] == {"file": str(folder.ssh_config)}


def test_without_machines_the_next_command_is_named(folder: Workspace) -> None:
    folder.ssh_config.unlink()
    for arguments in (["inventory"], ["inventory", "--format", "testinfra"], ["ssh-config", "--path"]):
        refused = kubelab(*arguments)
        assert (refused.exit_code, "kubelab up" in refused.stderr, refused.stdout) == (1, True, "")
