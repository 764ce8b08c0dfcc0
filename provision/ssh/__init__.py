"""SSH to the nodes: connections, shells, keys, and who is who."""
