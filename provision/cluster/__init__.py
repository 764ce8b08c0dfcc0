"""The Kubernetes API: kubectl, the kubeconfig, health, and what is missing until all is ready."""
