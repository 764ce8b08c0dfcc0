"""Repairs a cluster after a restore: clocks, certificates, heartbeats, routes, tokens and pods."""
