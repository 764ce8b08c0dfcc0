from __future__ import annotations

import time
from pathlib import Path

import pytest

from provision.errors import LabError, ToolFailed
from provision.providers.base import STOPPED
from provision.report.base import RecordingReporter
from provision.verify import record
from provision.verify.examine import verify
from tests.fakes.lab import make_lab
from tests.fakes.verify import Suite, make_suite


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path)


def test_nothing_of_the_users_shell_or_folder_changes_what_is_run(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.write("checks/test_one.py", "def test_one(): pass\n")
    suite.write("here/pytest.ini", "[pytest]\naddopts = --no-such-option\n")
    suite.write("here/conftest.py", "raise RuntimeError\n")
    suite.write("here/yaml.py", "raise RuntimeError\n")
    monkeypatch.chdir(suite.root / "here")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    assert suite.ran() == ["test_one"]


def test_the_checks_have_the_patience_that_the_machines_were_found_to_need(suite: Suite) -> None:
    suite.lab.ctx.pace.note("speed 20\n", 1)
    suite.write(
        "checks/test_one.py",
        "import os\ndef test_one(): assert os.environ['KUBELAB_SLOWNESS'] == '2.00'\n",
    )
    assert [check.outcome for check in suite.run().checks] == ["passed"]


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("conftest.py", "raise RuntimeError('no way')\n", "no way"),
        ("test_end.py", "import os\ndef test_one(): os._exit(0)\n", "1 of 1 tests were not run"),
        ("test_end.py", "import pytest\ndef test_one(): pytest.exit('enough')\n", "exit code 2"),
    ],
)
def test_a_pytest_that_broke_is_an_error_and_neither_red_nor_green(
    suite: Suite, file: str, text: str, told: str
) -> None:
    suite.write(f"checks/{file}", text)
    with pytest.raises(ToolFailed) as caught:
        suite.run()
    assert caught.value.exit_code == 1
    assert told in f"{caught.value}\n{caught.value.details}"
    assert record.read(suite.lab.ctx.workspace) is None
    assert len(suite.report.of("step_failed")) == 1


def test_without_a_cluster_the_next_command_is_up(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    with pytest.raises(LabError, match="no cluster yet") as caught:
        verify(lab.ctx, tmp_path / "lab.yaml")
    assert caught.value.hint == "kubelab up"
    assert lab.report.events == []


@pytest.mark.parametrize("state", [STOPPED, None])
def test_a_machine_that_does_not_run_is_told_before_anything_is_tried(
    suite: Suite, state: str | None
) -> None:
    if state is None:
        del suite.lab.machines.state["lab-w1"]
    else:
        suite.lab.machines.state["lab-w1"] = state
    with pytest.raises(LabError, match=f"lab-w1 is {state or 'missing'}") as caught:
        suite.run()
    assert (caught.value.exit_code, caught.value.hint) == (1, "kubelab start" if state else "kubelab up")


class Impatient(RecordingReporter):
    """Presses Ctrl-C once the second test begins, and again at the first word about it if `twice`."""

    twice = False

    def progress(self, text: str, step: str = "") -> None:
        super().progress(text, step)
        if text.startswith("2 of"):
            raise KeyboardInterrupt

    def info(self, text: str) -> None:
        super().info(text)
        if self.twice:
            raise KeyboardInterrupt


LASTING = """
import pathlib, time
import pytest

here = pathlib.Path(__file__).parent

@pytest.fixture(scope="module", autouse=True)
def made():
    (here / "made").touch()
    yield
    CLEANING
    (here / "made").unlink()

def test_first(): pass
def test_second(): time.sleep(60)
"""


def interrupted(root: Path, cleaning: str, *, twice: bool) -> RecordingReporter:
    """Run the lasting test with Ctrl-C in its middle; return what was told."""
    report = Impatient()
    report.twice = twice
    suite = make_suite(root, report=report)
    suite.write("checks/test_lasting.py", LASTING.replace("CLEANING", cleaning))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        suite.run()
    assert time.monotonic() - began < 30
    assert record.read(suite.lab.ctx.workspace) is None
    return report


def test_ctrl_c_lets_the_checks_clean_up(tmp_path: Path) -> None:
    # The second end that is asked for comes in the middle of it.
    cleaning = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    report = interrupted(tmp_path, cleaning, twice=False)
    assert not (tmp_path / "checks/made").exists()
    assert "clean up" in report.of("info")[0]["text"]
    assert str(report.of("step_failed")[0]["error"]) == "interrupted"


def test_a_second_ctrl_c_ends_the_checks_at_once(tmp_path: Path) -> None:
    interrupted(tmp_path, "time.sleep(60)", twice=True)
    assert (tmp_path / "checks/made").exists()


def test_an_end_asked_for_while_a_test_cleans_up_comes_after_it(suite: Suite) -> None:
    suite.write(
        "checks/test_end.py",
        """
        import os, pathlib, signal
        import pytest

        @pytest.fixture
        def made():
            yield
            os.kill(os.getpid(), signal.SIGTERM)
            pathlib.Path(__file__).with_name("cleaned").touch()

        def test_first(made): pass
        def test_second(): pathlib.Path(__file__).with_name("second").touch()
        """,
    )
    with pytest.raises(ToolFailed):
        suite.run()
    assert (suite.checks / "cleaned").exists()
    assert not (suite.checks / "second").exists()
