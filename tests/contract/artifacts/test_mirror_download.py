"""Downloads from a server on loopback that misbehaves in every way we know of."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.artifacts.web.client import Web, proxy_for
from provision.artifacts.web.download import Download, Meter, fetch
from provision.artifacts.web.errors import FetchFailed
from provision.artifacts.web.retry import Patience
from provision.errors import Cancelled, ConfigError, LabError
from provision.report.base import RecordingReporter
from tests.fakes.artifacts.mirror import Fault, Mirror, answer, certificates, cut, hang, serving, wrong_byte
from tests.fakes.engine import FakeClock

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
# Long enough for a machine that is busy with other things.
PATIENT = Patience(attempts=3, longest=60)
IMPATIENT = Patience(attempts=3, stall=0.2)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as server:
        server.files["/kubelet"] = CONTENT
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    return tmp_path


class Client:
    def __init__(self, folder: Path, patience: Patience = PATIENT) -> None:
        self.clock = FakeClock()
        self.pauses: list[float] = []
        self.patience = patience
        self.ca: Path | None = None
        self.reporter = RecordingReporter()
        self.place = folder / "kubelet"
        self.part = folder / "kubelet.part"

    def get(
        self, mirror: Mirror, sha256: str | None = SHA256, cancel: threading.Event | None = None
    ) -> bytes:
        web = Web(self.clock, ca=self.ca, patience=self.patience)
        fetch(Download(f"{mirror.url}/kubelet", self.place, sha256, 1), web, Meter(self.reporter), cancel)
        return self.place.read_bytes()

    def refused(self, mirror: Mirror) -> LabError:
        with pytest.raises(LabError) as error:
            self.get(mirror)
        assert not self.place.exists()
        return error.value


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def ranges(mirror: Mirror) -> list[str | None]:
    return [headers.get("Range") for _, headers in mirror.asked]


def test_a_file_comes_once(mirror: Mirror, client: Client) -> None:
    assert client.get(mirror) == CONTENT
    assert client.get(mirror) == CONTENT
    assert len(mirror.asked) == 1
    assert not client.part.exists()


def test_a_broken_connection_is_taken_up_where_it_broke(mirror: Mirror, client: Client) -> None:
    # More often than it may fail in a row: each attempt brings something.
    mirror.faults["/kubelet"] = [cut(1000)] * 5
    assert client.get(mirror) == CONTENT
    assert ranges(mirror) == [None, *(f"bytes={1000 * times}-" for times in range(1, 6))]


def test_what_one_run_got_the_next_goes_on_with(mirror: Mirror, client: Client) -> None:
    mirror.faults["/kubelet"] = [cut(1000), cut(0), cut(0)]
    assert "1000 of 10240 bytes, also at attempt 3" in client.refused(mirror).message
    assert client.part.read_bytes() == CONTENT[:1000]
    mirror.asked.clear()
    assert client.get(mirror) == CONTENT
    assert ranges(mirror) == ["bytes=1000-"]


def test_a_server_that_cannot_go_on_starts_again(mirror: Mirror, client: Client) -> None:
    def whole(handler: object, body: bytes) -> None:
        del handler.headers["Range"]  # type: ignore[attr-defined]
        handler.give(body)  # type: ignore[attr-defined]

    mirror.faults["/kubelet"] = [cut(1000), whole]
    assert client.get(mirror) == CONTENT


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 5])
def test_more_than_there_is_is_thrown_away(mirror: Mirror, client: Client, left: int) -> None:
    client.part.write_bytes(b"x" * left)
    assert client.get(mirror) == CONTENT


def test_without_a_checksum_nothing_old_is_believed(mirror: Mirror, client: Client) -> None:
    client.part.write_bytes(b"old")
    client.place.write_bytes(b"old")
    assert client.get(mirror, None) == CONTENT
    assert ranges(mirror) == [None]


def test_a_wrong_byte_is_named_and_nothing_is_kept(mirror: Mirror, client: Client) -> None:
    mirror.faults["/kubelet"] = [wrong_byte]
    error = client.refused(mirror)
    changed = hashlib.sha256(bytes([CONTENT[0] ^ 1]) + CONTENT[1:]).hexdigest()
    assert f"{mirror.url}/kubelet" in error.message
    assert f"expected sha256:{SHA256}, got sha256:{changed}" in error.message
    assert (error.exit_code, bool(error.hint)) == (1, True)
    assert not client.part.exists()
    assert client.get(mirror) == CONTENT


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_waited_for(mirror: Mirror, client: Client, status: int) -> None:
    mirror.faults["/kubelet"] = [answer(status, Retry_After="7"), answer(status)]
    assert client.get(mirror) == CONTENT
    assert client.clock.time == 7 + 2


def test_a_server_that_stays_busy_is_given_up(mirror: Mirror, client: Client) -> None:
    mirror.faults["/kubelet"] = [answer(429)] * 9
    error = client.refused(mirror)
    assert "429 (Too Many Requests), also at attempt 3" in error.message
    assert "mirror" in error.hint
    assert len(mirror.asked) == 3


def test_a_connection_that_always_breaks_is_given_up_and_can_be_taken_up_again(
    mirror: Mirror, client: Client
) -> None:
    mirror.faults["/kubelet"] = [cut(0)] * 9
    error = client.refused(mirror)
    assert "also at attempt 3" in error.message
    assert "run the same command again" in error.hint


@pytest.mark.parametrize("when", ["61", "Fri, 31 Dec 2125 23:59:59 GMT"])
def test_a_server_that_asks_for_too_long_is_given_up(mirror: Mirror, client: Client, when: str) -> None:
    mirror.faults["/kubelet"] = [answer(503, Retry_After=when)]
    assert "asks to come back in" in client.refused(mirror).message
    assert client.clock.time == 0


@pytest.mark.parametrize(
    "when",
    ["soon", "\u00b2", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00", "Wed, 21 Oct 2015"],
)
def test_a_time_that_is_past_or_none_means_now(mirror: Mirror, client: Client, when: str) -> None:
    mirror.faults["/kubelet"] = [answer(503, Retry_After=when)]
    assert client.get(mirror) == CONTENT


@pytest.mark.parametrize(("status", "words"), [(404, "404 (Not Found)"), (403, "403 (Forbidden)")])
def test_a_refusal_is_final(mirror: Mirror, client: Client, status: int, words: str) -> None:
    mirror.faults["/kubelet"] = [answer(status)]
    error = client.refused(mirror)
    assert words in error.message
    assert f"{mirror.url}/kubelet" in error.message
    assert len(mirror.asked) == 1


def test_a_server_that_hangs_meets_a_deadline(mirror: Mirror, client: Client) -> None:
    mirror.faults["/kubelet"] = [hang] * 3
    client.patience = IMPATIENT
    error = client.refused(mirror)
    assert "nothing came for 0.2 s, also at attempt 3" in error.message
    assert "HTTPS_PROXY" in error.hint


def test_a_server_that_drips_meets_a_deadline_too(mirror: Mirror, client: Client) -> None:
    client.patience = Patience(deadline=-1)
    assert "did not come within" in client.refused(mirror).message


def test_nobody_listens(mirror: Mirror, client: Client) -> None:
    mirror.url = "http://127.0.0.1:1"
    assert "127.0.0.1 refuses the connection" in client.refused(mirror).message


def test_the_proxy_is_named_without_its_password_when_it_is_the_one_that_is_away(
    mirror: Mirror, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
    mirror.url = "http://mirror.test"
    error = client.refused(mirror)
    assert "the proxy http://127.0.0.1:1 refuses the connection" in error.message
    assert "secret" not in error.message
    assert proxy_for("http://127.0.0.1/x") == ""


def test_a_proxy_is_asked_for_what_lies_behind_it(
    mirror: Mirror, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", mirror.url)
    mirror.files["http://mirror.test/kubelet"] = CONTENT
    mirror.url = "http://mirror.test"
    assert client.get(mirror) == CONTENT


def test_giving_up_keeps_what_came(mirror: Mirror, client: Client) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        client.get(mirror, cancel=cancel)
    assert not client.place.exists()


def test_progress_says_how_much_there_is_and_how_long_it_takes() -> None:
    reporter = RecordingReporter()
    times = iter([0.0, 0.1, 10.0])
    meter = Meter(reporter, lambda: next(times))
    meter.begin("a", 50 << 20, 200 << 20)
    meter.begin("b", 0, 50 << 20)
    meter.add("a", 10 << 20)
    meter.add("b", 40 << 20)
    (said,) = reporter.of("progress")
    assert said["text"] == "downloading: 100 of 250 MiB, about 30 s left"


# Passwords


@pytest.fixture
def secure(tmp_path: Path, client: Client) -> Iterator[Mirror]:
    """A mirror by https, whose authority the client trusts."""
    client.ca, pair = certificates(tmp_path)
    with serving(pair) as server:
        server.files["/kubelet"] = CONTENT
        yield server


def test_the_password_is_that_of_netrc(secure: Mirror, client: Client, home: Path) -> None:
    secure.login = "me:se:cret"
    error = client.refused(secure)
    assert "127.0.0.1 wants a password" in error.message
    assert "machine 127.0.0.1 login" in error.hint
    (home / ".netrc").write_text("machine 127.0.0.1 login me password wrong\n")
    assert "does not take the password in ~/.netrc" in client.refused(secure).message
    (home / ".netrc").write_text("machine 127.0.0.1 login me password se:cret\n")
    assert client.get(secure) == CONTENT


def test_the_file_that_netrc_names_is_read_instead(
    secure: Mirror, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.login = "me:secret"
    (tmp_path / "logins").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "logins"))
    assert client.get(secure) == CONTENT


def test_a_netrc_that_is_none_is_not_shown(secure: Mirror, client: Client, home: Path) -> None:
    (home / ".netrc").write_text("machine a\nsecret stuff\n")
    secure.login = "me:secret"
    error = client.refused(secure)
    assert "netrc, line" in error.message
    assert "secret" not in f"{error.message} {error.hint}"


def test_the_default_of_netrc_is_for_no_server_that_it_does_not_name(
    secure: Mirror, client: Client, home: Path
) -> None:
    (home / ".netrc").write_text("default login me password secret\n")
    secure.login = "me:secret"
    assert "127.0.0.1 wants a password" in client.refused(secure).message
    assert not any("Authorization" in headers for _, headers in secure.asked)


def test_over_http_a_password_is_sent_to_nobody(mirror: Mirror, client: Client, home: Path) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    mirror.login = "me:secret"
    assert "https://" in client.refused(mirror).hint
    assert not any("Authorization" in headers for _, headers in mirror.asked)


def test_a_password_does_not_follow_to_another_host(secure: Mirror, client: Client, home: Path) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    secure.faults["/kubelet"] = [answer(401)]
    port = secure.url.rpartition(":")[2]
    secure.faults["/kubelet"] += [answer(302, Location=f"https://localhost:{port}/elsewhere")]
    secure.files["/elsewhere"] = CONTENT
    assert client.get(secure) == CONTENT
    sent = [(path, "Authorization" in headers) for path, headers in secure.asked]
    assert sent == [("/kubelet", False), ("/kubelet", True), ("/elsewhere", False)]


@pytest.mark.parametrize("text", ["machine 127.0.0.1 login me password expired\n", "machine a\nno netrc\n"])
def test_what_everybody_gets_is_asked_for_without_a_password(
    secure: Mirror, client: Client, home: Path, text: str
) -> None:
    (home / ".netrc").write_text(text)
    assert client.get(secure) == CONTENT
    assert not any("Authorization" in headers for _, headers in secure.asked)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_hides_what_it_has_gets_the_password_at_once_from_then_on(
    secure: Mirror, client: Client, home: Path, status: int
) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    secure.faults["/kubelet"] = [answer(status)]
    secure.files["/other"] = b"other"
    web = Web(FakeClock(), ca=client.ca)
    assert web.text(f"{secure.url}/kubelet") == CONTENT.decode(errors="replace")
    assert web.text(f"{secure.url}/other") == "other"
    assert ["Authorization" in headers for _, headers in secure.asked] == [False, True, True]


def test_a_file_that_is_not_there_is_not_there_whatever_netrc_is(
    secure: Mirror, client: Client, home: Path
) -> None:
    (home / ".netrc").write_text("machine a\nno netrc\n")
    with pytest.raises(FetchFailed, match="404"):
        Web(FakeClock(), ca=client.ca).text(f"{secure.url}/nothing")


# Redirects and bounds


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/x", "ftp://127.0.0.1/x"])
def test_what_came_by_https_goes_on_by_https(secure: Mirror, client: Client, target: str) -> None:
    secure.faults["/kubelet"] = [answer(302, Location=target)]
    error = client.refused(secure)
    assert f"leads to {target}, which is not followed" in error.message
    assert len(secure.asked) == 1
    with pytest.raises(FetchFailed, match="is not followed"):
        secure.faults["/sum"] = [answer(302, Location=target)]
        Web(FakeClock(), ca=client.ca).text(f"{secure.url}/sum")


def test_from_http_to_https_is_followed(mirror: Mirror, secure: Mirror, client: Client) -> None:
    mirror.faults["/kubelet"] = [answer(302, Location=f"{secure.url}/kubelet")]
    assert client.get(mirror) == CONTENT


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_is_too_large_is_not_taken(mirror: Mirror, client: Client, told: bool) -> None:
    def endless(handler: Any, body: bytes) -> None:
        handler.send_response(200)
        if told:
            handler.send_header("Content-Length", str(2**40))
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(bytes(2**16))

    mirror.faults["/kubelet"] = [endless]
    assert "kubelet is larger than 1 MiB" in client.refused(mirror).message
    assert not client.part.exists()
    assert len(mirror.asked) == 1


def test_a_small_text_that_drips_meets_a_deadline(mirror: Mirror, client: Client) -> None:
    mirror.files["/stable.txt"] = b"v1.36.4"
    with pytest.raises(FetchFailed, match="did not come within"):
        Web(client.clock, patience=Patience(text=-1)).text(f"{mirror.url}/stable.txt")


# TLS


def test_an_authority_of_the_users_own_is_accepted_when_named(tmp_path: Path, client: Client) -> None:
    ca, pair = certificates(tmp_path)
    with serving(pair) as mirror:
        mirror.files["/kubelet"] = CONTENT
        error = client.refused(mirror)
        assert "the certificate of 127.0.0.1 is not accepted" in error.message
        assert "ca: FILE" in error.hint
        client.ca = ca
        assert client.get(mirror) == CONTENT


def test_an_expired_certificate_is_not_accepted(tmp_path: Path, client: Client) -> None:
    client.ca, pair = certificates(tmp_path, expired=True)
    with serving(pair) as mirror:
        mirror.files["/kubelet"] = CONTENT
        error = client.refused(mirror)
    assert "certificate has expired" in error.message
    assert "clock" in error.hint
    assert mirror.asked == []


@pytest.mark.parametrize("text", ["no certificate", None])
def test_an_authority_that_is_none_is_a_fault_of_the_lab_file(
    client: Client, text: str | None, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    if text is not None:
        ca.write_text(text)
    with pytest.raises(ConfigError) as error:
        Web(client.clock, ca=ca)
    assert (error.value.key, error.value.exit_code) == ("artifacts.mirror.ca", 2)
    assert str(ca) in error.value.message


@pytest.mark.parametrize("fault", [cut(3), answer(503), answer(429)])
def test_a_small_text_is_asked_for_again_too(mirror: Mirror, client: Client, fault: Fault) -> None:
    mirror.files["/stable.txt"] = b"v1.36.4"
    mirror.faults["/stable.txt"] = [fault]
    web = Web(client.clock, patience=PATIENT)
    assert web.text(f"{mirror.url}/stable.txt") == "v1.36.4"


def test_a_small_text_meets_a_deadline_too(mirror: Mirror, client: Client) -> None:
    mirror.faults["/stable.txt"] = [hang] * 3
    with pytest.raises(FetchFailed, match="nothing came"):
        Web(client.clock, patience=IMPATIENT).text(f"{mirror.url}/stable.txt")
