"""Where Kubernetes comes from: bundles of programs and images, and how they are made."""
