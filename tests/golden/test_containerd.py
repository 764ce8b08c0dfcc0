from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from provision.box.containerd import containerd_config
from tests.fakes.artifacts.bundle import make_bundle
from tests.golden import golden

RUNTIMES = {
    (1, 7): "io.containerd.grpc.v1.cri",
    (2, 0): "io.containerd.cri.v1.runtime",
    (2, 1): "io.containerd.cri.v1.runtime",
    (2, 3): "io.containerd.cri.v1.runtime",
}


@pytest.mark.parametrize("version", RUNTIMES, ids=lambda version: ".".join(map(str, version)))
def test_the_configuration_of_containerd(tmp_path: Path, version: tuple[int, int]) -> None:
    text = containerd_config(make_bundle(tmp_path), version)
    # Nothing changed between these two that a lab uses.
    shown = (2, 1) if version == (2, 3) else version
    golden.check(f"containerd-{shown[0]}.{shown[1]}.toml", text)
    document = tomllib.loads(text)
    assert document["version"] == (2 if version < (2, 0) else 3)
    runc = document["plugins"][RUNTIMES[version]]["containerd"]["runtimes"]["runc"]
    assert runc == {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}
