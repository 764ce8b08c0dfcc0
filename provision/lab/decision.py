"""What the open values of a lab.yaml came to, kept with the lab so that it stays the same lab.

`auto` and a minor version are decided by what can be had at that time. A site that comes or goes, or another
lab that fills the cache, must not change a lab that is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from provision.artifacts.base import Artifacts
from provision.config import kubernetes_versions
from provision.config.artifacts import ArtifactsConfig
from provision.config.cni import CniConfig
from provision.config.packages import MOST, PACKAGE
from provision.config.schema import ClusterConfig
from provision.errors import LabError
from provision.extensions import CNIS
from provision.host.files import write_atomic
from provision.host.records import read_record

# A bundle that the user gives may be of a release candidate.
VERSION = r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,4}([-+][0-9A-Za-z.+-]{1,40})?$"
RANGE = r"^([0-9.]{7,15}/[0-9]{1,2})?$"
Package = Annotated[str, StringConstraints(pattern=rf"^{PACKAGE}$")]
# Where a bundle comes from that `artifacts: auto` may choose.
BY_AUTO = ("release", "source")


class Decision(BaseModel):
    """The exact version, where its bundle comes from and which it is (its key), and the CNI's name.

    The ranges of pods and services are kept for a lab that is off: only its cluster knows them else. They are
    empty where an older kubelab decided. The packages of lab.yaml are kept for their names: a machine's box
    says no more than whether they are others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    kubernetes: Annotated[str, StringConstraints(pattern=VERSION)]
    artifacts: Literal["release", "source", "mirror", "bundle"]
    bundle: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    cni: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9]{0,39}$")]
    pods: Annotated[str, StringConstraints(pattern=RANGE)] = ""
    services: Annotated[str, StringConstraints(pattern=RANGE)] = ""
    packages: Annotated[tuple[Package, ...], Field(max_length=MOST)] = ()

    @classmethod
    def of(cls, artifacts: Artifacts, cni: str, config: ClusterConfig) -> Decision:
        """Return the decision for a bundle, a CNI, and the ranges and packages of a lab."""
        return cls.model_validate(
            {
                "kubernetes": artifacts.kubernetes,
                "artifacts": artifacts.kind,
                "bundle": artifacts.key,
                "cni": cni,
                "pods": str(config.network.pods),
                "services": str(config.network.services),
                "packages": config.packages,
            }
        )

    def fits(self, config: ClusterConfig) -> bool:
        """Return whether lab.yaml still asks for the version that was decided."""
        return kubernetes_versions.fits(self.kubernetes, config.kubernetes)

    def follow(self, config: ClusterConfig) -> ClusterConfig:
        """Return the configuration with its open values as they were decided; what it names itself stays."""
        changes: dict[str, object] = {"kubernetes": self.kubernetes}
        if config.artifacts.kind == "auto" and self.artifacts in BY_AUTO:
            changes["artifacts"] = ArtifactsConfig.model_validate(self.artifacts)
        if config.cni.name == "auto" and self.cni in CNIS:
            changes["cni"] = CniConfig(name=self.cni)
        return config.model_copy(update=changes)

    def write(self, path: Path) -> None:
        """Write it to `path`, whole or not at all."""
        write_atomic(path, self.model_dump_json(indent=2) + "\n")


def read_decision(path: Path) -> Decision | None:
    """Return the decision that is kept in `path`, None without one; raises LabError for anything else."""
    try:
        return read_record(path, Decision)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabError(
            f"{path} is not what kubelab wrote there ({error})", hint="delete it: it is decided anew"
        ) from None
