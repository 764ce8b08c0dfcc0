from __future__ import annotations

import json

import pytest

from provision.config.registries import MOST_ENDPOINTS, MOST_REGISTRIES
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError

HTTP = "http://192.168.60.1:5000"


def parsed(**keys: object) -> ClusterConfig:
    return parse_config(json.dumps({"name": "lab", **keys}))


def refused(**keys: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parsed(**keys)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    "name", ["docker.io", "registry.lab:5000", "192.168.60.1:5000", "localhost", "localhost:5001", "a:65535"]
)
def test_a_registry_is_named_as_images_name_it(name: str) -> None:
    assert parsed(registryMirrors={name: [HTTP]}).registry_mirrors == {name: (HTTP,)}


@pytest.mark.parametrize(
    "name",
    [
        "docker",
        "library/busybox",
        "docker.io/library",
        "http://a.test",
        "..",
        "../..",
        "a..b",
        "a.b:0",
        "a.b:65536",
        "a.b:",
        "-a.b",
        "A.B",
        "a.b\n",
        "$(id).b",
        "a.b;c",
        "",
        "a b.c",
        "*",
        "a." * 200 + "b",
    ],
)
def test_what_no_image_is_named_by_is_no_registry(name: str) -> None:
    error = refused(registryMirrors={name: [HTTP]})
    assert error.key.startswith("registryMirrors.")
    assert "no registry; allowed: HOST or HOST:PORT" in str(error)
    assert refused(insecureRegistries=[name]).key == "insecureRegistries.0"


@pytest.mark.parametrize(
    "endpoint", ["http://m.test", "https://m.test:5000", "https://m.test/v2/my-project_1", "http://m"]
)
def test_an_endpoint_is_kept_without_a_last_slash(endpoint: str) -> None:
    for written in (endpoint, f"{endpoint}/"):
        assert parsed(registryMirrors={"docker.io": [written]}).registry_mirrors["docker.io"] == (endpoint,)


@pytest.mark.parametrize(
    "endpoint",
    [
        "m.test:5000",
        "ftp://m.test",
        "http://",
        "http://m.test:0",
        "http://m.test:99999",
        "http://m.test?a=b",
        "http://m.test/a//b",
        'http://m.test/"',
        "http://m.test/a b",
        "http://m.test\n",
        'http://m.test"]',
        7,
        None,
        ["http://m.test"],
        "http://m.test/" + "a" * 300,
    ],
)
def test_what_is_no_endpoint_is_refused_by_its_place(endpoint: object) -> None:
    error = refused(registryMirrors={"docker.io": [HTTP, endpoint]})
    assert error.key == "registryMirrors.docker.io.1"
    assert "http:// or https://" in str(error)


def test_a_password_in_an_endpoint_is_refused_and_not_shown() -> None:
    error = refused(registryMirrors={"docker.io": ["http://me:s3cret@m.test"]})
    assert "s3cret" not in str(error)
    assert "without a name or password" in str(error)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"docker.io": []}, "a list of 1 to 8 endpoints"),
        ({"docker.io": HTTP}, "a list of 1 to 8 endpoints"),
        ({"docker.io": [f"{HTTP}/{number}" for number in range(MOST_ENDPOINTS + 1)]}, "a list of 1 to 8"),
        ({"docker.io": [HTTP, f"{HTTP}/"]}, "there twice"),
        ([HTTP], "a mapping of REGISTRY"),
        ("none", "a mapping of REGISTRY"),
        (None, "a mapping of REGISTRY"),
        ({f"r{number}.test": [HTTP] for number in range(MOST_REGISTRIES + 1)}, "64 at most"),
    ],
)
def test_mirrors_are_a_bounded_mapping_of_lists(value: object, word: str) -> None:
    assert word in str(refused(registryMirrors=value))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("a.test", "a list of registries"),
        ({"a.test": 1}, "a list of registries"),
        (["a.test", "a.test"], "there twice"),
        (["docker.io"], "has a certificate"),
        (["http://a.test"], "HOST or HOST:PORT"),
        ([f"r{number}.test" for number in range(MOST_REGISTRIES + 1)], "64 at most"),
    ],
)
def test_insecure_registries_are_a_bounded_list(value: object, word: str) -> None:
    assert word in str(refused(insecureRegistries=value))


def test_every_fault_is_listed() -> None:
    error = refused(registryMirrors={"docker": [HTTP], "docker.io": ["m.test", "x.test"]})
    assert len(str(error).splitlines()) == 3
