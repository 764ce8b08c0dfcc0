from __future__ import annotations

import base64
import json
import re
import resource
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provision.errors import (
    CommandFailed,
    ConnectFailed,
    LabError,
    NodesError,
    Result,
    StepFailed,
    VagrantError,
)
from provision.report.base import RecordingReporter
from provision.report.redact import Redactor
from provision.report.run_log import KEPT_RUNS, RunLog
from provision.report.tee import TeeReporter

TOKEN = "abcdef.0123456789abcdef"
CERTIFICATE_KEY = "0123456789abcdef" * 4
BODY = ["MIIEpAIBAAKCAQEA75nF0aW1", "c2VjcmV0c2VjcmV0c2VjcmV0", "kQ=="]
PEM = ["-----BEGIN RSA PRIVATE KEY-----", *BODY, "-----END RSA PRIVATE KEY-----"]


def new_log(path: Path) -> RunLog:
    return RunLog(path, now=lambda: datetime(2026, 11, 21, 9, 30, tzinfo=UTC))


# --- redaction


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        CERTIFICATE_KEY,
        "\n".join(PEM),
        "\n".join(PEM).replace("RSA PRIVATE", "OPENSSH PRIVATE"),
        "\n".join(f"    lab-cp1: {line}" for line in PEM),
        "\n".join(PEM[:3]),
        "\n".join(PEM[2:]),
        "client-key-data: LS0tLS1CRUdJTiBSU0E=",
        '"client-key-data": "LS0tLS1CRUdJTiBSU0E="',
    ],
)
def test_secrets_are_known_by_their_form(secret: str) -> None:
    shown = Redactor().text(f"before\n{secret}\n")
    assert "before" in shown
    assert "[redacted]" in shown
    for part in (TOKEN, CERTIFICATE_KEY, *BODY[:2], "LS0tLS1"):
        assert part not in shown


JWT = ".".join(["eyJhbGciOiJSUzI1NiIsImtpZCI6Ijk5In0", "eyJpc3MiOiJrdWJlcm5ldGVzIn0", "c2lnbmF0dXJlLW9m"])
KEY_64 = base64.b64encode("\n".join(PEM).encode()).decode()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"got {JWT}, expected another", JWT),
        (f"Authorization: Bearer {JWT[:20]}", JWT[:20]),
        ("curl -H 'Authorization: Basic bWU6c2VjcmV0'", "bWU6c2VjcmV0"),
        ('{"Authorization": "Basic bWU6c2VjcmV0"}', "bWU6c2VjcmV0"),
        ("Bearer abcdefgh12345678abcdefgh", "abcdefgh12345678"),
        ("token-secret: MDEyMzQ1Njc4OWFi", "MDEyMzQ1Njc4OWFi"),
        (f"tls.key: {KEY_64}", KEY_64[:40]),
        (f"anything: {KEY_64}", KEY_64[:40]),
        (r'"{\"users\":[{\"client-key-data\":\"LS0tSECRET\"}]}"', "LS0tSECRET"),
        ('{"auths": {"quay.io": {"auth": "bWU6c2VjcmV0"}}}', "bWU6c2VjcmV0"),
        ("https://me:pa/ss@proxy.test:3128/x", "pa/ss"),
        ("git clone https://ghp_abcdef0123456789@git.test/x", "ghp_abcdef0123456789"),
        (f"kubeadm join --certificate-key {CERTIFICATE_KEY}", CERTIFICATE_KEY),
        (f"certificateKey=/{CERTIFICATE_KEY}", CERTIFICATE_KEY),
        ("password=hunter2 and more", "hunter2"),
        ('{"kind": "Secret", "data": {"any": "aHVudGVyMg=="}}', "aHVudGVyMg"),
        ('{"stringData": {"any": "hunter2"}, "kind": "Secret"}', "hunter2"),
        ("kind: Secret\ndata:\n  any: aHVudGVyMg==\n  more: |\n    aHVudGVyMg==\n", "aHVudGVyMg"),
    ],
)
def test_secrets_are_known_by_their_company(text: str, secret: str) -> None:
    shown = Redactor().text(text)
    assert secret not in shown
    assert "[redacted]" in shown


def test_around_the_data_of_a_secret_all_stays() -> None:
    text = "kind: Secret\ndata:\n  any: aHVudGVyMg==\nmetadata:\n  name: mine\n"
    assert Redactor().text(text) == "kind: Secret\ndata: [redacted]\nmetadata:\n  name: mine\n"


def test_a_secret_that_is_a_key_of_an_answer_is_hidden_too() -> None:
    assert Redactor().value({TOKEN: [{TOKEN: 1}]}) == {"[redacted]": [{"[redacted]": 1}]}


HARD = ["a.", "eyJ-", "data:\n", "//:", "\\", "password ", "https://a", '"data": {']


@pytest.mark.parametrize("part", HARD)
def test_a_long_text_is_read_in_a_short_time(part: str) -> None:
    began = time.thread_time()
    Redactor().text("kind: Secret\n" + part * (50_000 // len(part)))
    assert time.thread_time() - began < 2


def test_a_password_in_an_address_is_hidden() -> None:
    shown = Redactor().text("through http://me:pass@proxy.test:3128 to https://m.test:5000/a@b")
    assert shown == "through http://[redacted]@proxy.test:3128 to https://m.test:5000/a@b"


@pytest.mark.parametrize("around", ['--token={}"', "token: {}", "'{}'", "a,{},b", '{{"token":"{}"}}'])
def test_a_token_is_found_in_any_company(around: str) -> None:
    assert TOKEN not in Redactor().text(around.format(TOKEN))


@pytest.mark.parametrize(
    "text",
    [
        f"registry/etcd@sha256:{CERTIFICATE_KEY}",
        f"--discovery-token-ca-cert-hash sha256:{CERTIFICATE_KEY}",
        f"/cache/bundles/{CERTIFICATE_KEY}/index.json",
        "0123456789abcdef" * 5,
        "kube-apiserver.kube-system.svc.cluster.local",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        "v1.36.3 192.168.60.11",
        "the service account token of web-1 expires in 50 min: basic networking works",
        "http://m.test:5000 and a@b, https://m.test:5000/a@b",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIC").decode(),
        "kind: ConfigMap\ndata:\n  any: thing\n",
        "auth: yes, author: me, keyboard: us, tls.crt: LS0t",
        f"/var/lib/containerd/blobs/sha256/{CERTIFICATE_KEY}",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_registered_secret_is_hidden_whole_and_line_by_line() -> None:
    redactor = Redactor()
    redactor.add("first-line\nsecond-line\n")
    redactor.add("first-line-and-more")
    assert redactor.text("x second-line y first-line-and-more") == "x [redacted] y [redacted]"


def test_an_empty_or_tiny_secret_does_not_eat_the_text() -> None:
    redactor = Redactor()
    redactor.add("")
    redactor.add("ab")
    assert redactor.text("a cab") == "a cab"


def test_a_digest_in_an_answer_is_no_secret() -> None:
    data = {"sha256": CERTIFICATE_KEY, "key": CERTIFICATE_KEY}
    assert Redactor().value(data) == {"sha256": CERTIFICATE_KEY, "key": "[redacted]"}


# --- the file


def test_every_event_and_output_line_is_kept_with_its_time(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")
    log.phase("boot lab-cp1", 42.0)
    log.sink("vagrant")("Bringing machine up\n")
    log.close()
    first, second = (tmp_path / "run.log").read_text().splitlines()
    assert first.startswith("2026-11-21T09:30:00.000Z phase ")
    assert json.loads(first.partition("phase ")[2]) == {"name": "boot lab-cp1", "seconds": 42.0}
    assert second == "2026-11-21T09:30:00.000Z vagrant | Bringing machine up"


def test_the_log_is_private_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "state" / "run.log"
    new_log(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_last_five_runs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    for run in range(8):
        log = new_log(path)
        log.info(f"run {run}")
        log.close()
    kept = {file.name: re.findall(r"run \d", file.read_text()) for file in tmp_path.iterdir()}
    assert len(kept) == KEPT_RUNS
    assert kept["run.log"] == ["run 7"]
    assert kept["run.log.4"] == ["run 3"]


def test_the_log_does_not_follow_a_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("theirs")
    (tmp_path / "run.log").symlink_to(other)
    log = new_log(tmp_path / "run.log")
    log.info("mine")
    log.close()
    assert other.read_text() == "theirs"


def test_a_log_that_cannot_be_opened_is_told_and_keeps_nobody_from_working(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    log, screen = new_log(tmp_path / "state" / "run.log"), RecordingReporter()
    with TeeReporter(screen, log) as report:
        report.info("one")
        report.info("two")
    assert [event["text"] for event in screen.of("info")] == ["one", "two"]
    (warning,) = screen.of("warn")
    assert f"{tmp_path}/state/run.log: " in warning["text"]


def test_secrets_do_not_reach_the_log(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")
    log.redactor.add("hunter2hunter2")
    log.error(LabError(f"bad {TOKEN}", hint="hunter2hunter2"))
    log.result({"key": CERTIFICATE_KEY})
    for line in ["reading", *PEM, f"token {TOKEN}", "done"]:
        log.output("lab-cp1", line)
    log.close()
    text = (tmp_path / "run.log").read_text()
    for part in (TOKEN, "hunter2", CERTIFICATE_KEY, *BODY):
        assert part not in text
    assert "lab-cp1 | reading" in text
    assert "lab-cp1 | done" in text


def test_keys_of_two_nodes_that_come_at_once_are_both_hidden(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")
    for line in PEM:
        log.output("lab-cp1", line)
        log.output("lab-w1", f"    lab-w1: {line}")
    log.close()
    text = (tmp_path / "run.log").read_text()
    assert not any(part in text for part in BODY)


def test_a_key_cut_off_does_not_hide_what_follows(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")
    for line in [*PEM[:2], "error: the disk is full", "bye now"]:
        log.output("vagrant", line)
    log.close()
    text = (tmp_path / "run.log").read_text()
    assert BODY[0] not in text
    assert "the disk is full" in text
    assert "bye now" in text


def test_an_output_line_cannot_forge_another(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")
    log.output("node", "a\x1b[2Jb\nc")
    log.close()
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line.partition("Z ")[2] for line in lines] == ["node | ab", "c"]
    assert all(line.startswith("2026-") for line in lines)


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")

    def work(number: int) -> None:
        for _ in range(50):
            log.output(f"n{number}", "x" * 300)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert len(lines) == 400
    assert all(re.fullmatch(r"\S+Z n\d \| x{300}", line) for line in lines)


def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = new_log(tmp_path / "run.log")
    log.close()
    log.close()
    log.info("late")
    assert (tmp_path / "run.log").read_text() == ""


def test_a_full_disk_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    screen = RecordingReporter()
    log = new_log(tmp_path / "run.log")
    tee = TeeReporter(screen, log)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        tee.info("one")
        tee.info("two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    tee.close()
    assert [fields["text"] for fields in screen.of("info")] == ["one", "two"]
    assert len(screen.of("warn")) == 1
    assert "incomplete" in screen.of("warn")[0]["text"]


def test_the_tee_writes_both(tmp_path: Path) -> None:
    screen = RecordingReporter()
    with TeeReporter(screen, new_log(tmp_path / "run.log")) as tee:
        tee.secret("hunter2hunter2")
        tee.info("a hunter2hunter2")
        tee.sink("vagrant")("b hunter2hunter2")
    assert screen.of("info") == [{"text": "a [redacted]"}]
    text = (tmp_path / "run.log").read_text()
    assert '"a [redacted]"' in text
    assert "vagrant | b [redacted]" in text


def test_the_tee_keeps_all_that_failed_tools_said_for_the_log_alone(tmp_path: Path) -> None:
    log, screen = RunLog(tmp_path / "run.log"), RecordingReporter()
    error = NodesError(
        {
            "lab-w1": CommandFailed(
                "lab-w1", "kubeadm join", Result("", "[preflight] begun\nerror: no\n", 1)
            ),
            "lab-w2": ConnectFailed("lab-w2", "no route"),
        }
    )
    frame = "/usr/lib/ruby/vagrant/action/warden.rb:48:in `call'"
    with TeeReporter(screen, log) as tee:
        tee.said("vagrant", f"no room\n{frame}\n")
        tee.error(StepFailed("join", error))
        tee.error(VagrantError(["/usr/bin/vagrant", "up"], 1, f"no room\n{frame}\n"))
    written = (tmp_path / "run.log").read_text()
    assert "lab-w1 | [preflight] begun\n" in written
    assert "lab-w1 | error: no\n" in written
    # Told twice, written once.
    assert written.count(f"vagrant | {frame}\n") == 1
    assert [name for name, _ in screen.events] == ["error", "error"]


def test_without_a_log_output_goes_nowhere() -> None:
    TeeReporter(RecordingReporter()).sink("vagrant")("line")
