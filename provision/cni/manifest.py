"""What the CNIs have in common that are applied as Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from provision.artifacts.bundle import Bundle, Entry
from provision.artifacts.wanted import Wanted, WantedFile
from provision.cluster.kubectl import Kubectl
from provision.cluster.objects import write_all
from provision.cni.base import Files, Site
from provision.cni.documents import Document, images_of, one_per_tag, parse, workloads_of
from provision.cni.installed import Record, look, refuse_change
from provision.config.cni import CniConfig
from provision.config.inventory import Inventory, Node
from provision.config.schema import ClusterConfig
from provision.errors import ConfigError

HINT = "a bundle made with artifacts: release or {mirror: URL} holds it; without the internet use cni: bridge"


def file_of(bundle: Bundle, name: str) -> Entry | None:
    """Return the plain file of the bundle with that name, or None without it."""
    return next((entry for entry in bundle.manifests() if Path(entry.path).name == name), None)


def required_file(bundle: Bundle, name: str) -> Path:
    """Return where a plain file of the bundle lies; raises ConfigError without it."""
    found = file_of(bundle, name)
    if found is None:
        raise ConfigError(f"the bundle {bundle.root} has no {name}", key="cni", hint=HINT)
    return bundle.path(found)


class ManifestCni:
    """A CNI of one version whose objects come from a file of the bundle; `validate` where a user wrote it.

    `checksums` are those of the file at `url`, by version with its v. None are published beside it: these are
    what several public projects pin for it, each on its own. `default_version` is one of them.
    """

    name = ""
    url = ""
    default_version = ""
    checksums: ClassVar[Mapping[str, str]] = {}
    enforces_policies = False
    known_images: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    settle_seconds = 60.0
    validate: ClassVar[bool] = False

    def __init__(self, settings: CniConfig) -> None:
        self.settings = settings
        self.name = settings.name

    @property
    def version(self) -> str:
        """Return the version with its v, such as "v3.33.1"."""
        given = self.settings.version or self.default_version
        return f"v{given.removeprefix('v')}" if given else ""

    @property
    def sha256(self) -> str | None:
        """Return what the file must be: as lab.yaml says, else as is known of its version."""
        return self.settings.sha256 or self.checksums.get(self.version)

    def file(self) -> WantedFile:
        """Return the file that its objects come from."""
        url = self.url.format(version=self.version)
        return WantedFile(url, f"{self.name}-{self.version}.yaml", self.sha256)

    def documents(self, site: Site, published: Sequence[Document]) -> list[Document]:
        """Return the objects for this lab; a pure function of the published ones."""
        raise NotImplementedError

    def wanted(self) -> Wanted:
        """Return the file; only that knows the images, but for the file of a known checksum."""
        foreseen = () if self.settings.values else self.known_images.get(self.version, ())
        return Wanted(files=(self.file(),), foreseen=foreseen)

    def read(self, files: Files, site: Site | None = None) -> list[Document]:
        """Return the published objects; `site` is for those that are rendered for a lab."""
        path = files(self.file().name)
        try:
            return parse(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ConfigError(f"{path}: {error}", key=self._key) from error

    def images(self, files: Files) -> tuple[str, ...]:
        """Return the references of all its images."""
        return one_per_tag(images_of(self.read(files)))

    def required(self, files: Files) -> tuple[str, ...]:
        """Return the references of the images that must be in the bundle, wherever they come from."""
        return self.images(files)

    def check(self, bundle: Bundle) -> None:
        """Raise ConfigError if the bundle lacks the file or an image."""
        missing = []
        for file in self.wanted().files:
            entry = file_of(bundle, file.name)
            if entry is None:
                missing.append(f"the file {file.name}")
            elif file.sha256 not in {None, entry.sha256}:
                raise ConfigError(
                    f"{bundle.path(entry)} is not what it should be: expected sha256:{file.sha256},"
                    f" got sha256:{entry.sha256}",
                    key=self._key,
                    hint="kubelab bundle create; or say in cni.sha256 that this is the one you want",
                )
        if not missing:
            images = self.required(partial(required_file, bundle))
            missing = [f"the image {ref}" for ref in images if not bundle.has_image(ref)]
        if missing:
            raise ConfigError(
                f"the bundle of Kubernetes {bundle.kubernetes} (made from {bundle.source}) lacks what"
                f" {self.name} needs, and nodes download nothing: {', '.join(missing)}",
                key=self._key,
                hint=self._hint({entry.ref for entry in bundle.images()}),
            )

    def node_files(self, config: ClusterConfig, inventory: Inventory, node: Node) -> Mapping[str, str]:
        """Return none: its pods bring them."""
        return {}

    def is_installed(self, kubectl: Kubectl, site: Site) -> bool:
        """Return whether the cluster has this manifest, with all of its workloads; raises ConfigDrift."""
        found = look(kubectl)
        refuse_change(self.settings, found)
        record = found.record
        if record is None or (record.name, record.digest) != (self.name, self.digest()):
            return False
        return found.has(record.workloads)

    def install(self, kubectl: Kubectl, site: Site) -> None:
        """Apply the objects for this lab, and write down what was."""
        documents = self.documents(site, self.read(site.files, site))
        write_all(kubectl, documents, validate=self.validate)
        workloads = tuple(sorted(workloads_of(documents)))
        Record(self.name, self.version, self.digest(), self.settings.values, workloads).write(kubectl)

    def digest(self) -> str:
        """Return what tells a changed manifest of the same version: nothing, unless it is a user's."""
        return ""

    @property
    def _key(self) -> str:
        return "cni"

    def _hint(self, there: set[str]) -> str:
        return HINT
