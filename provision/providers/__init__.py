"""Hypervisors: one file a provider."""
