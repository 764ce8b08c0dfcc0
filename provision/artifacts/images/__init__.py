"""Container images: archives, what goes into ours, and registries."""
