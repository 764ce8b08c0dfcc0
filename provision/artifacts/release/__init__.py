"""Kubernetes as the project releases it, from its own sites or a mirror of them."""
