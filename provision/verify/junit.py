"""Copies the JUnit file that pytest wrote to where the user wants it, without secrets."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from provision.host.files import write_output
from provision.report.redact import Redactor


def publish(written: Path, target: Path) -> None:
    """Write pytest's file to `target`, atomically; its folder is created if needed."""
    tree = ET.parse(written)
    clean = Redactor().text
    for element in tree.iter():
        element.text = clean(element.text) if element.text else element.text
        for name, value in element.attrib.items():
            element.set(name, clean(value))
    write_output(target, ET.tostring(tree.getroot(), encoding="utf-8", xml_declaration=True))
