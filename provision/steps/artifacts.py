"""The bundle and the box: where every node's Kubernetes comes from."""

from __future__ import annotations

import time

from provision.box.builder import BoxBuilder
from provision.box.metadata import write_catalog
from provision.lab.context import Context


class BundleStep:
    """Kubernetes, its images and the CNI plugins, in the cache."""

    id = "bundle"
    title = "Kubernetes bundle"

    def estimate(self, ctx: Context) -> float | None:
        return 480.0

    def is_done(self, ctx: Context) -> bool:
        return ctx.find_bundle() is not None

    def apply(self, ctx: Context) -> None:
        ctx.build_bundle()

    def plan(self, ctx: Context) -> str:
        return f"get or build the bundle of Kubernetes {ctx.version}"


class BoxStep:
    """The disk image of the nodes: in the cache, known to Vagrant, and where machines are cloned from."""

    id = "box"
    title = "Node box"

    def estimate(self, ctx: Context) -> float | None:
        return 90.0

    def is_done(self, ctx: Context) -> bool:
        if len(ctx.machines.states()) == len(ctx.inventory.nodes):
            return True
        box = ctx.recipe.reference
        folder = ctx.machines.box_folder(box)
        return ctx.recipe.file.exists() and folder.exists() and ctx.provider.has_box(box, folder)

    def apply(self, ctx: Context) -> None:
        BoxBuilder(ctx.report, ctx.cancel).find_or_build(ctx.recipe, ctx.build_bundle())
        write_catalog(ctx.recipe)
        box = ctx.recipe.reference
        ctx.machines.add_box(box)
        start = time.monotonic()
        ctx.provider.upload_box(box, ctx.machines.box_folder(box))
        ctx.report.phase("upload the box", time.monotonic() - start)

    def plan(self, ctx: Context) -> str:
        return f"build the box {ctx.recipe.name} and give it to {ctx.provider.name}"
