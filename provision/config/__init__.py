"""lab.yaml: its schema, its values, and the nodes it describes."""
