"""The repair's scripts, run by a real shell in folders of the test."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.config.inventory import inventory_of
from provision.errors import LabError
from provision.node.clock import Offset
from provision.node.files import PRIVATE, File, unpack_script
from provision.node.sections import sections
from provision.repair import certificates, clocks, services, survey
from provision.repair.authority import SIGNING, request_script, sign_script
from provision.repair.serving import EXTENSIONS, INSTALL, NEW_CERTIFICATE, SERVING_KEY, is_good
from provision.repair.serving import NEW_KEY as NEW_SERVING_KEY
from provision.repair.signing import checked_certificate, checked_request
from provision.repair.survey import NodeState, parse_state
from tests.fakes.config import make_config
from tests.fakes.node.credentials import (
    CLIENT,
    KEY_DATA,
    PKI,
    SERVING,
    at,
    certificate,
    kubeconfig,
    node_name,
    request,
    token,
)
from tests.fakes.node.sandbox import Sandbox

TOOLS = ("awk", "cut", "date", "openssl", "timeout")
REQUESTED = x509.load_pem_x509_csr(request(node_name("lab-w1")).encode())
SCRIPTS = {
    "survey": survey.SURVEY,
    "clock": clocks.SET_BOTH.format(step=Offset(1.5, 1.5).step()),
    "containerd": services.RESTART_CONTAINERD,
    "kubelet": services.RESTART_KUBELET,
    "control plane": services.RESTART_CONTROL_PLANE,
    "request": request_script("lab-w1", certificates.NEW_KEY),
    "sign": sign_script({"lab-w1": REQUESTED}),
    "install": certificates.install_script("C") + certificates.FORGET_SERVING,
}


@pytest.fixture
def node(tmp_path: Path) -> Sandbox:
    made = Sandbox("lab-w1", tmp_path / "node")
    for tool in TOOLS:
        (made.bin / tool).symlink_to(shutil.which(tool) or "/missing")
    made.program("systemctl", "printf 'active\\nfailed\\nactive\\ninactive\\n'; exit 3")
    made.program("ip", "echo '10.244.21.0/24 via 192.168.60.21 dev eth0'")
    made.program("nft", "printf 'table ip kubelab\\ntable ip kube-proxy\\n'")
    made.program("bash", "echo HTTP/1.0 200 OK")
    return made


def parse(said: str, now: float = 0.0) -> NodeState:
    """Return the state that a survey's output describes, of a node whose clock is right."""
    return parse_state(said, now, Offset(0.0, 0.0))


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_valid_shell(name: str) -> None:
    done = subprocess.run(["sh", "-n"], input=SCRIPTS[name], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_empty_node_can_be_surveyed(node: Sandbox) -> None:
    state = parse(node.run(SCRIPTS["survey"]).stdout)
    assert state.units == {
        "containerd": "active",
        "kubelet": "failed",
        "lab-network": "active",
        "lab-clock": "inactive",
    }
    assert (state.certificates, state.tokens, state.has_keeper) == ({}, (), False)
    assert state.healthy
    assert state.tables == {"ip kubelab", "ip kube-proxy"}
    assert state.routes == ("10.244.21.0/24 via 192.168.60.21 dev eth0",)


def test_a_survey_reads_the_ends_of_certificates_and_no_secret(node: Sandbox) -> None:
    secret = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"
    node.write(f"{PKI}/apiserver.crt", certificate(10))
    node.write(f"{PKI}/etcd/server.crt", certificate(20))
    node.write(CLIENT, certificate(30) + secret)
    # As the kubelet makes it: its own authority follows.
    node.write(SERVING, certificate(40) + certificate(35))
    node.write("/etc/kubernetes/admin.conf", kubeconfig(50))
    said = node.run(SCRIPTS["survey"]).stdout
    root = str(node.root)
    ends = {path.removeprefix(root): end for path, end in parse(said).certificates.items()}
    days = {
        f"{PKI}/apiserver.crt": 10,
        f"{PKI}/etcd/server.crt": 20,
        CLIENT: 30,
        SERVING: 35,
        "/etc/kubernetes/admin.conf": 50,
    }
    assert ends == {path: at(count) for path, count in days.items()}
    assert "PRIVATE" not in said
    assert KEY_DATA not in said


def test_a_survey_reads_whose_tokens_end_when_and_not_what_proves_them(node: Sandbox) -> None:
    folder = "/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected/kube-api-access-x/token"
    for uid in ("one", "two"):
        node.write(folder.format(uid), f"head.{token(uid, 60)}.signature")
    said = node.run(SCRIPTS["survey"]).stdout
    assert [found.uid for found in parse(said).tokens] == ["one", "two"]
    assert "signature" not in said


def test_the_hardware_clock_is_read_where_there_is_one(node: Sandbox) -> None:
    assert parse(node.run(SCRIPTS["survey"]).stdout).rtc_behind is None
    node.write("/sys/class/rtc/rtc0/since_epoch", "1000\n")
    assert parse(node.run(SCRIPTS["survey"]).stdout, 1010).rtc_behind == 10


@pytest.mark.parametrize("settable", [True, False])
def test_the_clock_keeper_runs_again_even_where_the_hardware_clock_cannot_be_set(
    node: Sandbox, settable: bool
) -> None:
    node.program("systemctl", "echo $1 $2 >> calls")
    node.program("perl", "exit 0" if settable else "echo 'Permission denied' >&2; exit 13")
    done = node.run(clocks.SET_BOTH.format(step=""), check=False)
    assert (node.root / "calls").read_text() == "stop lab-clock\nstart lab-clock\n"
    # A failure is told all the same.
    assert (done.ok, "Permission denied" in done.stderr) == (settable, not settable)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_a_kubelet_gets_a_client_certificate_whose_key_never_left_its_node(
    node: Sandbox, tmp_path: Path
) -> None:
    first = Sandbox("lab-cp1", tmp_path / "first")
    for tool in TOOLS:
        (first.bin / tool).symlink_to(shutil.which(tool) or "/missing")
    authority = make_authority(first)
    node.write(CLIENT.replace("current", "2025-01-01-00-00-00"), "old")
    node.path(CLIENT).symlink_to(node.path(CLIENT.replace("current", "2025-01-01-00-00-00")))

    asked = node.run(request_script("lab-w1", certificates.NEW_KEY)).stdout
    assert "PRIVATE" not in asked
    wanted = checked_request("lab-w1", asked)
    said = sections(first.run(sign_script({"lab-w1": wanted})).stdout)["lab-w1"]
    given = checked_certificate("lab-w1", "lab-cp1", wanted, "\n".join(said))
    node.run(certificates.install_script(given))

    found = node.path(CLIENT)
    assert found.is_symlink()
    assert found.resolve().stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate(found.read_bytes())
    key = load_pem_private_key(found.read_bytes().split(b"-----END CERTIFICATE-----\n")[1], None)
    assert key.public_key() == made.public_key()
    made.verify_directly_issued_by(authority)
    names = {name.oid: name.value for name in made.subject}
    assert names == {NameOID.ORGANIZATION_NAME: "system:nodes", NameOID.COMMON_NAME: "system:node:lab-w1"}
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert [path.name for path in found.parent.iterdir() if "new" in path.name] == []
    assert not first.path(SIGNING).exists()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_a_kubelet_serves_with_a_certificate_for_its_name_and_address_whatever_it_asks_for(
    node: Sandbox, tmp_path: Path
) -> None:
    first = Sandbox("lab-cp1", tmp_path / "first")
    for tool in TOOLS:
        (first.bin / tool).symlink_to(shutil.which(tool) or "/missing")
    authority = make_authority(first)
    node.write(SERVING, "of its own")
    node.write(SERVING_KEY, "old")

    wanted = checked_request("lab-w1", node.run(request_script("lab-w1", NEW_SERVING_KEY)).stdout)
    lab = inventory_of(make_config(workers={"count": 1}))
    extensions = {"lab-w1": EXTENSIONS.format(node=lab.node("lab-w1"))}
    said = sections(first.run(sign_script({"lab-w1": wanted}, extensions, 3650)).stdout)["lab-w1"]
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    given = checked_certificate("lab-w1", "lab-cp1", wanted, "\n".join(said), usage)
    with pytest.raises(LabError, match="not for a client"):
        checked_certificate("lab-w1", "lab-cp1", wanted, "\n".join(said))
    node.run(f"{unpack_script({NEW_CERTIFICATE: File(given, PRIVATE)})}{INSTALL}")

    pem = node.path(SERVING).read_text()
    made = x509.load_pem_x509_certificate(pem.encode())
    key = load_pem_private_key(node.path(SERVING_KEY).read_bytes(), None)
    assert key.public_key() == made.public_key()
    assert node.path(SERVING_KEY).stat().st_mode & 0o777 == 0o600
    now = dt.datetime.now(dt.UTC)
    assert is_good(pem, lab.node("lab-w1"), authority, now + dt.timedelta(days=3000))
    assert not is_good(pem, lab.node("lab-w1"), authority, now + dt.timedelta(days=4000))
    assert not is_good(pem, lab.node("lab-cp1"), authority, now)
    assert not is_good(pem, lab.node("lab-w1"), made, now)
    assert not is_good("", lab.node("lab-w1"), authority, now)


def make_authority(first: Sandbox) -> x509.Certificate:
    """Give the control plane a certificate authority and return its certificate."""
    from cryptography.hazmat.primitives import hashes

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(key, hashes.SHA256())
    first.write(f"{PKI}/ca.crt", made.public_bytes(Encoding.PEM).decode())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    first.write(f"{PKI}/ca.key", private.decode())
    return made
