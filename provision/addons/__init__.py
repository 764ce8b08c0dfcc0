"""What a lab has beside its cluster: one file an add-on."""
