"""Hypervisors and their machines."""
