"""The output of commands: on a terminal, as plain lines, as JSON events, and in the run log."""
