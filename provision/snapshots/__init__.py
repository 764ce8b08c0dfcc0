"""Snapshots of a whole lab: save, restore, delete, list."""
