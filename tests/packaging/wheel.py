"""The wheel of the checkout, in a virtual environment that knows nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """Build wheel and sdist into a folder, and return it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    return folder


def install(dist: Path, folder: Path) -> Path:
    """Return a virtual environment with the wheel, which finds the dependencies but not the checkout."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", f"--python={venv}/bin/python", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    # Added as a plain path: what an editable install has put beside the dependencies is not followed.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return venv


def run(venv: Path, folder: Path, *argv: str) -> str:
    """Run a program of the virtual environment in a folder, and return its output; it must succeed."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST_"))
    }
    done = subprocess.run(
        [str(venv / "bin" / argv[0]), *argv[1:]],
        cwd=folder,
        env=environment,
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
