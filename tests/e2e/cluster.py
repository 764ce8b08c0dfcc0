"""The cluster under test, through the same command line a user has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from provision.cluster import health
from provision.errors import LabError
from provision.lab.context import Context
from provision.lab.opening import open_lab, read_lab
from provision.report.base import RecordingReporter

KUBELAB = [sys.executable, "-m", "provision"]


@dataclass(frozen=True)
class Cluster:
    """A lab in a folder of its own."""

    folder: Path

    @classmethod
    def of(cls, folder: Path, lab_file: Path) -> Cluster:
        """Return the lab of a copy of `lab_file` in `folder`; nothing of it is there yet."""
        made = cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(lab_file, folder / "lab.yaml")
        made.kubelab("destroy")
        return made

    @property
    def context(self) -> Context:
        config, workspace = read_lab(self.folder / "lab.yaml")
        return open_lab(config, workspace, RecordingReporter(), threading.Event())

    def kubelab(self, *arguments: str, check: bool = True) -> str:
        """Run a kubelab command in the lab's folder; what it says is also the test's own output."""
        code, said = self.ended(*arguments)
        if check and code != 0:
            raise AssertionError(f"kubelab {' '.join(arguments)} ended with exit code {code}")
        return said

    def ended(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run a kubelab command in the lab's folder; return its exit code and what it said."""
        print(f"$ kubelab {' '.join(arguments)}", flush=True)
        ended = subprocess.run(
            [*KUBELAB, *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        print(ended.stdout, flush=True)
        return ended.returncode, ended.stdout

    def edit(self, text: str) -> None:
        """Write the lab's lab.yaml with the keys of `text`, which is YAML, in place of those that it has."""
        file = self.folder / "lab.yaml"
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        _merge(document, yaml.safe_load(text))
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def up_killed_in(self, step: str) -> None:
        """Run `kubelab up`, and end it without a chance to tidy up as soon as it begins `step`."""
        print(f"$ kubelab up, killed in {step}", flush=True)
        process = subprocess.Popen(
            [*KUBELAB, "up", "--json"], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                event = json.loads(line)
                if event["event"] == "step_started" and event["id"] == step:
                    break
            else:
                raise AssertionError(f"`up` ended before it came to {step}")
            process.kill()
        process.wait()

    def events(self, *arguments: str, check: bool = True) -> list[dict[str, Any]]:
        """Run a kubelab command with --json; return its events."""
        return [json.loads(line) for line in self.kubelab(*arguments, "--json", check=check).splitlines()]

    def tell_why(self) -> None:
        """Print what explains a failure: run logs, pods, what containers said, the nodes' journals."""
        for log in sorted((self.folder / ".kubelab").glob("*/run.log*")):
            print(f"----- {log.name}\n{log.read_text(errors='replace')[-20000:]}")
        logs = ["logs", "--namespace=kube-system", "--selector=tier=control-plane", "--prefix", "--tail=60"]
        for arguments in (["get", "nodes,pods", "-A", "-o", "wide"], ["get", "events", "-A"], logs):
            print(f"----- kubectl {' '.join(arguments)}")
            self.kubelab("kubectl", "--", *arguments, check=False)
        for namespace, pod in self._restarted():
            print(f"----- {pod} before it restarted")
            last = ["logs", "--namespace", namespace, pod, "--all-containers", "--previous", "--tail=40"]
            self.kubelab("kubectl", "--", *last, check=False)
        for node in self.context.inventory.nodes:
            print(f"----- journal of {node.name}")
            self.kubelab(
                "ssh",
                node.name,
                "--",
                "sudo",
                "journalctl",
                "--no-pager",
                "-b",
                "-p",
                "5",
                "-n",
                "150",
                check=False,
            )

    def _restarted(self) -> list[tuple[str, str]]:
        """Return namespace and name of the pods with a container that restarted."""
        try:
            pods = self.context.kubectl.items("pods", "--all-namespaces")
        except LabError as error:
            print(error)
            return []
        return [
            (pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods if health.restarts(pod)
        ]

    def destroy(self) -> None:
        self.kubelab("destroy")
        shutil.rmtree(self.folder)


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
