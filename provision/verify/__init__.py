"""`kubelab verify`: runs the checks and shows their results."""
