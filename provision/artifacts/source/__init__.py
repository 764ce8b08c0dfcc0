"""Kubernetes built from Go modules."""
