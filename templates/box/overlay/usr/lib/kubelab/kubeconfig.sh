# Give root a kubeconfig, and on a control plane the user that logs in, who may become root anyway.
# Copies, which lab-kubeconfig.path has made again whenever certificates are renewed: what `kubectl config` writes
# into one stays out of kubeadm's own.
umask 077

give() {
    install -d -m 700 -o "$2" -g "$2" "$3/.kube"
    install -m 600 -o "$2" -g "$2" "$1" "$3/.kube/config.new"
    mv -f "$3/.kube/config.new" "$3/.kube/config"
}

if [ -s /etc/kubernetes/admin.conf ]; then
    give /etc/kubernetes/admin.conf root /root
    give /etc/kubernetes/admin.conf vagrant /home/vagrant
elif [ -s /etc/kubernetes/kubelet.conf ]; then
    # The kubelet's own rights: it reads nodes and its own pods.
    give /etc/kubernetes/kubelet.conf root /root
fi
