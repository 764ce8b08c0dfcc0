"""pytest fixtures for a lab: its nodes as testinfra hosts, its kubectl, namespaces and snapshots."""
