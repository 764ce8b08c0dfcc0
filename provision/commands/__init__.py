"""The subcommands, one file each; every file has a `command`."""
