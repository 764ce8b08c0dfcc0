from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from provision.box import containerd
from provision.box.containerd import containerd_config, containerd_version
from provision.config.kubernetes_versions import MINORS, minor_of
from provision.errors import ConfigError, LabError
from tests.fakes.artifacts.bundle import make_bundle


def base(folder: Path, status: str, name: str = "./var/lib/dpkg/status") -> Path:
    """Return a root filesystem's tar in which dpkg says this."""
    path = folder / "base.tar"
    with tarfile.open(path, "w") as tar:
        for member, text in (("./etc/hostname", "box"), (name, status)):
            info = tarfile.TarInfo(member)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def paragraph(package: str, version: str) -> str:
    return (
        f"Package: {package}\nStatus: install ok installed\nDescription: a\n .\n b: c\nVersion: {version}\n"
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.7.24~ds1-6+deb13u1", (1, 7)), ("2.1.4-1", (2, 1)), ("1:2.10.0~rc1", (2, 10))],
)
def test_the_version_is_that_of_the_guests_package(
    tmp_path: Path, text: str, version: tuple[int, int]
) -> None:
    status = "\n".join([paragraph("containernetworking", "9.9"), paragraph("containerd", text)])
    assert containerd_version(base(tmp_path, status)) == version


@pytest.mark.parametrize("name", ["./var/lib/dpkg/status", "./elsewhere"])
def test_a_guest_without_containerd_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="has no containerd"):
        containerd_version(base(tmp_path, paragraph("docker", "1.2"), name))


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ((1, 7), 'sandbox_image = "registry.k8s.io/pause:9.9.9"'),
        ((2, 1), 'sandbox = "registry.k8s.io/pause:9.9.9"'),
    ],
)
def test_containerd_is_given_the_pause_image_that_is_in_the_bundle(
    tmp_path: Path, version: tuple[int, int], line: str
) -> None:
    # Another patch of it would be pulled, and offline that is fatal.
    bundle = make_bundle(tmp_path, {"pause": "registry.k8s.io/pause:9.9.9"})
    assert line in containerd_config(bundle, version)
    with pytest.raises(LabError, match="pause"):
        containerd_config(make_bundle(tmp_path / "none", {}), version)


def test_a_containerd_that_the_kubelet_does_not_work_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs containerd 1\.7, the box has 1\.6") as caught:
        containerd_config(make_bundle(tmp_path), (1, 6))
    assert caught.value.exit_code == 2


def test_every_minor_works_with_both_forms_of_configuration() -> None:
    assert all(minor.containerd <= (1, 7) < containerd.VERSION_3 for minor in MINORS.values())


def test_the_table_of_minors_is_about_its_minors() -> None:
    assert all(minor_of(minor.patch) == name for name, minor in MINORS.items())
    assert all(minor_of(minor.crictl) == name for name, minor in MINORS.items())
    assert all(len(minor.images) == 3 for minor in MINORS.values())
