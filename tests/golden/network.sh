# Routes to the other nodes' pods, and masquerading of what leaves the lab. Runs at every boot, and again without harm.
ip route replace 10.244.11.0/24 via 192.168.60.11
ip route replace 10.244.22.0/24 via 192.168.60.22
nft -f - <<'RULES'
table ip kubelab
delete table ip kubelab
table ip kubelab {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.244.21.0/24 ip daddr != 10.244.0.0/16 oifname != "cni0" masquerade
  }
}
RULES
