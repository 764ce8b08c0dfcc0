from __future__ import annotations

import stat
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from provision.ssh.keys import make_key


def test_the_pair_belongs_together_and_ssh_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "state" / "id_ed25519"
    make_key(file, "lab")
    kind, text, comment = file.with_name("id_ed25519.pub").read_text().split()
    assert (kind, comment) == ("ssh-ed25519", "lab")
    private = load_ssh_private_key(file.read_bytes(), None)
    public = load_ssh_public_key(f"{kind} {text}".encode())
    form = Encoding.OpenSSH, PublicFormat.OpenSSH
    assert private.public_key().public_bytes(*form) == public.public_bytes(*form)
    assert paramiko.Ed25519Key.from_private_key_file(str(file)).get_base64() == text


def test_the_private_key_is_private(tmp_path: Path) -> None:
    file = tmp_path / "id_ed25519"
    make_key(file, "lab")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.with_name("id_ed25519.pub").stat().st_mode) == 0o644


def test_a_key_that_is_there_stays_and_every_lab_has_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    make_key(first, "lab")
    make_key(second, "lab")
    before = first.read_bytes(), first.with_name("first.pub").read_bytes()
    make_key(first, "other")
    assert (first.read_bytes(), first.with_name("first.pub").read_bytes()) == before
    assert second.read_bytes() != before[0]


def test_a_run_cut_off_between_the_two_files_is_made_whole(tmp_path: Path) -> None:
    file = tmp_path / "id_ed25519"
    file.with_name("id_ed25519.pub").write_text("ssh-ed25519 of-a-key-that-was-never-written lab\n")
    make_key(file, "lab")
    text = file.with_name("id_ed25519.pub").read_text().split()[1]
    assert paramiko.Ed25519Key.from_private_key_file(str(file)).get_base64() == text
