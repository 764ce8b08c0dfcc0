"""Bundles, and the sites where their parts come from."""
