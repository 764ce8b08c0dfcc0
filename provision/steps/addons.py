"""The add-ons: their images, before anything is made; and their objects in the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provision.addons.base import LABEL, Addon, digest_of
from provision.addons.choose import addon_of
from provision.addons.installed import Record, install, look, remove
from provision.cluster.health import Object, unready
from provision.engine.waiting import poll_until
from provision.errors import ConfigDrift, ToolFailed
from provision.extensions import ADDONS
from provision.lab.addons import find_images, site_of, wanted
from provision.lab.context import Context

# How long the pods of all add-ons may take to be Ready, on fast machines.
READY_SECONDS = 120.0
KEY = "addons"


class AddonImagesStep:
    """The images of every add-on of lab.yaml, in the cache or beside the bundle."""

    id = "addon-images"
    title = "Images of the add-ons"

    def is_done(self, ctx: Context) -> bool:
        return all(bundle is not None for bundle in find_images(ctx))

    def apply(self, ctx: Context) -> None:
        for addon, found in zip(wanted(ctx), find_images(ctx), strict=True):
            if found is None:
                addon.programs().build(ctx.report, ctx.cancel)

    def plan(self, ctx: Context) -> str:
        return f"build the images of {', '.join(ctx.config.addons)}"


class AddonsStep:
    """The cluster has the add-ons of lab.yaml, ready for use, and no others of kubelab's."""

    id = "addons"
    title = "Add-ons"

    def estimate(self, ctx: Context) -> float | None:
        return (1.0 + 10.0 * len(ctx.config.addons)) * ctx.acceleration.factor

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(120)

    def is_done(self, ctx: Context) -> bool:
        if not ctx.workspace.kubeconfig.exists():
            return not ctx.config.addons
        try:
            there = look(ctx.kubectl)
            if set(there) != set(ctx.config.addons):
                return False
            return not _differing(ctx, there) and not missing(ctx, there)
        except ToolFailed:
            return False

    def apply(self, ctx: Context) -> None:
        there, kubectl = look(ctx.kubectl), ctx.kubectl
        gone = [name for name in there if name not in ctx.config.addons]
        refuse_used(ctx, gone)
        for name in gone:
            there = remove(kubectl, name, _known(name), there)
            ctx.report.info(f"removed the add-on {name}")
        for addon in _to_install(ctx, there):
            ctx.report.progress(f"{addon.name}: writing its objects", self.id)
            there = install(kubectl, addon, site_of(ctx, addon), there)
        self._wait(ctx, there)

    def plan(self, ctx: Context) -> str:
        return f"install {', '.join(ctx.config.addons)}" if ctx.config.addons else "remove the add-ons"

    def _wait(self, ctx: Context, there: Mapping[str, Record]) -> None:
        def probe() -> bool:
            lacking = missing(ctx, there)
            if lacking:
                ctx.report.progress("; ".join(lacking), self.id)
            return not lacking

        what = f"the add-ons {', '.join(there)} to be ready"
        if there:
            poll_until(probe, what=what, deadline=ctx.scaled(READY_SECONDS), clock=ctx.clock)


def _to_install(ctx: Context, there: Mapping[str, Record]) -> list[Addon]:
    """Return the add-ons of lab.yaml that are not there as they should be, or not with all workloads."""
    if not ctx.config.addons:
        return []
    differing, found = _differing(ctx, there), _workloads(ctx)
    return [
        addon
        for addon in wanted(ctx)
        if addon in differing or not set(there[addon.name].workloads) <= found.keys()
    ]


def missing(ctx: Context, there: Mapping[str, Record]) -> list[str]:
    """Return what the add-ons of a cluster lack to be of use; raises ToolFailed."""
    if not there:
        return []
    found = _workloads(ctx)
    names = [name for record in there.values() for name in record.workloads]
    lacking = [f"{name} is not there" for name in names if name not in found]
    own = [addon.missing(ctx.kubectl) for addon in map(_known, there) if addon is not None]
    return [*lacking, *unready(list(found.values())), *(text for texts in own for text in texts)]


def _workloads(ctx: Context) -> dict[str, Object]:
    """Return the workloads of all add-ons, by "namespace/kind/name"."""
    found = ctx.kubectl.items("deployments,daemonsets", "--all-namespaces", f"--selector={LABEL}")
    return {
        f"{item['metadata']['namespace']}/{item['kind']}/{item['metadata']['name']}": item for item in found
    }


def refuse_used(ctx: Context, names: Iterable[str]) -> None:
    """Raise ConfigDrift where data in the cluster would be lost with one of the add-ons `names`."""
    for name in names:
        addon = _known(name)
        users = addon.users(ctx.kubectl) if addon is not None else []
        if users:
            raise ConfigDrift(
                f"{name} is not removed: {', '.join(users)} would lose what is in them",
                key=KEY,
                hint=f"delete them first, or keep {name} in lab.yaml",
            )


def _differing(ctx: Context, there: Mapping[str, Record]) -> list[Addon]:
    """Return the add-ons of lab.yaml that the cluster has not, or not as they are for this lab."""
    digests = {addon.name: digest_of(addon.documents(site_of(ctx, addon))) for addon in wanted(ctx)}
    here = {name: record.digest for name, record in there.items()}
    return [addon for addon in wanted(ctx) if here.get(addon.name) != digests[addon.name]]


def _known(name: str) -> Addon | None:
    """Return the add-on called `name`; None for one of a Python package that is gone."""
    return addon_of(name) if name in ADDONS else None
