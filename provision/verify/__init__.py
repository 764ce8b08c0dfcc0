"""`kubelab verify`: the run of the checks, and what they said."""
