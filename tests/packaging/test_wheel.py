"""What is built is what is shipped: the wheel works far from the checkout, the sdist can build it."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from tests.packaging.wheel import CHECKOUT, run

DATA = "provision/_data/"


def shipped() -> dict[str, bytes]:
    """Return name -> content of every data file in the checkout."""
    files = [CHECKOUT / "Vagrantfile.j2", *(CHECKOUT / "templates").rglob("*")]
    return {str(file.relative_to(CHECKOUT)): file.read_bytes() for file in files if file.is_file()}


def test_the_wheel_holds_the_package_with_all_its_data_and_no_more(dist: Path) -> None:
    (file,) = dist.glob("*.whl")
    with zipfile.ZipFile(file) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        data = {name.removeprefix(DATA): wheel.read(name) for name in names if name.startswith(DATA)}
    assert data == shipped()
    package = [path for path in (CHECKOUT / "provision").rglob("*") if "__pycache__" not in path.parts]
    code = {str(path.relative_to(CHECKOUT)) for path in package if path.is_file()}
    assert sorted(name for name in names if not name.startswith(DATA)) == sorted(code)
    assert "provision/py.typed" in code
    assert {Path(name).suffix for name in code} <= {".py", ".typed", ".ini"}


def test_the_sdist_holds_what_the_wheel_is_built_from_and_nothing_of_a_lab(dist: Path) -> None:
    (file,) = dist.glob("*.tar.gz")
    with tarfile.open(file) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= {*shipped(), "pyproject.toml", "provision/cli.py", "README.md", "LICENSE", "Makefile"}
    assert "snapshots/README.md" in names
    assert "tests/packaging/test_wheel.py" in names
    kept_out = (".vagrant/", ".kubelab/", ".git/", "lab.yaml", "Vagrantfile", "provision/_data/", ".venv/")
    assert [name for name in names if name.startswith(kept_out) and name != "Vagrantfile.j2"] == []
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_the_installed_command_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "python", "-c", "import provision; print(provision.__file__)").strip()
    assert Path(where).is_relative_to(installed)
    assert run(installed, tmp_path, "kubelab", "--version").startswith("kubelab, version ")
    run(installed, tmp_path, "python", "-m", "provision", "--version")
    run(installed, tmp_path, "kubelab", "init")
    run(installed, tmp_path, "kubelab", "render")
    text = (tmp_path / "Vagrantfile").read_text()
    assert "lab-cp1" in text
    assert str(CHECKOUT) not in text


def test_every_module_of_the_installed_package_can_be_imported(installed: Path, tmp_path: Path) -> None:
    script = (
        "import importlib, pkgutil, provision\n"
        "for module in pkgutil.walk_packages(provision.__path__, 'provision.'):\n"
        "    if '.checks' not in module.name and '__main__' not in module.name:\n"
        "        importlib.import_module(module.name)\n"
        "from provision import extensions\n"
        "for registry in (extensions.PROVIDERS, extensions.SNAPSHOTS, extensions.CNIS):\n"
        "    for reference in registry.own.values():\n"
        "        pkgutil.resolve_name(reference)\n"
    )
    run(installed, tmp_path, "python", "-W", "error", "-c", script)
