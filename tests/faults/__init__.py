"""Faults on purpose: the real kubelab over stub programs and nodes in this process, broken in every way."""
