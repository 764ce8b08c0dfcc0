"""Kubernetes objects as parsed YAML: reading them, finding one, and changing it. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from provision.artifacts.images.registry import Reference
from provision.config.loader import BoundedConstructor
from provision.errors import LabError

Document = dict[str, Any]

POD_KINDS = ("DaemonSet", "Deployment", "StatefulSet")
# The longest that a probe waits, and that passes between two of one kind, in seconds.
LONGEST_TIMEOUT, LONGEST_READINESS, LONGEST_LIVENESS = 60, 30, 60
# The parser written in C reads a manifest of a megabyte in a second, the other one in ten.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(BoundedConstructor, _PARSER):  # type: ignore[misc]
    """The parser, with words for every value that does not fit its type."""


def parse(text: str) -> list[Document]:
    """Return the objects in YAML text, those of a List one by one; raises ValueError."""
    try:
        found = list(yaml.load_all(text, _Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{line}{getattr(error, 'problem', None) or error}") from error
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    documents: list[Document] = []
    for document in found:
        if document is None:
            continue
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise ValueError("it holds something that is no Kubernetes object")
        documents += document.get("items") or [] if document["kind"] == "List" else [document]
    return documents


def changeable(documents: Sequence[Document]) -> list[Document]:
    """Return the same objects, with copies of those that a CNI changes: a CRD has thousands of lines."""
    kinds = (*POD_KINDS, "CronJob", "Job", "ConfigMap")
    return [copy.deepcopy(item) if item["kind"] in kinds else item for item in documents]


def find(documents: Iterable[Document], kind: str, name: str) -> Document:
    """Return the object `kind`/`name`; raises LabError if the manifest has none."""
    for document in documents:
        if document["kind"] == kind and document["metadata"]["name"] == name:
            return document
    raise LabError(
        f"the manifest of the CNI has no {kind} {name}: it is of a version that kubelab does not know",
        hint="leave out cni.version, or give your own manifest: cni: {name: custom, manifest: FILE}",
    )


def container(document: Document, name: str) -> Document:
    """Return a container of a workload by its name; raises LabError."""
    for found in document["spec"]["template"]["spec"]["containers"]:
        if found["name"] == name:
            return dict_of(found)
    raise LabError(f"{document['kind']} {document['metadata']['name']} of the CNI has no container {name}")


def dict_of(value: Any) -> Document:
    """Return `value`, which is a mapping."""
    assert isinstance(value, dict)
    return value


def set_env(target: Document, **values: str | Document) -> None:
    """Give a container environment variables: texts, or sources such as a fieldRef."""
    entries = target.setdefault("env", [])
    for name, value in values.items():
        entry = (
            {"name": name, "value": value} if isinstance(value, str) else {"name": name, "valueFrom": value}
        )
        for number, found in enumerate(entries):
            if found["name"] == name:
                entries[number] = entry
                break
        else:
            entries.append(entry)


def pod_specs(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the pod specs of all workloads, whatever their kind."""
    for document in documents:
        spec = document.get("spec") or {}
        spec = (spec.get("jobTemplate") or {}).get("spec") or spec
        if document["kind"] == "Pod":
            yield spec
        elif isinstance(spec.get("template"), dict) and isinstance(spec["template"].get("spec"), dict):
            yield spec["template"]["spec"]


def images_of(documents: Iterable[Document]) -> set[str]:
    """Return the full references of the images that the objects' pods run."""
    return {full_reference(entry["image"]) for entry in _containers(documents)}


def always_pulled(documents: Iterable[Document]) -> set[str]:
    """Return the images that nodes ask a registry for at every start, though they have them."""
    found = set()
    for entry in _containers(documents):
        image = full_reference(entry["image"])
        default = "Always" if image.endswith(":latest") else "IfNotPresent"
        if (entry.get("imagePullPolicy") or default) == "Always":
            found.add(image)
    return found


def one_per_tag(images: Iterable[str]) -> tuple[str, ...]:
    """Return the references sorted, and of an image that is there with and without its digest only the first.

    An image has one place in a bundle, by its tag.
    """
    by_tag = {ref.partition("@")[0]: ref for ref in sorted(images)}
    return tuple(sorted(by_tag.values()))


def without_digests(documents: Iterable[Document]) -> None:
    """Let the pods ask for their images by tag alone, as the nodes have them.

    A node that is asked for a digest looks only for that, and would ask the registry: its own image has
    another manifest, and so another digest, than the registry's.
    """
    for entry in _containers(documents):
        entry["image"] = Reference.parse(entry["image"]).tagged


def full_reference(image: str) -> str:
    """Return an image's name with registry and tag, as containerd knows it: "busybox" is docker.io's."""
    name, at, digest = image.partition("@")
    first, slash, _ = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    if ":" not in name.rpartition("/")[2] and not at:
        name += ":latest"
    return name + at + digest


def workloads_of(documents: Iterable[Document]) -> set[str]:
    """Return "namespace/kind/name" of the workloads that must be there once the objects are applied."""
    return {
        f"{item['metadata'].get('namespace', 'default')}/{item['kind']}/{item['metadata']['name']}"
        for item in documents
        if item["kind"] in ("DaemonSet", "Deployment")
    }


def slow_probes(documents: Iterable[Document], factor: float) -> None:
    """Give the probes of all workloads more time, and let those that start a program start it less often.

    `factor` is that of the acceleration. The liveness probe begins half a period later, so that the two of a
    container do not meet.
    """
    if factor <= 1:
        return
    limits = {"readinessProbe": LONGEST_READINESS, "livenessProbe": LONGEST_LIVENESS, "startupProbe": 10}
    for spec in pod_specs(documents):
        for entry in spec["containers"]:
            for kind, longest in limits.items():
                probe = entry.get(kind)
                if probe is None:
                    continue
                probe["timeoutSeconds"] = _scaled(probe.get("timeoutSeconds", 1), factor, LONGEST_TIMEOUT)
                if "exec" in probe:
                    probe["periodSeconds"] = _scaled(probe.get("periodSeconds", 10), factor, longest)
                if kind == "livenessProbe":
                    delay = _scaled(probe.get("initialDelaySeconds", 0), factor, LONGEST_LIVENESS)
                    probe["initialDelaySeconds"] = delay + probe.get("periodSeconds", 10) // 2
                else:
                    probe["failureThreshold"] = max(probe.get("failureThreshold", 3), 6)


def _containers(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the containers of all pods that name an image, those that only prepare a pod too."""
    for spec in pod_specs(documents):
        for entry in [*spec.get("containers", []), *(spec.get("initContainers") or [])]:
            if entry.get("image"):
                yield entry


def _scaled(seconds: int, factor: float, longest: int) -> int:
    return max(seconds, min(int(seconds * factor), longest))
