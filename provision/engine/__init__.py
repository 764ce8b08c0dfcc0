"""How work is done: steps in order, nodes at once, and waiting with a deadline."""
