"""`kubelab bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, reporting

if TYPE_CHECKING:
    from provision.addons.base import Addon
    from provision.artifacts.base import Artifacts
    from provision.artifacts.plan import Planned
    from provision.report.base import Reporter


@click.group("bundle", short_help="Create and show bundles of Kubernetes.")
def command() -> None:
    """A bundle is a folder with everything of Kubernetes: programs, images, and an index with digests."""


@command.command("create")
@click.option("--kubernetes", help="The version, instead of the one in lab.yaml.")
@click.option("--into", type=click.Path(path_type=Path), help="Also copy it to this new folder.")
@click.option("--dry-run", is_flag=True, help="Only list what would be fetched; fetches nothing.")
@common_options
def create(options: Options, kubernetes: str | None, into: Path | None, dry_run: bool) -> None:
    """Create the bundle that the lab needs, and the images of its add-ons, unless they are in the cache."""
    import shutil

    from provision.artifacts.source.programs import FOLDER
    from provision.errors import ConfigError
    from provision.lab.artifacts import build
    from provision.report.text import size

    with reporting(options) as report:
        if dry_run:
            artifacts, asked = _chosen(options, kubernetes, report, foresee=True)
            programs = [addon.programs() for addon in _addons(options)]
            missing = [item for each in programs if each.find() is None for item in each.plan()]
            _tell_plan(artifacts, [*asked, *artifacts.plan(), *missing], report)
            return
        artifacts, _ = _chosen(options, kubernetes, report)
        if into is not None and into.exists():
            raise ConfigError(
                f"{into} already exists", key="--into", hint="name a folder that does not exist"
            )
        _, bundle = build(artifacts, report, options.cancel)
        addons = _addons(options)
        images = [each.programs().build(report, options.cancel) for each in addons]
        if into is not None:
            shutil.copytree(bundle.root, into)
            for made in images:
                shutil.copytree(made.root, into / FOLDER / made.recipe)
        folder = into or bundle.root
        report.info(f"Kubernetes {bundle.kubernetes}: {folder} ({size(bundle.size)})")
        report.result({"folder": str(folder), "kubernetes": bundle.kubernetes, "digest": bundle.digest})


@command.command("show")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--kubernetes", help="The version, instead of the one in lab.yaml.")
@common_options
def show(options: Options, folder: Path | None, kubernetes: str | None) -> None:
    """Show the contents of the lab's bundle, or of the one in FOLDER, and check every file's digest."""
    from provision.artifacts.bundle import Bundle
    from provision.errors import LabError
    from provision.report.text import size

    with reporting(options) as report:
        bundle = Bundle.open(folder) if folder else _chosen(options, kubernetes, report)[0].find()
        if bundle is None:
            raise LabError("the lab's bundle is not in the cache", hint="kubelab bundle create")
        bundle.verify()
        rows = [
            [entry.kind, entry.ref or entry.path, entry.version, size(entry.size), entry.sha256[:12]]
            for entry in bundle.entries
        ]
        report.table(f"Kubernetes {bundle.kubernetes}", ["kind", "name", "version", "size", "sha256"], rows)
        report.info(f"{bundle.root}: {size(bundle.size)} from {bundle.source}, all digests match")
        names = ("path", "ref", "sha256", "digest")
        files = [{name: getattr(entry, name) for name in names} for entry in bundle.entries]
        report.result({"folder": str(bundle.root), "digest": bundle.digest, "files": files})


def _chosen(
    options: Options, kubernetes: str | None, report: Reporter, *, foresee: bool = False
) -> tuple[Artifacts, list[Planned]]:
    """Return where the lab's bundle comes from, or that of another version: a lab need not be there.

    With `foresee` no site is asked, and what would be is returned beside it.
    """
    from provision.config.schema import parse_config
    from provision.lab.artifacts import choose_for, foresee_for
    from provision.lab.opening import read_lab
    from provision.workspace import Workspace

    config, workspace = parse_config("name: lab"), Workspace(Path.cwd(), "lab")
    if options.file.exists() or kubernetes is None:
        config, workspace = read_lab(options.file)
    if kubernetes is not None:
        named = parse_config(f'name: lab\nkubernetes: "{kubernetes}"\n')
        config = config.model_copy(update={"kubernetes": named.kubernetes})
    if foresee:
        return foresee_for(config, workspace, report)
    return choose_for(config, workspace, report).artifacts, []


def _addons(options: Options) -> list[Addon]:
    """Return the add-ons of lab.yaml, if there is one."""
    from provision.addons.choose import addons_of
    from provision.config.schema import load_config

    return addons_of(load_config(options.file).addons) if options.file.exists() else []


def _tell_plan(artifacts: Artifacts, planned: list[Planned], report: Reporter) -> None:
    from dataclasses import asdict

    from provision.artifacts.plan import hosts_of

    if planned:
        rows = [[item.kind, item.where, item.note] for item in planned]
        title = f"What would be fetched for Kubernetes {artifacts.kubernetes} ({artifacts.kind})"
        report.table(title, ["kind", "what", "note"], rows)
        report.info(f"hosts: {', '.join(hosts_of(planned))}")
    else:
        report.info(f"nothing would be fetched: the bundle of Kubernetes {artifacts.kubernetes} is there")
    report.result({"kubernetes": artifacts.kubernetes, "fetch": [asdict(item) for item in planned]})
