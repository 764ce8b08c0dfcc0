"""A lab's configuration."""

from __future__ import annotations

from typing import Any

import yaml

from provision.config.schema import ClusterConfig, parse_config


def make_config(**keys: Any) -> ClusterConfig:
    """Return a config as lab.yaml gives it (`workers={"count": 1}`), its `auto` values decided."""
    decided = {"name": "lab", "provider": "libvirt", "cni": "bridge", **keys}
    return parse_config(yaml.safe_dump(decided))
