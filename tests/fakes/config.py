"""A lab's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from provision.config.artifacts import ArtifactsConfig
from provision.config.schema import ClusterConfig, NodeConfig, parse_config


def make_config(**keys: Any) -> ClusterConfig:
    """Return a config as lab.yaml gives it (`workers={"count": 1}`), its `auto` values decided."""
    decided = {"name": "lab", "provider": "libvirt", "cni": "bridge", **keys}
    return parse_config(yaml.safe_dump(decided))


def every_key(model: type[BaseModel] = ClusterConfig, path: str = "") -> Iterator[str]:
    """Yield the path of every key of lab.yaml."""
    for field, info in model.model_fields.items():
        key = f"{path}{info.alias or to_camel(field)}"
        yield key
        inner = info.annotation
        # The fields of `artifacts` are not its keys: they hold what its short forms mean.
        if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not ArtifactsConfig:
            yield from every_key(inner, f"{key}.")
        if inner == dict[str, NodeConfig]:
            yield from every_key(NodeConfig, f"{key}.NODE.")
