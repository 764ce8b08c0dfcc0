"""Every node: nobody can log in with Vagrant's well-known key."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import os
from pathlib import Path

import pytest

from provision.checks.facts import AllFacts
from provision.config.inventory import Node
from provision.errors import ConnectFailed
from provision.host.files import home_dir
from provision.lab.context import Context
from provision.ssh.runner import Endpoint, ParamikoRunner
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

# Fingerprints, as `ssh-keygen -l` shows them, of the RSA and Ed25519 keys whose private keys Vagrant ships.
WELL_KNOWN = frozenset(
    {
        "1M4RzhMyWuFS/86uPY/ce2prh/dVTHW7iD2RhpquOZA",
        "WkvqjnyPAeC0cbPErYiGP9vqHdgL1MqqvPdIe3lvHgI",
    }
)
KEY_FOLDERS = ("/root/.ssh/", "/home/", "/etc/ssh/")
REFUSED = "Authentication failed"


@pytest.mark.quick
@pytest.mark.look("kubelab ssh {node} -- sudo grep -r vagrant /home/*/.ssh /root/.ssh /etc/ssh")
def test_no_user_has_authorized_the_well_known_vagrant_key(node: LabNode, facts: AllFacts) -> None:
    files = facts[node.name].below(*KEY_FOLDERS)
    opened = ", ".join(path for path, text in files.items() if holds_well_known_key(text))
    assert not opened, f"anyone can log in to {node.name}: Vagrant's well-known key is in {opened}"


@pytest.mark.look("kubelab ssh {node} -- sudo sshd -T")
def test_a_login_with_the_well_known_vagrant_key_is_refused(node: LabNode, lab: LabUnderTest) -> None:
    keys = keys_at_hand()
    if not keys:
        pytest.skip("this host has no copy of Vagrant's well-known key to try")
    target = lab.inventory.node(node.name)
    accepted = ", ".join(str(key) for key in keys if opens(lab.context, target, key))
    assert not accepted, f"anyone can log in to {node.name}: it accepted Vagrant's well-known key {accepted}"


def holds_well_known_key(text: str) -> bool:
    """Return whether an authorized_keys file contains a well-known key."""
    return any(_fingerprint(word) in WELL_KNOWN for word in text.split())


def keys_at_hand() -> list[Path]:
    """Return the well-known private keys in Vagrant's folder on this host."""
    home = Path(os.environ.get("VAGRANT_HOME") or home_dir() / ".vagrant.d")
    found = [home / "insecure_private_key", *sorted((home / "insecure_private_keys").glob("*"))]
    return [file for file in found if file.is_file()]


def opens(ctx: Context, node: Node, key: Path) -> bool:
    """Return whether the lab's user can log in to a node with the private key `key`.

    Raises ConnectFailed when the connection failed for another reason than a refused key.
    """
    return accepts(dataclasses.replace(ctx.host_keys.endpoint(node), key_file=key), ctx.scaled(10))


def accepts(point: Endpoint, timeout: float) -> bool:
    """Return whether a login at `point` succeeds; `timeout` is in seconds."""
    runner = ParamikoRunner(point, timeout=timeout)
    try:
        runner.host_key()
    except ConnectFailed as error:
        if REFUSED in error.message:
            return False
        raise
    finally:
        runner.close()
    return True


def _fingerprint(word: str) -> str:
    try:
        blob = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
