from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.errors import ConfigError
from provision.verify import record
from provision.verify.selection import Selection
from tests.fakes.verify import DNS, SWAP, Suite, make_suite


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ("swap",)}, {"swap"}),
        ({"only": ("swap", "changes")}, {"swap", "answers"}),
        ({"skip": ("changes",)}, {"swap", "names"}),
        ({"quick": True}, {"swap"}),
        ({"only": ("dns",), "skip": ("changes",)}, {"names"}),
    ],
)
def test_checks_are_chosen_by_concern_or_mark(options: dict[str, Any], expected: set[str]) -> None:
    tests = {"swap": {"swap", "quick"}, "names": {"dns"}, "answers": {"dns", "changes"}}
    selection = Selection(**options)
    assert {test for test, names in tests.items() if selection.chooses(names)} == expected


def test_the_choice_reaches_pytest(suite: Suite) -> None:
    suite.write("checks/test_swap.py", SWAP)
    suite.write("checks/test_dns.py", DNS)
    assert suite.ran(only=("dns",), skip=("changes",)) == ["test_services_have_names"]
    assert suite.report.of("progress")[0]["text"].startswith("1 of 1")


def test_an_unknown_name_is_refused_with_the_nearest_known_one(suite: Suite) -> None:
    suite.write("checks/test_swap.py", SWAP)
    suite.write("checks/test_dns.py", DNS)
    with pytest.raises(ConfigError) as caught:
        suite.run(only=("dsn", "swap"), skip=("chages",))
    assert caught.value.exit_code == 2
    assert caught.value.message.splitlines() == [
        "there is no concern or mark `dsn`; did you mean `dns`?",
        "there is no concern or mark `chages`; did you mean `changes`?",
    ]
    assert caught.value.hint == "the concerns and marks are: changes, dns, quick, restores, swap"
    assert record.read(suite.lab.ctx.workspace) is None


def test_a_choice_that_leaves_nothing_is_refused(suite: Suite) -> None:
    suite.write("checks/test_dns.py", DNS)
    with pytest.raises(ConfigError, match="no check matches"):
        suite.run(quick=True)


def test_a_users_own_tests_run_beside_and_count(suite: Suite) -> None:
    suite.write("checks/test_swap.py", "def test_ours(): pass\n")
    suite.write("mine/conftest.py", "import pytest\n\n@pytest.fixture\ndef size(): return 2\n")
    suite.write("mine/helping.py", "LIMIT = 1\n")
    suite.write(
        "mine/test_swap.py",
        """
        import pytest, helping

        @pytest.mark.slow
        def test_mine(size): assert size <= helping.LIMIT, f"{size} is too many"
        """,
    )
    suite.write("mine/test_broken.py", "import no_such_module\n")
    outcome = suite.run(tests=(suite.root / "mine",))
    assert {check.id: check.outcome for check in outcome.checks} == {
        "test_swap.py::test_ours": "passed",
        "mine/test_swap.py::test_mine": "failed",
        "mine/test_broken.py": "failed",
    }
    rows = {row[0]: row[1:] for row in suite.report.of("table")[0]["rows"]}
    assert rows["mine"] == ["2 is too many", "mine/test_swap.py::test_mine"]
    assert "no_such_module" in rows["mine/test_broken.py"][0]
    assert outcome.error().hint.endswith(f"--tests {suite.root / 'mine'}")
    assert suite.ran(tests=(suite.root / "mine",), only=("slow",), skip=("quick",))[1:] == ["test_mine"]


def test_a_folder_without_tests_is_refused(suite: Suite) -> None:
    suite.write("checks/test_one.py", "def test_one(): pass\n")
    suite.write("mine/checks.py", "def test_mine(): pass\n")
    with pytest.raises(ConfigError, match=f"{suite.root / 'mine'} has no tests"):
        suite.run(tests=(suite.root / "mine",))
