"""kubeadm: its documents, its settings for slow machines, and the unit it runs in."""
