"""Everything that is fetched, through a real proxy on loopback; an API server of the lab, past it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.artifacts import debian
from provision.artifacts.sites import Sites
from provision.artifacts.web.client import Web
from provision.cluster.kubectl import Kubectl
from provision.errors import LabError, ToolFailed
from tests.fakes.artifacts.mirror import Mirror, serving
from tests.fakes.artifacts.proxy import proxying
from tests.fakes.engine import FakeClock

PACKAGES = "http://127.0.0.1:{port}/debian/packages"
# As the real one it runs its hooks with the new root as $1, and its apt reads that root's settings alone.
MMDEBSTRAP = """
import os, pathlib, re, subprocess, sys, tempfile, urllib.request
root = pathlib.Path(tempfile.mkdtemp(dir=pathlib.Path(sys.argv[0]).parent))
settings = root / "etc/apt/apt.conf.d"
settings.mkdir(parents=True)

def hooks(kind):
    for word in sys.argv[1:]:
        if word.startswith(f"--{kind}-hook="):
            subprocess.run(["sh", "-c", word.partition("=")[2], "sh", str(root)], check=True)

hooks("setup")
text = "".join(file.read_text() for file in settings.iterdir())
site = next(word for word in sys.argv if word.startswith("deb ")).split()[1]
found = dict(re.findall(r'Acquire::http::Proxy(\\S*) "([^"]*)";', text))
proxy = found.get("", "")
if found.get("::" + site.split("/")[2].split(":")[0]) == "DIRECT":
    proxy = ""
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy else {}))
with opener.open(site) as answer:
    content = answer.read()
hooks("extract")
assert not list(settings.iterdir()), "something of the proxy is left"
pathlib.Path(next(word for word in sys.argv if word.endswith(".tar"))).write_bytes(content)
"""
KUBECTL = """
import os, sys, urllib.request
host = "192.168.60.11"
# As programs in Go take it: ranges count.
import ipaddress
exempt = [word for word in os.environ["NO_PROXY"].split(",") if "/" in word]
direct = any(ipaddress.ip_address(host) in ipaddress.ip_network(word) for word in exempt)
assert os.environ["NO_PROXY"] == os.environ["no_proxy"]
print("direct" if direct else "through the proxy")
"""


@pytest.fixture
def site() -> Iterator[Mirror]:
    with serving() as mirror:
        mirror.files["/debian"] = b"packages"
        mirror.put("https://dl.k8s.io/release/stable-1.36.txt", b"v1.36.4", checked=False)
        yield mirror


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Mirror) -> Path:
    """Stand-ins for Debian's programs, and no proxy named anywhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "keyring").touch()
    program(folder, "apt-get", f'print("Debian|main|trixie|{site.url}/debian")')
    program(folder, "apt-config", "")
    program(folder, "mmdebstrap", MMDEBSTRAP)
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "keyring")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name)
    return folder


def program(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"#!{sys.executable} -IS\n{text}")
    file.chmod(0o755)
    return file


def unpack(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    debian.extract(["busybox-static"], "trixie", work / "out.tar", say=lambda _: None)
    assert [file.name for file in work.iterdir()] == ["out.tar"]
    assert (work / "out.tar").read_bytes() == b"packages"


@pytest.mark.parametrize("login", ["", "me:s3cret"])
@pytest.mark.parametrize("where", ["apt", "HTTP_PROXY", "http_proxy"])
def test_packages_come_through_the_proxy(
    tools: Path, tmp_path: Path, site: Mirror, monkeypatch: pytest.MonkeyPatch, where: str, login: str
) -> None:
    with proxying(login) as proxy:
        if where == "apt":
            program(tools, "apt-config", f"""print('Acquire::http::Proxy "{proxy.url}";')""")
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        else:
            monkeypatch.setenv(where, proxy.url)
        unpack(tmp_path)
    assert proxy.asked == [f"GET {site.url}/debian"]


@pytest.mark.parametrize("exempt", ["NO_PROXY", "no_proxy"])
def test_packages_of_an_exempt_host_come_past_it(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    with proxying() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv(exempt, "127.0.0.1")
        unpack(tmp_path)
    assert proxy.asked == []


def test_packages_come_directly_where_there_is_no_proxy(tools: Path, tmp_path: Path) -> None:
    unpack(tmp_path)


def test_a_proxy_that_refuses_is_no_reason_to_show_its_password(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying("me:other") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("other", "s3cret"))
        with pytest.raises(ToolFailed) as caught:
            unpack(tmp_path)
    assert proxy.asked
    assert "s3cret" not in f"{caught.value.argv}{caught.value.output}{caught.value}"


@pytest.mark.parametrize("address", ["http://me:s3cret@[x", "http://a b", 'http://s3cret";x', "http://"])
def test_an_address_that_is_none_is_refused_unseen(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("http_proxy", address)
    with pytest.raises(LabError, match="HTTP_PROXY in the environment") as caught:
        unpack(tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_files_come_through_the_proxy(
    tools: Path, site: Mirror, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    url = Sites(site.url).url("https://dl.k8s.io/release/stable-1.36.txt")
    with proxying("me:s3cret") as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert Web(FakeClock()).text(url) == "v1.36.4"
    assert proxy.asked == [f"GET {url}"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_kubectl_goes_past_the_proxy_to_the_lab(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kubectl = Kubectl(program(tools, "kubectl", KUBECTL), tmp_path / "kubeconfig")
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "corp.example")
    assert kubectl("get", "nodes") == "through the proxy\n"
    inside = Kubectl(kubectl.program, kubectl.kubeconfig, direct=("192.168.60.0/24",))
    assert inside("get", "nodes") == "direct\n"
