"""The steps of `kubelab up`, in order."""

from __future__ import annotations

from provision.engine.steps import Step, Together
from provision.lab.context import Context
from provision.steps.addons import AddonImagesStep, AddonsStep
from provision.steps.anew import AnewStep
from provision.steps.artifacts import BoxStep, BundleStep
from provision.steps.cni import CniCheckStep, CniStep
from provision.steps.control_plane import ControlPlaneStep
from provision.steps.decision import DecisionStep
from provision.steps.host import HostStep
from provision.steps.join import JoinStep
from provision.steps.leave import LeaveStep
from provision.steps.machines import MachinesStep, NetworkStep, VagrantfileStep
from provision.steps.marks import MarksStep
from provision.steps.members import MembersStep
from provision.steps.nodes import NodesStep
from provision.steps.ports import PortsStep
from provision.steps.provision import ProvisionStep
from provision.steps.ready import ReadyStep
from provision.steps.resolvers import ResolversStep
from provision.steps.serving import ServingStep
from provision.steps.sizes import SizesStep
from provision.steps.snapshot import SnapshotStep

UP: tuple[Step[Context] | Together[Context], ...] = (
    HostStep(),
    DecisionStep(),
    BundleStep(),
    CniCheckStep(),
    AddonImagesStep(),
    BoxStep(),
    # Before Vagrant forgets the machines of those that go.
    LeaveStep(),
    AnewStep(),
    VagrantfileStep(),
    NetworkStep(),
    SizesStep(),
    MachinesStep(),
    NodesStep(),
    ProvisionStep(),
    # The workers' join waits by itself for what the control plane has not made yet.
    Together(ControlPlaneStep(), JoinStep()),
    MembersStep(),
    ResolversStep(),
    # It starts kubelets again; what follows waits until their nodes are Ready.
    ServingStep(),
    Together(CniStep(), MarksStep(), ReadyStep()),
    AddonsStep(),
    SnapshotStep(),
    PortsStep(),
)
