"""A `kubectl` of a small cluster, which is the JSON file beside it.

A Deployment has its pods at once. What the file `fault` names does not work: network, scheduling or schema.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Object = dict[str, Any]

HERE = os.path.dirname(sys.argv[0])
SHORT = {"crd": "customresourcedefinition"}


class Refused(Exception):
    """What a real one would print before it ends with exit code 1."""


class Cluster:
    """The objects by kind, namespace and name."""

    def __init__(self, file: str) -> None:
        self.file = file
        with open(file) as text:
            self.state: Object = json.load(text)
        self.objects: dict[str, Object] = self.state["objects"]
        with open(os.path.join(HERE, "fault")) as text:
            self.fault = text.read()

    def keep(self) -> None:
        with open(self.file, "w") as text:
            json.dump(self.state, text)

    def put(self, item: Object) -> None:
        """Create an object, and what the control plane makes of it."""
        kind, metadata = item["kind"].lower(), item["metadata"]
        space, name = metadata.get("namespace", ""), metadata["name"]
        if kind == "namespace":
            for made, called in (("serviceaccount", "default"), ("configmap", "kube-root-ca.crt")):
                self.objects[f"{made} {name} {called}"] = {"kind": made, "metadata": {"name": called}}
        if kind == "widget":
            self.check(item)
        if kind == "deployment":
            self.roll_out(item)
        self.objects[f"{kind} {space} {name}"] = item

    def check(self, widget: Object) -> None:
        definition = self.objects.get("customresourcedefinition  widgets.example.com")
        if definition is None:
            raise Refused("no matches for kind Widget")
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        size = schema["properties"]["size"]
        if self.fault != "schema":
            found = widget["spec"].setdefault("size", size["default"])
            if found < size["minimum"]:
                raise Refused(f"spec.size in body should be greater than or equal to {size['minimum']}")

    def roll_out(self, deployment: Object) -> None:
        wanted = deployment["spec"]["replicas"]
        deployment["metadata"]["generation"] = 1
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), wanted)
        deployment["status"] = {"observedGeneration": 1, **counts}
        for _ in range(wanted):
            self.start_pod(deployment["metadata"], deployment["spec"]["template"])

    def start_pod(self, owner: Object, template: Object) -> None:
        self.state["pods"] += 1
        number = self.state["pods"]
        node = template["spec"].get("nodeName") or self.free_node()
        self.objects[f"pod {owner['namespace']} {owner['name']}-{number}"] = {
            "kind": "Pod",
            "metadata": {
                "name": f"{owner['name']}-{number}",
                "namespace": owner["namespace"],
                "labels": template["metadata"]["labels"],
            },
            "spec": {**template["spec"], "nodeName": node},
            "status": {
                "phase": "Running",
                "podIP": f"10.244.0.{number}",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"ready": True, "state": {}}],
            },
        }

    def free_node(self) -> str:
        return [node for node, usable in self.state["nodes"].items() if usable][-1]

    def drain(self, node: str, selector: str) -> None:
        self.state["nodes"][node] = False
        for key, pod in list(self.find(["pod"], labels=selector)):
            if pod["spec"]["nodeName"] != node:
                continue
            del self.objects[key]
            if self.fault != "scheduling":
                owner = {"name": pod["metadata"]["labels"]["app"], "namespace": pod["metadata"]["namespace"]}
                spec = {name: value for name, value in pod["spec"].items() if name != "nodeName"}
                self.start_pod(owner, {"metadata": pod["metadata"], "spec": spec})

    def find(
        self, kinds: list[str], name: str = "", space: str | None = None, labels: str = ""
    ) -> Iterator[tuple[str, Object]]:
        """Yield the objects that fit; every filter may be empty."""
        key, _, value = labels.partition("=")
        for at, item in self.objects.items():
            kind, within, called = at.split(" ")
            held = item["metadata"].get("labels", {})
            labelled = not labels or held.get(key) == value
            if kind in kinds and space in (None, within) and name in ("", called) and labelled:
                yield at, item

    def answer(self, url: str) -> str:
        """Return what a pod's web server says: the name of its pod."""
        address = url.removeprefix("http://").partition(":")[0]
        if self.fault != "network":
            for _, pod in self.find(["pod"]):
                if pod["status"]["podIP"] == address:
                    return str(pod["metadata"]["name"])
        raise Refused("wget: download timed out")


def kind_of(word: str) -> str:
    word = word.removesuffix("s")
    return SHORT.get(word, word)


def get(cluster: Cluster, words: list[str], space: str | None, labels: str) -> Object:
    if "/" in words[0]:
        pairs = [word.split("/") for word in words]
        return {"items": [item for kind, name in pairs for _, item in cluster.find([kind], name, space)]}
    kinds, name = [kind_of(word) for word in words[0].split(",")], "".join(words[1:])
    if kinds == ["widget"] and not list(cluster.find(["customresourcedefinition"])):
        raise Refused("the server doesn't have a resource type widgets")
    found = [item for _, item in cluster.find(kinds, name, space, labels)]
    if name and not found:
        raise Refused(f"{words[0]} {name} not found")
    return found[0] if name else {"items": found}


def delete(cluster: Cluster, kind: str, name: str, space: str | None) -> None:
    for key, _ in list(cluster.find([kind], name, space)):
        del cluster.objects[key]
    if kind == "namespace":
        for key in [key for key in cluster.objects if key.split(" ")[1] == name]:
            del cluster.objects[key]


def run(cluster: Cluster, argv: list[str]) -> str:
    """Do what is asked, and return what is printed."""
    parser = argparse.ArgumentParser()
    for option in ("-n", "-l", "-o", "-f", "--pod-selector"):
        parser.add_argument(option)
    end = argv.index("--") if "--" in argv else len(argv)
    given, rest = parser.parse_known_args(argv[:end])
    verb, *words = [word for word in rest if not word.startswith("-")]
    if verb == "apply":
        import yaml

        document = yaml.safe_load(sys.stdin.read())
        for item in document["items"] if document["kind"] == "List" else [document]:
            cluster.put(item)
    elif verb == "get":
        return json.dumps(get(cluster, words, given.n, given.l or ""))
    elif verb == "delete":
        delete(cluster, kind_of(words[0]), words[1], given.n)
    elif verb == "taint":
        cluster.state["nodes"][words[1]] = words[2].endswith("-")
    elif verb == "drain":
        cluster.drain(words[0], given.pod_selector)
    elif verb == "exec":
        return cluster.answer(argv[-1])
    else:
        raise Refused(f"unscripted: {' '.join(argv)}")
    return ""


def main() -> None:
    # The first two say which cluster, and how long at most.
    argv = sys.argv[3:]
    cluster = Cluster(os.path.join(HERE, "cluster.json"))
    try:
        print(run(cluster, argv), end="")
    except Refused as refused:
        sys.exit(f"Error from server: {refused}")
    cluster.keep()
