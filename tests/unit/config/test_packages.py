from __future__ import annotations

import json

import pytest

from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError


def parsed(value: object) -> ClusterConfig:
    return parse_config(json.dumps({"name": "lab", "packages": value}))


def test_packages_are_kept_as_they_are_written() -> None:
    assert parsed(["vim", "g++", "libc6.1-dev", "0ad"]).packages == ("vim", "g++", "libc6.1-dev", "0ad")
    assert parsed([]).packages == parse_config("name: lab").packages == ()


@pytest.mark.parametrize("value", ["vim", {"vim": "9.1"}, None, 7, [f"p{number}" for number in range(65)]])
def test_what_is_no_list_of_packages_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="a list of up to 64 names of Debian packages") as caught:
        parsed(value)
    assert (caught.value.key, caught.value.exit_code) == ("packages", 2)


@pytest.mark.parametrize(
    "item",
    [
        "Vim",
        "v",
        "vim=9.1",
        "vim/stable",
        "vim,nano",
        "vim nano",
        "vim\n",
        "vim:amd64",
        "./vim.deb",
        "?all",
        "~n.",
        "--yes",
        "nano-",
        "a" * 101,
        7,
        None,
        "tree",
    ],
)
def test_what_apt_would_not_take_for_the_name_of_a_package_is_refused_by_its_place(item: object) -> None:
    # The last one is there twice.
    with pytest.raises(
        ConfigError, match="the name of a Debian package without a version, each once"
    ) as caught:
        parsed(["tree", item])
    assert (caught.value.key, caught.value.exit_code) == ("packages.1", 2)


def test_a_second_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match="linux-image-amd64 is a kernel") as caught:
        parsed(["linux-image-amd64"])
    assert caught.value.key == "packages.0"
