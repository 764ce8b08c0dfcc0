"""What a command tells its user: on a terminal, as plain lines, as JSON events, and in the run log."""
