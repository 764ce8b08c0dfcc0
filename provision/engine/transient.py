"""Whether what went wrong passes by itself, so that the same is worth trying again. Pure."""

from __future__ import annotations

from provision.errors import CommandFailed, LabError, NodesError, RemoteError, ToolFailed, VagrantError
from provision.reasons import telling, without_noise

# Phrases of kubeadm, kubectl, etcd, gRPC, paramiko and our own, in small letters.
_TOO_SLOW = (
    "timed out",
    "timeout",
    "deadline exceeded",
    "deadlineexceeded",
    "would exceed context deadline",
    "in the time allotted",
    "did not end within",
    "no answer within",
)
_NOT_LISTENING = (
    "connection refused",
    "was refused - did you",
    "connection reset",
    "broken pipe",
    ": eof",
    "unexpected eof",
    "connection lost",
    "connection closed",
    "connection broke",
    "closed the connection",
    "no route to host",
    "no ssh session",
    "no existing session",
    "error reading ssh protocol banner",
    "root shell ended",
    "internal_error; received from peer",
    "server sent goaway",
    "code = unavailable",
)
_TOO_BUSY = (
    "(timeout)",
    "(servertimeout)",
    "(toomanyrequests)",
    "(serviceunavailable)",
    "(internalerror)",
    "(conflict)",
    "too many requests",
    "unable to handle the request",
    "storage is (re)initializing",
    "an error on the server",
    "leader changed",
    "etcdserver: no leader",
    "apply your changes to the latest version",
)
# The control plane was made anew after a node had read whom to trust.
_OUTDATED = ("none of the public keys", "jws signature")
_PASSES = (*_TOO_SLOW, *_NOT_LISTENING, *_TOO_BUSY, *_OUTDATED)
# In a line with one of these, what passes is not the reason.
_STAYS = (
    "failed to pull image",
    "no such file",
    "x509",
    "unauthorized",
    "forbidden",
    "is in use",
    "already exists",
    "permission denied",
    # libvirt's: it is there or it is not.
    "failed to connect socket",
)


def passing(error: LabError) -> str:
    """Return the line that says why `error` passes by itself, or an empty string when it does not.

    An error of a wait does not pass, it was given its time; nor does one of Vagrant, which waits itself.
    """
    if isinstance(error, NodesError):
        found = [passing(each) for each in error.errors.values()]
        return found[0] if all(found) else ""
    if isinstance(error, VagrantError) or not isinstance(error, RemoteError | ToolFailed):
        return ""
    said = error.output if isinstance(error, CommandFailed | ToolFailed) else error.message
    return passing_line(said)


def passing_line(output: str) -> str:
    """Return the first of the lines that say why a tool failed, if all of them pass by themselves."""
    lines = telling(output) or without_noise(output)[-1:]
    return lines[0] if lines and all(map(_passes, lines)) else ""


def _passes(line: str) -> bool:
    text = line.casefold()
    return any(phrase in text for phrase in _PASSES) and not any(phrase in text for phrase in _STAYS)
