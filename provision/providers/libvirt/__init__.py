"""libvirt: machines, networks and snapshots by virsh."""
