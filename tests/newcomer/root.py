"""A fresh Debian in a folder: packages from where this host gets its own, and a user who may use sudo.

What this host needs to reach its registries is read from its settings and handed on: nothing of it is here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from provision.artifacts.debian import KEYRING, debian_sources
from provision.host.process import run_tool
from tests.newcomer.command import run
from tests.newcomer.log import Log

USER = "ann"
NAME = "newcomer"
# What an installed Debian has, and what somebody who clones a repository has beside it.
PACKAGES = ("systemd-sysv", "dbus", "libpam-systemd", "sudo", "git", "make", "ca-certificates", "procps")
DEADLINE = 1800.0
_APT = re.compile(r"^Acquire::(Check-|Retries|http|https)[^{]*;$", re.MULTILINE)
_ENVIRONMENT = re.compile(r"PIP_.*|(https?|no|all)_proxy|(SSL_CERT|REQUESTS_CA|CURL_CA)_.*", re.IGNORECASE)
_GO = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE")


def make(root: Path, suite: str, log: Log) -> None:
    """Make the root of a fresh Debian of `suite` in the folder `root`, with the user `ann`."""
    argv = ["mmdebstrap", "--mode=root", "--variant=important", f"--include={','.join(PACKAGES)}"]
    argv += [f"--keyring={KEYRING}", *(f"--aptopt={line}" for line in _apt_settings())]
    run([*argv, suite, str(root), *debian_sources(suite)], log, DEADLINE)
    (root / "etc/hostname").write_text(f"{NAME}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {NAME}\n")
    resolver = Path("/run/systemd/resolve/resolv.conf")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.copyfile(resolver if resolver.exists() else "/etc/resolv.conf", root / "etc/resolv.conf")
    _certificates(root)
    variables = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(_environment().items()))
    (root / "etc/environment").write_text(variables)
    for file in (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if file.exists():
            shutil.copyfile(file, root / "etc/pip.conf")
    script = (
        f"useradd --create-home --shell /bin/bash {USER}\n"
        f"echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}\n"
        f"chmod 440 /etc/sudoers.d/{USER}\n"
        "update-ca-certificates\n"
    )
    run(["chroot", str(root), "sh", "-eu"], log, stdin=script, deadline=120)


def _certificates(root: Path) -> None:
    """Let the new root trust the authorities that this host's administrator added."""
    wanted = root / "usr/local/share/ca-certificates"
    wanted.mkdir(parents=True, exist_ok=True)
    for file in Path("/usr/local/share/ca-certificates").rglob("*.crt"):
        shutil.copyfile(file, wanted / file.name)


def _apt_settings() -> list[str]:
    dump = run_tool(["apt-config", "dump"], deadline=60)
    return [found[0] for found in _APT.finditer(dump)]


def _environment() -> Mapping[str, str]:
    """Return the variables that lead Python's and Go's clients to their registries."""
    return {**dict(_own()), **dict(_go())}


def _own() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        # A folder of this host's is not there.
        if _ENVIRONMENT.fullmatch(name) and (
            not value.startswith("/") or value.startswith("/etc/ssl/certs/")
        ):
            yield name, value


def _go() -> Iterator[tuple[str, str]]:
    if shutil.which("go"):
        settings = json.loads(run_tool(["go", "env", "-json", *_GO], deadline=60))
        yield from ((name, value) for name, value in settings.items() if value)


def give_clone(root: Path, repository: Path, log: Log) -> str:
    """Put what the repository has committed where the user can clone it from; return that address."""
    bundle = root / "srv/kubelab.bundle"
    run(["git", "-C", str(repository), "bundle", "create", "--quiet", str(bundle), "HEAD"], log)
    bundle.chmod(0o644)
    return "/srv/kubelab.bundle"


def give_cache(root: Path, cache: Path, log: Log) -> None:
    """Copy a cache of kubelab's into the user's home, as the user's own."""
    place = root / "home" / USER / ".cache/kubelab"
    place.parent.mkdir(parents=True, exist_ok=True)
    run(["cp", "-a", "--reflink=auto", str(cache), str(place)], log, deadline=600)
    run(["chroot", str(root), "chown", "-R", f"{USER}:{USER}", f"/home/{USER}/.cache"], log, deadline=600)
