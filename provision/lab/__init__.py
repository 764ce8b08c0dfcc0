"""A lab that is opened: its configuration with the seams to reach it."""
