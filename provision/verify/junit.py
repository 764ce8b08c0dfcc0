"""The JUnit file that pytest wrote, as it is handed to others: without secrets, whole or not at all."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from provision.host.files import write_atomic
from provision.report.redact import Redactor


def publish(written: Path, target: Path) -> None:
    """Write pytest's file to `target`, in a folder that is made if need be."""
    tree = ET.parse(written)
    clean = Redactor().text
    for element in tree.iter():
        element.text = clean(element.text) if element.text else element.text
        for name, value in element.attrib.items():
            element.set(name, clean(value))
    write_atomic(target, ET.tostring(tree.getroot(), encoding="utf-8", xml_declaration=True))
