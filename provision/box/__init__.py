"""Boxes: the disk image every node starts from."""
