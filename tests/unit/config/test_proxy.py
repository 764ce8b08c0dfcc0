from __future__ import annotations

import json

import pytest

from provision.config.proxy import ProxyConfig
from provision.config.schema import parse_config
from provision.errors import ConfigError

SECRET = "s3cret-w0rd"


def parsed(text: str) -> ProxyConfig:
    return parse_config(f"name: lab\nproxy: {text}").proxy


def test_its_passwords_are_known_as_they_are_written_and_as_they_are() -> None:
    both = parsed("{http: 'http://me:se%20cret@p.test:1', https: 'http://me@p.test:1'}")
    assert both.secrets() == {"se%20cret", "se cret"}
    assert parsed("none").secrets() == set()


def test_none_is_named_unless_lab_yaml_does() -> None:
    assert not parse_config("name: lab").proxy
    assert parsed("none") == parse_config("name: lab").proxy


def test_one_address_is_for_both_schemes() -> None:
    short = parsed("http://proxy.test:3128")
    assert short
    assert short == parsed("{http: 'http://proxy.test:3128', https: 'http://proxy.test:3128'}")
    alone = parsed("{https: 'http://proxy.test:3128', noProxy: [.corp.test, 10.1.0.0/16, '*.x.test', h]}")
    assert alone
    assert alone.http.get_secret_value() == ""
    assert alone.no_proxy == (".corp.test", "10.1.0.0/16", "*.x.test", "h")


def test_a_password_is_shown_nowhere() -> None:
    config = parse_config(f"{{name: lab, proxy: 'http://me:{SECRET}@proxy.test:3128'}}")
    assert config.proxy.https.get_secret_value() == f"http://me:{SECRET}@proxy.test:3128"
    for text in (str(config), repr(config.proxy), config.model_dump_json()):
        assert SECRET not in text


@pytest.mark.parametrize(
    "address",
    [
        "proxy.test:3128",
        "socks5://proxy.test:1080",
        "http://",
        "http://proxy.test:3128/path",
        f"http://me:{SECRET}$x@proxy.test:1",
        f'http://me:{SECRET}"x@proxy.test:1',
        f"http://me:{SECRET} x@proxy.test:1",
        f"http://me:{SECRET}`id`@proxy.test:1",
        f"http://me:{SECRET}\nx@proxy.test:1",
    ],
)
@pytest.mark.parametrize("key", ["proxy", "proxy.http", "proxy.https"])
def test_what_is_no_address_is_refused_and_not_shown(address: str, key: str) -> None:
    quoted = json.dumps(address)
    with pytest.raises(ConfigError, match="not the address of a proxy") as caught:
        parsed(quoted if key == "proxy" else f"{{{key.partition('.')[2]}: {quoted}}}")
    assert (caught.value.key, caught.value.exit_code) == (key, 2)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_the_hosts_own_loopback_is_no_proxy_for_a_node(host: str) -> None:
    with pytest.raises(ConfigError, match="the node itself") as caught:
        parsed(f"'http://{host}:3128'")
    assert caught.value.key == "proxy"


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ("[a]", "proxy", "or a mapping"),
        ("7", "proxy", "or a mapping"),
        ("{}", "proxy.http", "is missing"),
        ("{noProxy: [a]}", "proxy.http", "is missing"),
        ("{http: 7}", "proxy.http", "HOST:PORT"),
        ("{http: 'http://p.test', noProxy: a}", "proxy.noProxy", "a list"),
        ("{http: 'http://p.test', noProxy: [a, 'b c']}", "proxy.noProxy.1", "a list of hosts"),
        ("{http: 'http://p.test', noProxy: ['$(id)']}", "proxy.noProxy.0", "a list of hosts"),
        ("{http: 'http://p.test', noproxy: [a]}", "proxy.noproxy", "did you mean `noProxy`?"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(text: str, key: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert (caught.value.key, caught.value.exit_code) == (key, 2)
    assert word in str(caught.value)
