"""lab.yaml from the cluster files of other tools."""
