"""An opened lab: its configuration, and access to its machines and cluster."""
