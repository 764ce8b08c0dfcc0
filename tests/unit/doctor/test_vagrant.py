from __future__ import annotations

from pathlib import Path

import pytest

from provision.doctor import Host
from provision.doctor.vagrant import vagrant_probe
from provision.errors import LabError
from tests.fakes.doctor import MADISON, FakeTools, dpkg, host, lines


def test_a_package_that_was_removed_does_not_count() -> None:
    tools = FakeTools({"dpkg-query": "config-files vagrant 2.3.4\n", "apt-cache": MADISON})
    assert lines(vagrant_probe()(host(tools)))[-1].endswith("vagrant vagrant-libvirt")


def test_the_distributions_vagrant_is_known_without_starting_it() -> None:
    tools = FakeTools(
        dpkg(vagrant="2.3.4+dfsg-1", vagrant_libvirt="0.11.2-1"), {"vagrant": "/usr/bin/vagrant"}
    )
    assert vagrant_probe()(host(tools)).level == "ok"
    assert not any(call.startswith("vagrant") for call in tools.calls)


@pytest.mark.parametrize(
    ("plugins", "level"),
    [
        ('{"installed": {"vagrant-libvirt": {"gem_version": "0.12.2"}}}', "ok"),
        ('{"installed": {}}', "fail"),
        ('{"installed": []}', "fail"),
        ('{"installed": {"vagrant-libvirt": []}}', "fail"),
        ("[]", "fail"),
        ("[" * 200_000, "fail"),
    ],
    ids=lambda text: text[:50],
)
def test_a_vagrant_of_the_users_own_has_its_plugins_at_home(tmp_path: Path, plugins: str, level: str) -> None:
    folder = tmp_path / "home" / ".vagrant.d"
    folder.mkdir(parents=True)
    (folder / "plugins.json").write_text(plugins)
    tools = FakeTools({**dpkg(), "vagrant --version": "Vagrant 2.4.9\n"}, {"vagrant": "/opt/bin/vagrant"})
    answer = vagrant_probe()(host(tools, tmp_path))
    assert answer.level == level
    if level == "fail":
        assert answer.fixes[-1].line(is_root=False) == "vagrant plugin install vagrant-libvirt"


def ubuntu(tools: FakeTools, root: Path) -> Host:
    return host(tools, root, os_id="ubuntu", os_like=("debian",), os_codename="noble", is_root=False)


NO_VAGRANT: dict[str, str | LabError] = {
    **dpkg(),
    "apt-cache madison": MADISON,
    "apt-cache madison vagrant": "",
}


def test_where_vagrant_is_not_packaged_hashicorps_is_offered_and_not_run(tmp_path: Path) -> None:
    answer = vagrant_probe()(ubuntu(FakeTools(NO_VAGRANT), tmp_path))
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "ubuntu noble does not package it" in answer.message
    assert "--vagrant-from-hashicorp" in answer.message
    text = "\n".join(answer.by_hand)
    assert "apt.releases.hashicorp.com/gpg" in text
    assert "Suites: noble" in text
    assert answer.by_hand[-1] == "vagrant plugin install vagrant-libvirt"


def test_hashicorps_vagrant_is_installed_when_it_is_asked_for(tmp_path: Path) -> None:
    answer = vagrant_probe(from_hashicorp=True)(ubuntu(FakeTools(NO_VAGRANT), tmp_path))
    install = next(command.argv for command in answer.fixes if "vagrant" in command.argv)
    assert {"libvirt-dev", "ruby-dev", "gcc"} < set(install)
    assert "Signed-By: /usr/share/keyrings/hashicorp" in next(c.stdin for c in answer.fixes if c.stdin)
    assert answer.fixes[-1].line(is_root=False) == "vagrant plugin install vagrant-libvirt"


def test_a_packaged_vagrant_is_preferred_even_then() -> None:
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON})
    answer = vagrant_probe(from_hashicorp=True)(host(tools))
    assert lines(answer)[-1].endswith("vagrant vagrant-libvirt")


def test_the_plugin_of_a_vagrant_of_the_users_own_needs_what_it_is_compiled_with(tmp_path: Path) -> None:
    tools = FakeTools(
        {**dpkg(gcc="12", make="4"), "vagrant --version": "Vagrant 2.4.9\n"}, {"vagrant": "/opt/bin/vagrant"}
    )
    *_, install, plugin = vagrant_probe()(host(tools, tmp_path)).fixes
    assert install.argv[-4:] == ("libvirt-dev", "ruby-dev", "g++", "pkg-config")
    assert not plugin.root


def test_an_old_vagrant_is_refused() -> None:
    tools = FakeTools({**dpkg(), "vagrant --version": "Vagrant 2.2.19\n"}, {"vagrant": "/opt/bin/vagrant"})
    assert "too old" in vagrant_probe()(host(tools)).message
