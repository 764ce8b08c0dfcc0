"""The pytest plugin, in pytest runs of its own, over a lab in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.errors import SnapshotError, ToolFailed
from provision.snapshots import actions, repairing
from provision.testing.lab import LabUnderTest
from tests.fakes.lab import Lab
from tests.fakes.snapshots import disks, running_lab, set_disks, whole

pytest_plugins = ["pytester"]
PLUGIN = ("-p", "provision.testing.plugin", "-p", "no:cacheprovider", "--strict-markers")
LAB_YAML = "name: lab\nworkers: {count: 2}\n"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Lab:
    """Return a healthy lab, which is what the plugin opens whatever it is told."""
    with_file(pytester)
    made = running_lab(tmp_path / "lab")
    made.ctx.workspace.kubeconfig.write_text("")
    monkeypatch.setattr(repairing, "repair", lambda ctx, moment, good_until: None)
    monkeypatch.setattr("provision.testing.lab.open_under_test", lambda file: LabUnderTest(made.ctx))
    return made


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess(*PLUGIN, *options)


def collected(pytester: pytest.Pytester, source: str) -> list[str]:
    result = run(pytester, source, "--collect-only", "-q")
    return [line.partition("::")[2] for line in result.outlines if "::" in line]


def with_file(pytester: pytest.Pytester) -> None:
    (pytester.path / "lab.yaml").write_text(LAB_YAML)


def test_unused_it_imports_next_to_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_it():
            heavy = {"paramiko", "testinfra", "pydantic", "yaml", "provision.lab.opening", "provision.errors"}
            assert not heavy & set(sys.modules)
    """)
    result = pytester.runpytest_subprocess(*PLUGIN)
    assert result.ret == pytest.ExitCode.OK, result.outlines


def test_ids_are_node_names_and_no_machine_is_touched(pytester: pytest.Pytester) -> None:
    with_file(pytester)
    source = "def test_a(node): ...\ndef test_b(worker): ...\ndef test_c(nodes, control_plane): ...\n"
    assert collected(pytester, source) == [
        "test_a[lab-cp1]",
        "test_a[lab-w1]",
        "test_a[lab-w2]",
        "test_b[lab-w1]",
        "test_b[lab-w2]",
        "test_c",
    ]


def test_the_lab_may_be_anywhere(pytester: pytest.Pytester) -> None:
    with_file(pytester)
    folder = pytester.mkdir("there")
    (pytester.path / "lab.yaml").rename(folder / "mine.yaml")
    for path in ("there/mine.yaml", folder / "mine.yaml"):
        result = run(pytester, "def test_a(worker): ...", "--collect-only", "-q", "--lab", str(path))
        assert "test_a[lab-w2]" in result.stdout.str()
    (folder / "mine.yaml").rename(folder / "lab.yaml")
    result = run(pytester, "def test_a(worker): ...", "--collect-only", "-q", "--lab", "there")
    assert "test_a[lab-w2]" in result.stdout.str()


def test_with_a_lab_file_that_is_wrong_there_is_one_clear_error(pytester: pytest.Pytester) -> None:
    (pytester.path / "lab.yaml").write_text("nme: lab\n")
    pytester.makepyfile(other="def test_more(node): ...")
    result = run(pytester, "def test_a(node): ...\ndef test_b(worker): ...", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "unknown key" in result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_with_a_lab_file_that_is_wrong_the_workers_of_xdist_say_so_too(pytester: pytest.Pytester) -> None:
    (pytester.path / "lab.yaml").write_text("nme: lab\n")
    result = run(pytester, "def test_a(node): ...\ndef test_b(): ...", "-p", "xdist", "-n", "1")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*unknown key*"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_where_there_is_no_lab_the_fixtures_of_other_plugins_are_theirs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        another="""
        import pytest

        @pytest.fixture
        def node():
            return "another's"
    """
    )
    pytester.syspathinsert()
    source = 'def test_a(node):\n    assert node == "another\'s"\n'
    run(pytester, source, "-p", "another").assert_outcomes(passed=1)
    assert "provision.testing" not in run(pytester, source, "--fixtures").stdout.str()


def test_where_there_is_no_lab_it_is_said_how_to_have_the_fixtures(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_a(kubectl): ...\ndef test_b(nothing): ...")
    result.assert_outcomes(errors=2)
    text = result.stdout.str()
    assert ("fixture 'kubectl' not found" in text, text.count("with --lab PATH")) == (True, 1)


def test_tests_that_need_no_lab_run_without_one(pytester: pytest.Pytester) -> None:
    source = "def test_a(node): ...\ndef test_plain(): ..."
    run(pytester, source, "-k", "plain").assert_outcomes(passed=1, deselected=1)


def test_a_lab_that_is_not_where_it_was_said_to_be_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_plain(): ...", "--lab", "nowhere.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "nowhere.yaml" in result.stderr.str()


def test_a_users_own_node_is_left_alone(pytester: pytest.Pytester) -> None:
    source = """
        import pytest

        @pytest.fixture
        def node():
            return "mine"

        def test_own(node):
            assert node == "mine"

        @pytest.mark.parametrize("worker", ["given"])
        def test_given(worker):
            assert worker == "given"
    """
    run(pytester, source).assert_outcomes(passed=2)


def test_a_test_may_name_its_nodes_itself(pytester: pytest.Pytester, lab: Lab) -> None:
    with_file(pytester)
    source = """
        import pytest

        @pytest.mark.parametrize("node, number", [("lab-w2", 1)], indirect=["node"])
        def test_named(node, number):
            assert (node.name, node.role, node.is_control_plane) == ("lab-w2", "worker", False)
    """
    run(pytester, source).assert_outcomes(passed=1)


def test_the_fixtures_give_the_lab(pytester: pytest.Pytester, lab: Lab) -> None:
    with_file(pytester)
    lab.kubectl.answer("get pods -A -o json", json.dumps({"items": []}))
    source = """
        import pytest

        @pytest.fixture(scope="session")
        def names(lab, nodes, workers, control_plane, kubectl, lab_snapshot):
            assert kubectl.items("pods", "-A") == []
            assert lab.node("lab-w1") is workers[0]
            assert lab.control_plane is control_plane is nodes[0]
            return [node.name for node in nodes]

        @pytest.fixture(scope="module")
        def name(node):
            return node.name

        def test_lab(lab, names):
            assert names == ["lab-cp1", "lab-w1", "lab-w2"]
            assert (lab.version, lab.config.name, lab.scaled(2)) == ("1.36.3", "lab", 2.0)
            assert [node.ip for node in lab.nodes] == [node.ip for node in lab.inventory.nodes]

        def test_names(node, name, request):
            assert node.name == name
            assert f"[{name}]" in request.node.name
    """
    run(pytester, source).assert_outcomes(passed=4)


def test_a_lab_that_is_off_fails_clearly(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.machines.state.clear()
    lab.machines.known.clear()
    result = run(pytester, "def test_a(lab): ...\ndef test_b(kubectl): ...")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["the lab lab is not up: it has no machines", "hint: kubelab up"])
    assert "Traceback" not in result.stdout.str()
    assert "another exception" not in result.stdout.str()


def test_a_lab_without_a_cluster_fails_clearly(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.ctx.workspace.kubeconfig.unlink()
    result = run(pytester, "def test_a(lab): ...\ndef test_b(namespace): ...")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*is not up: it has no cluster yet", "hint: kubelab up"])


def test_a_failure_shows_what_kubectl_said_and_where_to_look(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.kubectl.answer("get pods*", stderr="the server is on fire\n", code=1)
    source = """
        import pytest

        @pytest.mark.quick
        @pytest.mark.changes
        @pytest.mark.look("kubelab ssh {node} -- journalctl")
        def test_a(kubectl, worker):
            kubectl("get", "pods")
    """
    with_file(pytester)
    result = run(pytester, source, "-k", "lab-w2")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["E*the server is on fire", "*where to look*", "kubelab ssh lab-w2 -- journalctl"]
    )


def test_a_namespace_and_a_deployment_are_removed(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.kubectl.answer("apply -f -")
    lab.kubectl.answer("delete *")
    lab.kubectl.answer("get serviceaccount/default *", json.dumps({"items": [{}]}))
    source = """
        def test_pods(deploy, namespace, module_namespace):
            assert namespace.startswith("pods-")
            deploy("web", image="nginx", wait=False)
            deploy("api", image="nginx", wait=False, namespace=module_namespace)
            assert False
    """
    run(pytester, source).assert_outcomes(failed=1)
    deleted = [call.split()[1] for call in lab.kubectl.calls if call.startswith("delete")]
    assert sorted(deleted) == ["deployment", "namespace", "namespace"]


RESTORES = """
    import pytest

    @pytest.fixture
    def torn():
        yield
        print("torn down")

    @pytest.mark.restores("a")
    def test_changes(torn, break_it):
        assert break_it() is None

    def test_next(disks):
        assert disks() == {disks_after}
"""


def restoring(pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the lab as `a`, and give the tests inside a way to change and see the machines' disks."""
    set_disks(lab, "then")
    actions.save(lab.ctx, "a")
    pytester.makeconftest("""
        import pytest
        from tests.fakes.snapshots import disks as seen, set_disks

        @pytest.fixture
        def break_it(request):
            return lambda: set_disks(request.config.world, "broken")

        @pytest.fixture
        def disks(request):
            return lambda: seen(request.config.world)
    """)
    monkeypatch.setattr(pytest.Config, "world", lab, raising=False)


def test_the_lab_is_put_back_after_a_test_that_asks_for_it(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring(pytester, lab, monkeypatch)
    run(pytester, RESTORES.replace("{disks_after}", "{'then'}")).assert_outcomes(passed=2)
    assert disks(lab) == {"then"}
    assert set(whole(lab)) == {"a"}


def test_the_last_test_is_put_back_too_and_a_failed_one(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring(pytester, lab, monkeypatch)
    source = RESTORES.replace("is None", "is 1").replace("{disks_after}", "{'then'}")
    run(pytester, source, "-k", "changes").assert_outcomes(failed=1, deselected=1)
    assert disks(lab) == {"then"}


def test_after_an_interrupt_the_lab_is_put_back(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring(pytester, lab, monkeypatch)
    source = RESTORES.replace("assert break_it() is None", "break_it(); raise KeyboardInterrupt")
    pytester.makepyfile(source.replace("{disks_after}", "{'then'}"))
    result = pytester.runpytest_inprocess(*PLUGIN, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert disks(lab) == {"then"}


def test_a_test_whose_lab_cannot_be_put_back_does_not_run(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring(pytester, lab, monkeypatch)
    source = RESTORES.replace('"a"', '"none"').replace("{disks_after}", "{'then'}")
    result = run(pytester, source)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*none*", "hint: *"])


def test_after_a_restore_that_failed_nothing_more_is_tested(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring(pytester, lab, monkeypatch)

    def refuse(ctx: object, name: str) -> None:
        raise SnapshotError(f"{name} is gone")

    monkeypatch.setattr(actions, "restore", refuse)
    result = run(pytester, RESTORES.replace("{disks_after}", "{'then'}"))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["a is gone", "*the lab could not be restored*"])


def test_a_test_may_save_and_restore_itself(pytester: pytest.Pytester, lab: Lab) -> None:
    source = """
        import pytest
        from provision.errors import LabError

        def test_all(lab_snapshot, lab):
            assert lab_snapshot.save("mine", "a note").note == "a note"
            lab_snapshot.restore("mine")
            lab_snapshot.delete("mine")
            with pytest.raises(LabError):
                lab_snapshot.restore("mine")
            with pytest.raises(LabError):
                lab_snapshot.save("No Name")
            with lab.context.workspace.lock(), pytest.raises(LabError, match="another kubelab command"):
                lab_snapshot.save("mine")
    """
    run(pytester, source).assert_outcomes(passed=1)
    assert whole(lab) == {}


def test_fixtures_and_markers_are_documented(pytester: pytest.Pytester) -> None:
    with_file(pytester)
    listed = run(pytester, "", "--fixtures").stdout.str()
    for fixture in ("lab", "nodes", "control_plane", "workers", "node", "worker", "kubectl", "namespace"):
        assert f"\n{fixture} " in listed or f"\n{fixture}\n" in listed
    for fixture in ("module_namespace", "deploy", "lab_snapshot"):
        assert f"\n{fixture}" in listed
    assert "no docstring available" not in listed.partition("provision.testing.fixtures")[2]
    markers = run(pytester, "", "--markers").stdout.str()
    for marker in ("quick", "changes", "look(text)", "restores(name)"):
        assert f"@pytest.mark.{marker}:" in markers


def test_an_error_is_explained_once(pytester: pytest.Pytester) -> None:
    source = """
        import pytest
        from provision.errors import ToolFailed

        @pytest.fixture(scope="module")
        def broken():
            raise ToolFailed(["kubectl", "get"], 1, "why it failed", hint="do this")

        def test_a(broken): ...
        def test_b(broken): ...
    """
    text = run(pytester, source, "--tb=short").stdout.str()
    assert text.count("E   hint: do this") == 2
    assert ToolFailed(["kubectl", "get"], 1, "").message in text
