"""All reasons of decco's conditions and Events, which are part of the interface.

Their codes and explanations are in ``messages/conditions.toml``. A reason in ``WAITING`` is part of normal operation
and ends by itself: it makes a condition False, but needs no action.
"""

# ruff: noqa: S105 - reasons about Secrets are not secrets

from __future__ import annotations

from collections.abc import Iterable

from decco.desired.model import Problem

# -- True -------------------------------------------------------------------------------------------------------------

READY = "Ready"
RECONCILED = "Reconciled"
JOB_COMPLETE = "JobComplete"
SUSPENDED = "Suspended"
NOT_PLACED = "NotPlaced"
STANDBY = "Standby"
TOOK_OVER = "TookOver"
PAUSED = "Paused"
NOT_PROBED = "NotProbed"

# -- False, and ends by itself ----------------------------------------------------------------------------------------

PROGRESSING = "Progressing"
JOB_RUNNING = "JobRunning"
JOB_SUSPENDED = "JobSuspended"
NAMESPACE_NOT_READY = "NamespaceNotReady"
NAMESPACE_TERMINATING = "NamespaceTerminating"
SECRET_PENDING = "SecretPending"
SECRET_DELETED = "SecretDeleted"
CERTIFICATE_ISSUING = "CertificateIssuing"
WAITING_FOR_EDGE = "WaitingForEdge"
WAITING_FOR_ANSWER = "WaitingForAnswer"
WAITING_FOR_DNS = "WaitingForDNS"
EGRESS_PENDING = "EgressPending"
MESH_SWITCHING = "MeshSwitching"
WAITING_FOR_CLUSTER = "WaitingForCluster"
NOT_WRITTEN = "NotWritten"
CANARY_WAITING = "CanaryWaiting"

# -- False, until somebody does something -----------------------------------------------------------------------------

SPACE_NOT_FOUND = "SpaceNotFound"
CONFLICT = "Conflict"
NAME_RESERVED = "NameReserved"
SIDECAR_REFUSED = "SidecarRefused"
BEING_DELETED = "BeingDeleted"
CONTESTED = "Contested"
HOSTNAME_CONFLICT = "HostnameConflict"
HOSTNAME_NOT_ALLOWED = "HostnameNotAllowed"
ENDPOINT_CONFLICT = "EndpointConflict"
PATH_CONFLICT = "PathConflict"
SECRET_MISSING = "SecretMissing"
SECRET_INVALID = "SecretInvalid"
SECRET_REFUSED = "SecretRefused"
CRL_EXPIRED = "CRLExpired"
CRL_NOT_YET_VALID = "CRLNotYetValid"
CERTIFICATE_EXPIRED = "CertificateExpired"
CERTIFICATE_NOT_YET_VALID = "CertificateNotYetValid"
CERTIFICATE_NAME_MISMATCH = "CertificateNameMismatch"
CERTIFICATE_MISSING = "CertificateMissing"
CERTIFICATE_NOT_ISSUED = "CertificateNotIssued"
CERT_MANAGER_MISSING = "CertManagerMissing"
EGRESS_TARGET_NOT_FOUND = "EgressTargetNotFound"
EGRESS_PORT_CONFLICT = "EgressPortConflict"
EGRESS_UNRESOLVED = "EgressUnresolved"
EGRESS_REFUSED = "EgressRefused"
RESERVED_NAME = "ReservedName"
ISOLATION_TOO_WEAK = "IsolationTooWeak"
SANDBOX_MISSING = "SandboxMissing"
VALUE_NOT_SERVED = "ValueNotServed"
PRIMARY_NOT_FOUND = "PrimaryNotFound"
CANARY_REFUSED = "CanaryRefused"
ROUTE_NOT_SUPPORTED = "RouteNotSupported"
INGRESS_KIND_MISSING = "IngressKindMissing"
INVALID = "Invalid"
FORBIDDEN = "Forbidden"
QUOTA_EXCEEDED = "QuotaExceeded"
UNAVAILABLE = "Unavailable"
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
REPLICA_FAILURE = "ReplicaFailure"
JOB_FAILED = "JobFailed"
JOB_STALLED = "JobStalled"
JOB_DELETED = "JobDeleted"
GATEWAY_API_MISSING = "GatewayAPIMissing"
GATEWAY_NOT_FOUND = "GatewayNotFound"
NOT_ACCEPTED = "NotAccepted"
NOT_PROGRAMMED = "NotProgrammed"
ADDRESS_UNREACHABLE = "AddressUnreachable"
LISTENER_NOT_ANSWERING = "ListenerNotAnswering"
REFUSED_BY_PROXY = "RefusedByProxy"
WRONG_CERTIFICATE = "WrongCertificate"
INCOMPLETE_CHAIN = "IncompleteChain"
CLIENT_CERTIFICATE_NOT_REQUESTED = "ClientCertificateNotRequested"
ROUTE_NOT_ANSWERING = "RouteNotAnswering"
BACKEND_BLOCKED = "BackendBlocked"
SERVICE_MISSING = "ServiceMissing"
NO_READY_POD = "NoReadyPod"
PORT_CLOSED = "PortClosed"
APPLICATION_ERROR = "ApplicationError"
RECORD_NOT_SERVED = "RecordNotServed"
ZONE_NOT_FOUND = "ZoneNotFound"
RECORD_CONFLICT = "RecordConflict"
NO_ADDRESS = "NoAddress"
INVALID_RECORD = "InvalidRecord"
PROVIDER_REFUSED = "ProviderRefused"
PROVIDER_THROTTLED = "ProviderThrottled"
PROVIDER_UNREACHABLE = "ProviderUnreachable"
DNS_FAILED = "DNSFailed"
EDGE_UNKNOWN = "EdgeUnknown"
MESH_MISSING = "MeshMissing"

# -- Events only ------------------------------------------------------------------------------------------------------

RESUMED = "Resumed"
LEFT_OVER = "LeftOver"

EVENTS: frozenset[str] = frozenset({RESUMED, LEFT_OVER})
"""Reasons that no condition has."""

WAITING: frozenset[str] = frozenset(
    {
        PROGRESSING,
        JOB_RUNNING,
        JOB_SUSPENDED,
        NAMESPACE_NOT_READY,
        NAMESPACE_TERMINATING,
        SECRET_PENDING,
        SECRET_DELETED,
        CERTIFICATE_ISSUING,
        WAITING_FOR_EDGE,
        WAITING_FOR_ANSWER,
        WAITING_FOR_DNS,
        EGRESS_PENDING,
        MESH_SWITCHING,
        WAITING_FOR_CLUSTER,
        NOT_WRITTEN,
        CANARY_WAITING,
    }
)
"""Reasons that end by themselves."""

SEEN: frozenset[str] = frozenset(
    {
        NOT_PROBED,
        WAITING_FOR_ANSWER,
        ADDRESS_UNREACHABLE,
        LISTENER_NOT_ANSWERING,
        REFUSED_BY_PROXY,
        WRONG_CERTIFICATE,
        INCOMPLETE_CHAIN,
        CLIENT_CERTIFICATE_NOT_REQUESTED,
        ROUTE_NOT_ANSWERING,
        BACKEND_BLOCKED,
        SERVICE_MISSING,
        NO_READY_POD,
        PORT_CLOSED,
        APPLICATION_ERROR,
        RECORD_NOT_SERVED,
    }
)
"""Reasons that come from probes, so that only the running controller knows them."""

MAX_MESSAGES = 5


def combine(problems: Iterable[Problem | None]) -> Problem | None:
    """One problem for a condition that has several causes, or None if there is no cause.

    Problems that need action have precedence over those in WAITING; otherwise the first one gives the reason. The
    message joins the messages of all problems of that group, in order and without duplicates, up to MAX_MESSAGES.
    """
    found = [problem for problem in problems if problem is not None]
    found = [problem for problem in found if problem.reason not in WAITING] or found
    if not found:
        return None
    messages = list(dict.fromkeys(problem.message for problem in found))
    text = "; ".join(messages[:MAX_MESSAGES])
    more = len(messages) - MAX_MESSAGES
    return Problem(found[0].reason, f"{text}; and {more} more" if more > 0 else text)
