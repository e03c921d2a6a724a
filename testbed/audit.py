"""The API server's audit log, for exact counts of one client's requests: its metrics do not say who sent what.

Only the user ``decco``, two more for tests with two controllers, and the service account of manifests/rbac are
recorded, at level Metadata, so that the record costs the other clients nothing.
https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

REPLICAS = ("decco-a", "decco-b")
"""Users of two controllers at once, so that the audit log distinguishes them."""

SERVICE_ACCOUNT = "system:serviceaccount:decco:decco-controller"
"""The identity that manifests/rbac gives decco."""

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_REVIEWS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": ["decco", *REPLICAS, SERVICE_ACCOUNT]}, {"level": "None"}],
}


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One request: a watch is there twice, with stage ResponseStarted and, once it has ended, ResponseComplete.

    ``verb`` is Kubernetes' (get, list, watch, create, update, patch, delete, deletecollection), or the HTTP method in
    lower case for paths that are not resources. ``resource`` and others are "" there. ``received`` is the Unix time at
    which the API server had the request's head, to the microsecond.
    """

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    stage: str
    user: str
    user_agent: str
    uri: str
    received: float = field(default=0.0, compare=False)
    group: str = field(default="", compare=False)
    """API group of the resource; "" also for the core group."""
    forbidden: bool = field(default=False, compare=False)
    """The authorizer refused: a 403 of a quota, of a policy or of a namespace that ends is not one of these."""

    @property
    def writes(self) -> bool:
        """Whether it may have changed something; a dry run and a review of permissions change nothing."""
        return self.verb in WRITE_VERBS and "dryRun=All" not in self.uri and self.group not in _REVIEWS


def parse_event(line: bytes) -> AuditEvent:
    """Reads one line of the log."""
    event = json.loads(line)
    ref = event.get("objectRef", {})
    user = event.get("user", {})
    return AuditEvent(
        verb=event["verb"],
        resource=ref.get("resource", ""),
        subresource=ref.get("subresource", ""),
        namespace=ref.get("namespace", ""),
        name=ref.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        stage=event["stage"],
        user=user.get("username", ""),
        user_agent=event.get("userAgent", ""),
        uri=event["requestURI"],
        received=_seconds(event.get("requestReceivedTimestamp")),
        group=ref.get("apiGroup", ""),
        forbidden=event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
    )


def _seconds(micro_time: str | None) -> float:
    return datetime.fromisoformat(micro_time).timestamp() if micro_time else 0.0


def read_events(path: Path, since: int = 0) -> list[AuditEvent]:
    """Reads the whole lines of the log from a byte offset on; a line that is still being written is left out."""
    if not path.exists():
        return []
    with path.open("rb") as log:
        log.seek(since)
        lines = log.read().splitlines(keepends=True)
    return [parse_event(line) for line in lines if line.endswith(b"\n")]
