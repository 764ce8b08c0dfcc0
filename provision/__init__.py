"""kubelab: one YAML file becomes a kubeadm cluster on real VMs."""

__version__ = "0.1.0"
