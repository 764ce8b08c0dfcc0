"""Which add-ons a cluster has: written down in it, with all that is to be removed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from provision.addons.base import Addon, Site, digest_of, workloads_of
from provision.cluster.health import KUBE_SYSTEM, Object
from provision.cluster.kubectl import Kubectl
from provision.cluster.objects import TURNS, defined_by, write_all

NAME = "kubelab-addons"


@dataclass(frozen=True)
class Record:
    """An add-on of a cluster: `digest` is that of its objects, `objects` what is removed with it."""

    digest: str
    workloads: tuple[str, ...] = ()
    objects: tuple[Mapping[str, str], ...] = ()


def look(kubectl: Kubectl) -> dict[str, Record]:
    """Ask the cluster which add-ons it has, by name; raises ToolFailed."""
    field = f"--field-selector=metadata.name={NAME}"
    return found_in(kubectl.items("configmaps", f"--namespace={KUBE_SYSTEM}", field))


def found_in(objects: Iterable[Object]) -> dict[str, Record]:
    """Return the add-ons that the objects of a cluster tell of."""
    for item in objects:
        metadata = item["metadata"]
        if (item["kind"], metadata.get("namespace"), metadata["name"]) == ("ConfigMap", KUBE_SYSTEM, NAME):
            return {name: _parse(text) for name, text in (item.get("data") or {}).items()}
    return {}


def install(kubectl: Kubectl, addon: Addon, site: Site, there: Mapping[str, Record]) -> dict[str, Record]:
    """Make the objects of an add-on; return what is there now. What they are is written down before.

    So an interrupted one is known, and can be removed.
    """
    documents = addon.documents(site)
    record = Record("", workloads_of(documents), tuple(_removed_by(documents)))
    _write(kubectl, {**there, addon.name: record})
    write_all(kubectl, addon.prepare(kubectl, documents))
    done = {**there, addon.name: Record(digest_of(documents), record.workloads, record.objects)}
    _write(kubectl, done)
    return done


def remove(
    kubectl: Kubectl, name: str, addon: Addon | None, there: Mapping[str, Record]
) -> dict[str, Record]:
    """Delete the objects of the add-on called `name`; return what is there still.

    `addon` is None for one of a Python package that is gone.
    """
    objects = [
        {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "metadata": {key: item[key] for key in ("name", "namespace") if key in item},
        }
        for item in reversed(there[name].objects)
    ]
    if objects:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        patience = kubectl.deadline * TURNS
        kubectl(
            "delete",
            "--ignore-not-found",
            f"--timeout={int(patience)}s",
            "-f",
            "-",
            stdin=text,
            deadline=patience,
        )
    if addon is not None:
        addon.leave(kubectl)
    left = {other: record for other, record in there.items() if other != name}
    _write(kubectl, left)
    return left


def _write(kubectl: Kubectl, records: Mapping[str, Record]) -> None:
    data = {name: json.dumps(asdict(record), sort_keys=True) for name, record in records.items()}
    metadata = {"name": NAME, "namespace": KUBE_SYSTEM}
    kubectl.write([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}])


def _removed_by(documents: Sequence[Object]) -> Iterable[Mapping[str, str]]:
    """Yield what is deleted with an add-on: not what goes with its namespace, or with its kind.

    To delete an object of a kind that is gone fails, and so would a second attempt.
    """
    spaces = {item["metadata"]["name"] for item in documents if item["kind"] == "Namespace"}
    kinds = defined_by(documents)
    for item in documents:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        if namespace not in spaces and item["kind"] not in kinds:
            place = {"namespace": namespace} if namespace else {}
            yield {"apiVersion": item["apiVersion"], "kind": item["kind"], "name": metadata["name"], **place}


def _parse(text: str) -> Record:
    """Return a record; an empty one, which is installed again, for what this version does not understand."""
    try:
        fields = json.loads(text)
        return Record(fields["digest"], tuple(fields["workloads"]), tuple(map(dict, fields["objects"])))
    except (ValueError, TypeError, KeyError):
        return Record("")
