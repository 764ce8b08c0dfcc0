"""The add-ons of a lab, and the images that they need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from provision.addons.base import Addon, Site
from provision.addons.choose import addons_of, check
from provision.artifacts.bundle import Bundle
from provision.lab.context import Context

# As every bundle has it; the lab's own says which it is.
BUSYBOX = "docker.io/library/busybox:1.37"


def wanted(ctx: Context) -> list[Addon]:
    """Return the add-ons of lab.yaml."""
    return addons_of(ctx.config.addons)


def site_of(ctx: Context, addon: Addon) -> Site:
    """Return the lab as an add-on sees it; a bundle need not be there."""
    bundle = ctx.find_bundle()
    named = [image.ref for image in bundle.images() if image.name == "busybox"] if bundle is not None else []
    return Site(
        config=ctx.config,
        inventory=ctx.inventory,
        acceleration=ctx.acceleration,
        images=addon.programs().refs,
        busybox=next(iter(named), BUSYBOX),
    )


def rendered(ctx: Context) -> str:
    """Return the objects of all add-ons of lab.yaml as YAML; raises ConfigError for one it cannot have."""
    check(ctx.config)
    documents = [item for addon in wanted(ctx) for item in addon.documents(site_of(ctx, addon))]
    return yaml.safe_dump_all(documents, sort_keys=False)


def find_images(ctx: Context) -> list[Bundle | None]:
    """Return the images of each add-on of lab.yaml, None for one whose images are not there."""
    return found_for(wanted(ctx), ctx.find_bundle())


def found_for(addons: Sequence[Addon], bundle: Bundle | None) -> list[Bundle | None]:
    """Return the images of each add-on, beside the lab's bundle or in the cache; None where they are not."""
    beside = bundle.root if bundle is not None else None
    return [addon.programs().find(beside) for addon in addons]


def image_files(ctx: Context) -> dict[str, Path]:
    """Return reference -> archive of all images that nodes keep: those of the bundle and of the add-ons.

    None are where the bundle is not in the cache any more.
    """
    bundles = [ctx.find_bundle(), *find_images(ctx)]
    there = [bundle for bundle in bundles if bundle is not None]
    return {image.ref: bundle.path(image) for bundle in there for image in bundle.images()}
