"""Pod networks: one file a CNI."""
