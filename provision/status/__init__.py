"""`kubelab status`: the state of machines, nodes and pods, and what is wrong."""
