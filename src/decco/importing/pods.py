"""Finds the common fields of a pod that the Pod Security level ``baseline`` refuses.

The decision is the API server's; this check reports problems before pods are refused.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def beyond_baseline(pod: dict[str, Any]) -> Iterator[str]:
    """Paths of the refused fields, relative to ``pod``."""
    for flag in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(flag) is True:
            yield f"pod.{flag}"
    for number, volume in _objects(pod.get("volumes")):
        if "hostPath" in volume:
            yield f"pod.volumes[{number}].hostPath"
    for kind in ("initContainers", "containers"):
        for number, container in _objects(pod.get(kind)):
            path = f"pod.{kind}[{number}]"
            context = container.get("securityContext")
            context = context if isinstance(context, dict) else {}
            if context.get("privileged") is True:
                yield f"{path}.securityContext.privileged"
            capabilities = context.get("capabilities")
            added = capabilities.get("add") if isinstance(capabilities, dict) else None
            if isinstance(added, list) and not all(name in _BASELINE_CAPABILITIES for name in added):
                yield f"{path}.securityContext.capabilities.add"
            for at, port in _objects(container.get("ports")):
                if port.get("hostPort"):
                    yield f"{path}.ports[{at}].hostPort"


def _objects(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(value, list):
        yield from ((number, item) for number, item in enumerate(value) if isinstance(item, dict))
