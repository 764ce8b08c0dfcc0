"""CNIs and providers of other Python packages: each a distribution made here and put on sys.path."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from provision.cli import group
from provision.cni.base import BuiltIn
from provision.cni.choose import cni_of
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError, LabError
from provision.extensions import CNIS, PROVIDERS, SNAPSHOTS, installed

CNI = """
    from provision.cni.base import BuiltIn

    class Acme(BuiltIn):
        name = "acme"

        def __init__(self, settings):
            self.settings = settings

        def node_files(self, config, inventory, node):
            return {}

        def is_installed(self, kubectl, site):
            return True

        def install(self, kubectl, site):
            pass
"""
PICKY = """
    from provision.errors import ConfigError

    def acme(settings):
        raise ConfigError("is too old", key="cni.version")
"""
PROVIDER = """
    from provision.providers.virtualbox.provider import VirtualBox

    class Cloud(VirtualBox):
        def __init__(self, report, cancel):
            super().__init__(report, cancel, name="cloud")

    class Snapshots:
        def __init__(self, cancel):
            self.cancel = cancel
"""


class Packages:
    """Puts Python packages where an installer would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, code: str, **groups: str) -> Path:
        """Install `name`, whose module of that name is `code`; `groups` is cnis="NAME=OBJECT"."""
        module = self.folder / name
        module.mkdir()
        (module / "__init__.py").write_text(textwrap.dedent(code))
        info = self.folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = (f"[kubelab.{key}]\n{entry.replace('=', f' = {name}:')}\n" for key, entry in groups.items())
        (info / "entry_points.txt").write_text("\n".join(points))
        # As a new process would see it.
        installed.cache_clear()
        return module


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Packages(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def parsed(text: str) -> ClusterConfig:
    return parse_config(f"name: lab\n{text}")


def test_a_cni_of_another_package_is_used_by_its_name(packages: Packages) -> None:
    packages.install("acme_cni", CNI, cnis="acme=Acme")
    assert list(CNIS)[-2:] == ["none", "acme"]
    assert isinstance(cni_of(parsed("cni: acme").cni), BuiltIn)


def test_a_cni_of_another_package_gets_its_version_and_values(packages: Packages) -> None:
    packages.install("acme_cni", CNI, cnis="acme=Acme")
    config = parsed(f"cni: {{name: acme, version: v1.2.3, sha256: {'ab' * 32}, values: {{mode: fast}}}}")
    made = cni_of(config.cni)
    assert (made.settings.version, made.settings.values) == ("v1.2.3", {"mode": "fast"})  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"cni\.values"):
        parsed("cni: {name: acme, values: [fast]}")


def test_its_name_is_among_those_allowed_as_long_as_it_is_installed(packages: Packages) -> None:
    with pytest.raises(ConfigError, match="'acme' is unknown"):
        parsed("cni: acme")
    packages.install("acme_cni", CNI, cnis="acme=Acme", providers="cloud=Cloud")
    with pytest.raises(ConfigError, match=r"did you mean `acme`.*bridge, none, acme"):
        parsed("cni: akme")
    with pytest.raises(ConfigError, match=r"did you mean `cloud`.*virtualbox, hosts, cloud"):
        parsed("provider: cluod")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: .*a_module_that_is_not_there"),
        ("class Other: pass", "AttributeError: .*'Acme'"),
        ("class Acme: pass", "TypeError: .*takes no arguments"),
        (CNI.replace("def install", "def instal"), "it lacks install"),
    ],
)
def test_a_broken_one_is_named_with_its_package_when_it_is_used(
    packages: Packages, code: str, why: str
) -> None:
    packages.install("acme_cni", code, cnis="acme=Acme")
    cni_of(parsed("cni: bridge").cni)
    config = parsed("cni: acme")
    with pytest.raises(LabError, match=f"the CNI acme of the Python package acme_cni .*: {why}") as caught:
        cni_of(config.cni)
    assert "pip install --upgrade acme_cni" in caught.value.hint


def test_what_it_says_of_its_settings_is_told_as_it_is(packages: Packages) -> None:
    packages.install("acme_cni", PICKY, cnis="acme=acme")
    with pytest.raises(ConfigError, match=r"cni\.version: is too old"):
        cni_of(parsed("cni: acme").cni)


def test_a_name_of_kubelab_cannot_be_taken_over(packages: Packages) -> None:
    packages.install("acme_cni", CNI, cnis="calico=Acme", providers="libvirt=Acme", snapshots="libvirt=Acme")
    assert list(CNIS).count("calico") == 1
    for registry, name in ((CNIS, "calico"), (PROVIDERS, "libvirt"), (SNAPSHOTS, "libvirt")):
        with pytest.raises(LabError, match=f"kubelab and acme_cni each have a .* called {name}") as caught:
            registry.make(name, object)
        assert "pip uninstall acme_cni" in caught.value.hint
    cni_of(parsed("cni: bridge").cni)


def test_two_packages_with_one_name_are_both_named(packages: Packages) -> None:
    packages.install("acme_cni", CNI, cnis="acme=Acme")
    packages.install("other_cni", CNI, cnis="acme=Acme")
    with pytest.raises(LabError, match="acme_cni and other_cni each have a CNI called acme"):
        cni_of(parsed("cni: acme").cni)


def test_a_provider_brings_its_part_of_the_vagrantfile_and_its_snapshots(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = packages.install("acme_cloud", PROVIDER, providers="cloud=Cloud", snapshots="cloud=Snapshots")
    templates = module / "templates" / "vagrant"
    templates.mkdir(parents=True)
    (templates / "cloud.rb.j2").write_text("  # {{ network_name }} in a cloud\n")
    lab = {"name": "lab", "provider": "cloud", "artifacts": "source", "cni": "bridge"}
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(yaml.safe_dump(lab))
    result = CliRunner().invoke(group, ["render"])
    assert result.exit_code == 0, result.output
    assert "  # kubelab-lab in a cloud\n" in Path("Vagrantfile").read_text()
    cancel = threading.Event()
    assert SNAPSHOTS.make("cloud", object, cancel).cancel is cancel
