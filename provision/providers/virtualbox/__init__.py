"""VirtualBox: machines, networks and snapshots by VBoxManage."""
