module kubelab.local/pause

go 1.21
