"""Extension points: what lab.yaml may name, each a class that is imported only when it is used.

Any installed Python package can add to them, by entry points of the same groups. For example, in its
pyproject.toml: [project.entry-points."kubelab.cnis"] and below it antrea = "kubelab_antrea:Antrea".
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from provision.errors import LabError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Registry:
    """The names of one kind of thing. `own` is name -> "module:Class" of kubelab itself.

    `group` is the entry point group of other packages, `kind` what messages call one.
    """

    group: str
    kind: str
    own: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names, kubelab's own first."""
        return iter((*self.own, *self.added()))

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.added()

    def added(self) -> list[str]:
        """Return the names that only other packages have; none of them is imported for that."""
        return sorted({point.name for point in self._points()} - set(self.own))

    def make(self, name: str, interface: type, *arguments: Any) -> Any:
        """Return what `name` stands for, made with `arguments`; it has all that `interface` has.

        Raises LabError for a name that two packages claim, and for a package that is broken.
        """
        points = [point for point in self._points() if point.name == name]
        owners = ["kubelab"] * (name in self.own) + sorted(_package(point) for point in points)
        if len(owners) > 1:
            raise LabError(
                f"{' and '.join(owners)} each have a {self.kind} called {name}",
                hint=f"uninstall one of them: pip uninstall {owners[-1]}",
            )
        if not points:
            return pkgutil.resolve_name(self.own[name])(*arguments)
        try:
            made = points[0].load()(*arguments)
        except LabError:
            raise
        except Exception as error:
            raise self._broken(points[0], f"{type(error).__name__}: {error}") from error
        names = [*inspect.get_annotations(interface), *vars(interface)]
        missing = [name for name in names if not name.startswith("_") and not hasattr(made, name)]
        if missing:
            raise self._broken(points[0], f"it lacks {', '.join(missing)}")
        return made

    def template_package(self, name: str) -> str:
        """Return the Python package whose templates belong to `name`; empty for kubelab's own."""
        modules = [point.module for point in self._points() if point.name == name]
        return modules[0].partition(".")[0] if modules else ""

    def _points(self) -> tuple[EntryPoint, ...]:
        return installed(self.group, tuple(sys.path))

    def _broken(self, point: EntryPoint, why: str) -> LabError:
        package = _package(point)
        return LabError(
            f"the {self.kind} {point.name} of the Python package {package} cannot be used: {why}",
            hint=f"update it (pip install --upgrade {package}), or report this to its authors",
        )


# Reading what every installed package says takes 7 ms, and lab.yaml's schema asks some ten times.
@cache
def installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of `group`, as the packages on `path` had them at the first question."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


PROVIDERS = Registry(
    "kubelab.providers",
    "provider",
    {
        "libvirt": "provision.providers.libvirt.provider:Libvirt",
        "virtualbox": "provision.providers.virtualbox.provider:VirtualBox",
        "hosts": "provision.providers.planned:Hosts",
    },
)
# By the name of their provider; one that is not here has no snapshots.
SNAPSHOTS = Registry(
    "kubelab.snapshots",
    "snapshot backend",
    {
        "libvirt": "provision.providers.libvirt.snapshots:LibvirtSnapshots",
        "virtualbox": "provision.providers.virtualbox.snapshots:VirtualBoxSnapshots",
    },
)
CNIS = Registry(
    "kubelab.cnis",
    "CNI",
    {
        "calico": "provision.cni.calico:Calico",
        "cilium": "provision.cni.cilium:Cilium",
        "flannel": "provision.cni.flannel:Flannel",
        "bridge": "provision.cni.bridge:Bridge",
        "none": "provision.cni.none:NoCni",
    },
)
ADDONS = Registry(
    "kubelab.addons",
    "add-on",
    {
        "storage": "provision.addons.storage:Storage",
        "loadbalancer": "provision.addons.loadbalancer:LoadBalancer",
        "metrics-server": "provision.addons.metrics_server:MetricsServer",
    },
)
