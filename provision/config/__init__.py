"""lab.yaml: what it may say, and the nodes that follow from it."""
