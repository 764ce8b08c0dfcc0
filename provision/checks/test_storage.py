"""Volumes: emptyDir, hostPath, ConfigMap and Secret, in one pod."""

from __future__ import annotations

import pytest

from provision.checks.walk import Walk
from provision.checks.walk_objects import (
    MOUNTS,
    PASSWORD,
    PASSWORD_DATA,
    READER,
    SETTINGS,
    SETTINGS_DATA,
    VOLUMES,
    WRITER,
)

pytestmark = pytest.mark.changes

LOOK = "kubelab ssh NODE -- sudo journalctl -u kubelet -e"
WRITE, READ = 'echo "$1" >"$2"', 'cat "$1"'


@pytest.mark.look(LOOK)
def test_an_empty_dir_is_shared_by_the_containers_of_a_pod(walk: Walk) -> None:
    path = f"{MOUNTS}/scratch/note"
    _in_pod(walk, WRITER, WRITE, walk.namespace, path)
    seen = _in_pod(walk, READER, READ, path)
    assert seen.strip() == walk.namespace, f"one container wrote {walk.namespace!r}, the other reads {seen!r}"


@pytest.mark.look(LOOK)
def test_a_host_path_is_a_folder_of_the_node(walk: Walk) -> None:
    _in_pod(walk, WRITER, WRITE, walk.namespace, f"{MOUNTS}/host/note")
    file = walk.home.file(f"{walk.site.host_folder}/note")
    assert file.exists, f"the file that the pod wrote into its hostPath volume is missing on {walk.home}"
    assert file.content_string.strip() == walk.namespace


@pytest.mark.look(LOOK)
def test_a_config_map_is_mounted(walk: Walk) -> None:
    for name, content in SETTINGS_DATA.items():
        seen = _in_pod(walk, WRITER, READ, f"{MOUNTS}/{SETTINGS}/{name}")
        assert seen == content, f"the ConfigMap's {name} is mounted as {seen!r}"


@pytest.mark.look(LOOK)
def test_a_secret_is_mounted(walk: Walk) -> None:
    for name, content in PASSWORD_DATA.items():
        seen = _in_pod(walk, WRITER, READ, f"{MOUNTS}/{PASSWORD}/{name}")
        assert seen == content, f"the Secret's {name} is mounted as {seen!r}"


def _in_pod(walk: Walk, container: str, script: str, *arguments: str) -> str:
    walk.ready_pod(VOLUMES, walk.remaining())
    words = ["-c", container, "--", "sh", "-c", script, "sh", *arguments]
    return walk.kubectl.text("exec", "-n", walk.namespace, VOLUMES, *words)
