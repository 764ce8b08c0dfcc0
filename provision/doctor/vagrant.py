"""Check of Vagrant and its libvirt plugin: from the distribution, or from HashiCorp where it has neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from provision.doctor.apt import install, installed, is_packaged, knows_packages, numbers
from provision.doctor.findings import Answer, Command, bad, good
from provision.doctor.systems import OTHERS, family

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.doctor.tools import Host

MINIMUM = (2, 3)
PACKAGES = ("vagrant", "vagrant-libvirt")
# What `vagrant plugin install` compiles the plugin with.
BUILD_PACKAGES = ("libvirt-dev", "ruby-dev", "gcc", "g++", "make", "pkg-config")
FLAG = "kubelab doctor --fix --vagrant-from-hashicorp"

_SITE = "https://apt.releases.hashicorp.com"
_KEY = "/usr/share/keyrings/hashicorp-archive-keyring.asc"
_SOURCE = "/etc/apt/sources.list.d/hashicorp.sources"
_PLUGIN = Command(("vagrant", "plugin", "install", "vagrant-libvirt"), deadline=1800, root=False)


def vagrant_probe(*, from_hashicorp: bool = False) -> Callable[[Host], Answer]:
    """Return the check of Vagrant; with `from_hashicorp` its fixes may add HashiCorp's own packages."""
    return lambda host: _probe(host, from_hashicorp)


def _probe(host: Host, from_hashicorp: bool) -> Answer:
    have = installed(host) if knows_packages(host) else {}
    program = host.tools.which("vagrant")
    if program is None:
        return _missing(host, [name for name in PACKAGES if name not in have], from_hashicorp)
    if "vagrant-libvirt" in have and str(Path(program).resolve()) == "/usr/bin/vagrant":
        version, plugin = have.get("vagrant", ""), have["vagrant-libvirt"]
    else:
        # Not the distribution's Vagrant: it sees only the plugins in the user's own folder.
        version = host.tools.run(["vagrant", "--version"], deadline=60).strip()
        plugin = _own_plugin(host)
    if numbers(version) < MINIMUM:
        return bad(f"{version} is too old; 2.3 or newer is needed: install a newer Vagrant")
    if not plugin:
        return _no_plugin(host, have)
    return good(f"Vagrant {version.removeprefix('Vagrant ')}, vagrant-libvirt {plugin}")


def _missing(host: Host, packages: list[str], from_hashicorp: bool) -> Answer:
    other = OTHERS.get(family(host.facts))
    if other is not None:
        line = other.command(["vagrant"]) or "see https://developer.hashicorp.com/vagrant/install"
        return Answer("fail", "Vagrant is not installed", by_hand=(line,))
    if not knows_packages(host):
        return bad("Vagrant is not installed: https://developer.hashicorp.com/vagrant/install")
    if is_packaged(host, "vagrant"):
        return bad("Vagrant is not installed", *install(host, packages))
    what = f"Vagrant is not installed, and {host.facts.os_id} {host.facts.os_codename} does not package it"
    commands = _hashicorp(host)
    if from_hashicorp:
        return bad(what, *commands)
    lines = tuple(command.line(is_root=host.facts.is_root) for command in commands)
    return Answer("fail", f"{what}; HashiCorp does: {FLAG} runs", by_hand=lines)


def _no_plugin(host: Host, have: dict[str, str]) -> Answer:
    what = "the plugin vagrant-libvirt is missing"
    if not knows_packages(host):
        return bad(what, _PLUGIN)
    if "dfsg" in have.get("vagrant", ""):
        return bad(what, *install(host, ["vagrant-libvirt"]))
    wanted = [name for name in BUILD_PACKAGES if name not in have]
    return bad(what, *(install(host, wanted) if wanted else ()), _PLUGIN)


def _hashicorp(host: Host) -> tuple[Command, ...]:
    """Return the commands that add HashiCorp's packages, and install Vagrant and its plugin."""
    key, source = str(host.path(_KEY)), str(host.path(_SOURCE))
    text = (
        f"Types: deb\nURIs: {_SITE}\nSuites: {host.facts.os_codename}\nComponents: main\n"
        f"Architectures: amd64\nSigned-By: {_KEY}\n"
    )
    return (
        *install(host, ["wget", "ca-certificates"]),
        Command(("wget", "--quiet", f"--output-document={key}", f"{_SITE}/gpg"), deadline=120),
        Command(("tee", source), stdin=text),
        *install(host, ["vagrant", *BUILD_PACKAGES]),
        _PLUGIN,
    )


def _own_plugin(host: Host) -> str:
    try:
        plugins = json.loads((host.home / ".vagrant.d" / "plugins.json").read_text())["installed"]
        return str(plugins["vagrant-libvirt"].get("gem_version") or "of the user's own")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
