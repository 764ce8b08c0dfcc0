"""Whether the container runtime of a node answers by CRI, as kubeadm and the kubelet ask it."""

from __future__ import annotations

from provision.kubeadm.documents import SOCKET

TRIES = 60


def wait_for_runtime() -> str:
    """Return a script that waits until the runtime says its version by CRI, for a minute or a few.

    It fails with the last lines of containerd's journal. The question is the call Version of gRPC: a
    frame of five zero bytes is an empty message.
    """
    return f"""
answers() {{
    printf '\\0\\0\\0\\0\\0' | curl --silent --max-time 10 --noproxy '*' --http2-prior-knowledge \\
        --unix-socket {SOCKET.removeprefix("unix://")} --data-binary @- --output /dev/null --dump-header - \\
        --header 'Content-Type: application/grpc' --header 'TE: trailers' \\
        http://localhost/runtime.v1.RuntimeService/Version | grep -q '^grpc-status: 0'
}}
tries=0
until answers; do
    tries=$((tries + 1))
    if [ $tries -ge {TRIES} ]; then
        journalctl -u containerd --no-pager -n 20 >&2
        echo "the container runtime of this node does not answer by CRI" >&2
        exit 1
    fi
    sleep 1
done
"""
