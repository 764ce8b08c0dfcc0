"""A shipped test that nobody has seen red proves nothing: each has its row."""

from __future__ import annotations

from tests.sabotage.table import rows, shipped


def test_every_shipped_test_has_a_row() -> None:
    assert shipped() - {row.test for row in rows()} == set()


def test_no_row_speaks_of_a_test_that_is_no_more() -> None:
    assert {test for row in rows() for test in (row.test, *row.also)} - shipped() == set()


def test_every_row_breaks_something() -> None:
    assert [row.test for row in rows() if not (row.script or row.kubectl or row.objects or row.host)] == []
    assert [row.test for row in rows() if row.script and row.node not in ("cp1", "w1")] == []
