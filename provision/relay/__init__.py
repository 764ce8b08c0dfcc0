"""Ports of the host that lead to a lab: a process of the lab's own listens there, and outlives kubelab."""
