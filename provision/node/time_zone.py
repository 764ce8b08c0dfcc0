"""The time zone of a node: a link to one of the files that the package tzdata brings."""

from __future__ import annotations

from provision.config.time_zone import UTC
from provision.node.files import File

LINK = "/etc/localtime"
# For programs that want the name, and read no link.
NAME = "/etc/timezone"
ZONES = "/usr/share/zoneinfo"
# What a box may have where nobody asked for a zone; without a link it is UTC.
_ALSO_UTC = ("Etc/UTC", "")


def zone_files(zone: str) -> dict[str, File]:
    """Return path -> file of a node in that zone."""
    return {NAME: File(f"{zone}\n")}


def probe_script(zone: str) -> str:
    """Return a script that fails where the node is in another zone."""
    links = [f"{ZONES}/{zone}", *(['""', f"{ZONES}/Etc/UTC"] if zone == UTC else [])]
    return f"""
case "$(readlink {LINK} || true)" in
{" | ".join(links)}) ;;
*) exit 1 ;;
esac
"""


def link_script(zone: str) -> str:
    """Return a script that puts the node into a zone; it fails, and says why, on a node without that zone."""
    if zone == UTC:
        # Without the file it is UTC all the same, as on machines of boxes that had no tzdata.
        return f"ln -sfn {ZONES}/{zone} {LINK}\n"
    return f"""
if [ ! -f {ZONES}/{zone} ]; then
    echo "error: timeZone: this node has no {ZONES}/{zone}: its box has no tzdata, or an older one, or the" \\
        "name is an old one that is in Debian's tzdata-legacy: packages: [tzdata-legacy]" >&2
    exit 1
fi
ln -sfn {ZONES}/{zone} {LINK}
"""


def zone_of(link: str) -> str:
    """Return the zone that a node is in by what its link leads to, an empty text without one."""
    zone = link.removeprefix(f"{ZONES}/")
    return UTC if zone in _ALSO_UTC else zone
