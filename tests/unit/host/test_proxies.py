from __future__ import annotations

import pytest

from provision.host.proxies import behind_proxy, proxy_of, without_proxy

LOCAL = "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, f"{LOCAL},10.0.0.0/8"),
        ({"NO_PROXY": "a.test"}, f"a.test,{LOCAL},10.0.0.0/8"),
        ({"no_proxy": "b.test, localhost,"}, f"b.test,{LOCAL},10.0.0.0/8"),
        ({"NO_PROXY": "a.test", "no_proxy": "b.test"}, f"a.test,b.test,{LOCAL},10.0.0.0/8"),
        ({"NO_PROXY": "*"}, f"*,{LOCAL},10.0.0.0/8"),
        ({"NO_PROXY": "10.0.0.0/8"}, f"10.0.0.0/8,{LOCAL}"),
    ],
)
def test_what_is_exempt_stays_so_and_the_lab_is_too(environment: dict[str, str], expected: str) -> None:
    found = without_proxy(["10.0.0.0/8"], environment)
    assert found["NO_PROXY"] == found["no_proxy"]
    assert set(found["NO_PROXY"].split(",")) == set(expected.split(","))
    assert found["NO_PROXY"].count("localhost") == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_is_found_in_either_case(name: str) -> None:
    assert proxy_of("https", {name: "http://a.test:1"}) == "http://a.test:1"
    assert behind_proxy({name: "http://a.test:1"})
    assert not behind_proxy({name: ""})
    assert proxy_of("http", {name: "http://a.test:1"}) == ""
