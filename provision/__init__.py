"""kubelab: one YAML file becomes a kubeadm cluster on real VMs."""

__version__ = "0.1.0"
# The command, and the environment variable by which a shell asks it to complete a word.
PROGRAM = "kubelab"
COMPLETE = "_KUBELAB_COMPLETE"
