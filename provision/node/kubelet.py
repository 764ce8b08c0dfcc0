"""The kubelet's health endpoint, queried on its node."""

from __future__ import annotations

HEALTH_SECONDS = 10
# Prints "HTTP/1.0 200 OK"; curl would take half a second to start where the CPU is emulated.
HEALTHZ = (
    f"timeout {HEALTH_SECONDS} bash -c 'exec 3<>/dev/tcp/127.0.0.1/10248 && "
    'printf "GET /healthz HTTP/1.0\\r\\n\\r\\n" >&3 && read -r line <&3 && echo "$line"\' 2>/dev/null || true'
)
