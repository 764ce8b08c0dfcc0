"""`kubelab status`: what there is, what is wrong with it, and how it is shown."""
