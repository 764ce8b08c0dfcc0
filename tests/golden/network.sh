# Routes to the other nodes' pods, and masquerading of what leaves the lab. Runs at every boot, and again without harm.
# A service that kube-proxy does not know, or not yet, is refused: what is asked of it would leave the lab, and wait long.
# Routes to nodes that were removed from the lab go.
ip route replace 10.244.11.0/24 via 192.168.60.11
ip route replace 10.244.22.0/24 via 192.168.60.22
ip route show root 10.244.0.0/16 | while read -r range word address rest; do
  case "$word $range $address" in
  "via 10.244.11.0/24 192.168.60.11") ;;
  "via 10.244.22.0/24 192.168.60.22") ;;
  "via "*) ip route delete "$range" via "$address" ;;
  esac
done
nft -f - <<'RULES'
table ip kubelab
delete table ip kubelab
table ip kubelab {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.244.21.0/24 ip daddr != 10.244.0.0/16 oifname != "cni0" masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ip daddr 10.96.0.0/12 reject
  }
}
RULES
