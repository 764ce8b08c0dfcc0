"""The pytest plugin of kubelab, for your own tests against a lab; its nodes are testinfra hosts.

Installed with kubelab and loaded by pytest automatically; in any folder:

    pytest --lab PATH        PATH is a lab.yaml or its folder, by default ./lab.yaml

    def test_the_kubelet_runs(node):                  # once for every node
        assert node.service("kubelet").is_running

    @pytest.mark.restores("ready")                    # the snapshot is restored after the test
    def test_a_worker_can_be_drained(kubectl, workers):
        kubectl.text("drain", workers[0].name, "--ignore-daemonsets")

`pytest --fixtures` lists the fixtures, `pytest --markers` the marks. Without --lab and ./lab.yaml there are
no fixtures: other projects have theirs of the same names. The plugin does nothing, and imports almost
nothing, until one of them is used.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from provision.testing.failures import explain, fail
from provision.testing.opening import (
    PROBLEM,
    RESTORES,
    inventory_for,
    lab_file,
    put_back,
    snapshots_of,
)

FIXTURES = "provision.testing.fixtures"
# Our fixtures `node` and `worker` use these, which tells them from a user's fixtures of the same names.
OWN = {"node": "_find_node", "worker": "_find_worker"}
MARKERS = (
    "quick: takes little time: at most one command on each node and a few requests to the API server",
    "changes: makes objects in the cluster",
    "look(text): where to look when the test fails; {node} in it becomes the node's name",
    "restores(name): the snapshot `name` is restored after the test, which also undoes what fixtures of a "
    "wider scope made in the cluster",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kubelab")
    group.addoption("--lab", metavar="PATH", help="the lab.yaml of the lab under test, or its folder")


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--lab") and not lab_file(config).is_file():
        raise pytest.UsageError(f"--lab: there is no file {lab_file(config)}")
    if lab_file(config).is_file():
        config.pluginmanager.import_plugin(FIXTURES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, own in OWN.items():
        if own in metafunc.fixturenames and not _parametrized(metafunc, fixture):
            inventory = inventory_for(metafunc.config)
            if inventory is not None:
                nodes = inventory.workers if fixture == "worker" else inventory.nodes
                names = [node.name for node in nodes]
                metafunc.parametrize(fixture, names, ids=names, indirect=True, scope="module")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Under pytest-xdist this must not end a worker: there each test fails with the problem.
    if PROBLEM not in config.stash or hasattr(config, "workerinput"):
        return
    if any(set(OWN.values()) & set(getattr(item, "fixturenames", ())) for item in items):
        raise pytest.UsageError(config.stash[PROBLEM])


def pytest_runtest_setup(item: pytest.Item) -> None:
    mark = item.get_closest_marker("restores")
    if mark is None:
        return
    # A test must not change a lab that cannot be restored afterwards.
    from provision.errors import LabError

    name = str(mark.args[0])
    try:
        snapshots_of(item.config).check(name)
    except LabError as error:
        fail(error)
    item.config.stash[RESTORES] = name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        try:
            put_back(item.config)
        except pytest.fail.Exception:
            item.session.shouldstop = "the lab could not be restored"
            raise


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        # After Ctrl-C the tear-down of the test may not have run.
        try:
            put_back(session.config)
        except pytest.fail.Exception as error:
            pytest.exit(str(error), pytest.ExitCode.INTERNAL_ERROR)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if call.excinfo is not None:
        explain(call.excinfo.value)
    report = yield
    if call.excinfo is not None and _lacks_ours(item.config, call.excinfo.value):
        report.sections.append(("kubelab", "its fixtures are there with --lab PATH, or beside a lab.yaml"))
    if report.failed:
        from provision.verify.described import look_of, node_of

        look = look_of(item).replace("{node}", node_of(item) or "NODE")
        if look:
            report.sections.append(("where to look", look))
    return report


def _lacks_ours(config: pytest.Config, error: BaseException) -> bool:
    """Return whether a test wants a fixture that kubelab would have where there is a lab."""
    if not isinstance(error, pytest.FixtureLookupError) or config.pluginmanager.has_plugin(FIXTURES):
        return False
    from provision.testing import fixtures

    return hasattr(fixtures, str(error.argname))


def _parametrized(metafunc: pytest.Metafunc, fixture: str) -> bool:
    """Return whether the test parametrizes this fixture itself."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        if fixture in (names.replace(",", " ").split() if isinstance(names, str) else names):
            return True
    return False
