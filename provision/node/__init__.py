"""What is done on one node, over a Runner."""
