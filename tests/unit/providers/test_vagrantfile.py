from __future__ import annotations

import json
import re
import shutil
import subprocess

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.templates import environment, ruby

NASTY = [
    "",
    "'",
    "\\",
    "\\'",
    "'\\",
    "\\\\'",
    "#{exit 9}",
    "'; exit 9; '",
    "`id`",
    "a\nb",
    "a\r\nb",
    "\r",
    "\n__END__\n",
    "\n=begin\n",
    "a\0b",
    "\x04\x1a",
    "ü€😀\u2028",
    "a" * 5000,
]
LITERAL = re.compile(r"""'(?P<quoted>(?:[^'\\\r]|\\[\\'])*)'|"(?P<return>\\r)\"""")


def ruby_reads(source: str) -> str:
    """Return the string that Ruby takes `source` for: neighbouring literals are one string."""
    text, at = "", 0
    while at < len(source):
        found = LITERAL.match(source, at)
        assert found is not None, f"more than a string: {source[at:]!r}"
        text += "\r" if found["return"] else re.sub(r"\\([\\'])", r"\1", found["quoted"])
        at = found.end()
    return text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_stays_one_ruby_string(text: str) -> None:
    assert ruby_reads(ruby(text)) == text


@pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")
def test_ruby_itself_reads_nasty_text_as_it_is() -> None:
    literals = ",\n".join(map(ruby, NASTY))
    program = f"# frozen_string_literal: true\nrequire 'json'\nSTDOUT.write JSON.generate([{literals}])\n"
    done = subprocess.run(["ruby", "-"], input=program.encode(), capture_output=True, check=True)
    assert json.loads(done.stdout) == NASTY


def test_a_value_that_is_no_text_becomes_one() -> None:
    assert ruby(12) == "'12'"


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="nobody"):
        environment().from_string("{{ nobody }}").render()
