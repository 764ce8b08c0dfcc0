"""The nodes' proxy is compared by asking them, without a word of what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import CommandTimeout, Result
from provision.providers.base import STOPPED
from provision.status.diff import find, show
from tests.fakes.lab import Lab, make_lab

SECRET = "http://me:hunter2@proxy.test:3128"


def running(root: Path, **keys: object) -> Lab:
    lab = make_lab(root, workers={"count": 1}, **keys)
    for node in lab.ctx.inventory.nodes:
        lab.machines.make(node.name)
    return lab


@pytest.mark.parametrize(("proxy", "said"), [("none", "none"), (SECRET, "one")])
def test_a_node_with_another_proxy_is_named(tmp_path: Path, proxy: str, said: str) -> None:
    lab = running(tmp_path, proxy=proxy)
    lab.runners["lab-cp1"].script.append(("proxy.changed", Result("", "", 0)))
    lab.runners["lab-w1"].script.append(("proxy.changed", Result("", "", 1)))
    found = find(lab.ctx, lab.ctx.config)
    (difference,) = found.differences
    assert (difference.key, difference.lab, difference.file) == ("proxy", "another", said)
    assert (difference.refused, difference.machines) == (False, ("lab-w1",))
    show(lab.ctx, found)
    assert "hunter2" not in str(lab.report.events)


def test_nodes_that_do_not_answer_or_run_have_an_unknown_proxy(tmp_path: Path) -> None:
    lab = running(tmp_path)
    lab.machines.make("lab-w1", STOPPED)
    lab.runners["lab-cp1"].script.append(("proxy", CommandTimeout("lab-cp1", "look for the proxy", 5)))
    found = find(lab.ctx, lab.ctx.config)
    assert (found.differences, lab.runners["lab-w1"].calls) == ([], [])
    assert "did not end" in found.unknown["proxy"]
    lab.machines.make("lab-cp1", STOPPED)
    assert find(lab.ctx, lab.ctx.config).unknown["proxy"] == "no machine runs"
