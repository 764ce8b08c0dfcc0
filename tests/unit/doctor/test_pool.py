from __future__ import annotations

import pytest

from provision.doctor.pool import probe_pool
from provision.errors import LabError
from tests.fakes.doctor import FakeTools, host


def pools(**found: tuple[str, str, str]) -> dict[str, str | LabError]:
    """Return libvirt's answers for pools, each with its state, kind and folder."""
    rows = "".join(f" {name}   {state}   yes\n" for name, (state, _, _) in found.items())
    answers: dict[str, str | LabError] = {
        f"virsh -c qemu:///system pool-dumpxml {name}": (
            f"<pool type='{kind}'><name>{name}</name><available unit='bytes'>{2**40}</available>"
            f"<target><path>{folder}</path></target></pool>"
        )
        for name, (_, kind, folder) in found.items()
    }
    table = f" Name      State    Autostart\n-----------------\n{rows}"
    return {**answers, "virsh -c qemu:///system pool-list": table}


IMAGES = "/var/lib/libvirt/images"


@pytest.mark.parametrize(
    ("found", "level", "verbs"),
    [
        ({"default": ("active", "dir", IMAGES)}, "ok", []),
        ({"default": ("active", "dir", "/srv/vms")}, "ok", []),
        ({"default": ("inactive", "dir", IMAGES)}, "fail", ["pool-build", "pool-start", "pool-autostart"]),
        # What such a pool is built of would be formatted.
        ({"default": ("inactive", "fs", "/mnt")}, "fail", ["pool-start", "pool-autostart"]),
        ({"default": ("active", "logical", "/dev/vg0")}, "fail", []),
        ({}, "fail", ["pool-define-as", "pool-build", "pool-start", "pool-autostart"]),
    ],
)
def test_the_pool_gets_what_it_lacks(
    found: dict[str, tuple[str, str, str]], level: str, verbs: list[str]
) -> None:
    answer = probe_pool(host(FakeTools(pools(other=("active", "dir", "/srv/other"), **found))))
    assert answer.level == level
    assert [command.argv[3] for command in answer.fixes] == verbs


@pytest.mark.parametrize(
    ("folder", "target"),
    [("/srv/other", IMAGES), (IMAGES, "/var/lib/libvirt/kubelab"), (f"{IMAGES}/", "kubelab")],
)
def test_a_folder_that_another_pool_has_is_left_to_it(folder: str, target: str) -> None:
    answer = probe_pool(host(FakeTools(pools(images=("active", "dir", folder)))))
    assert answer.fixes[0].argv[-1].endswith(target)


def test_a_pool_on_a_disk_that_is_nearly_full_is_told() -> None:
    answers = pools(default=("active", "dir", "/srv/vms"))
    name = "virsh -c qemu:///system pool-dumpxml default"
    answers[name] = str(answers[name]).replace(str(2**40), str(3 * 2**30))
    answer = probe_pool(host(FakeTools(answers)))
    assert (answer.level, answer.message.split(";")[0]) == (
        "warn",
        "the pool default has 3 GiB free in /srv/vms",
    )
