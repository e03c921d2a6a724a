"""All reasons of decco's conditions and Events.

The docstring under a reason is its documentation; ``reasons_doc.py`` makes the reference page from this file. A reason
in ``WAITING`` is part of normal operation and ends by itself: it makes a condition False, but needs no action.
"""

# ruff: noqa: S105 - reasons about Secrets are not secrets

from __future__ import annotations

from collections.abc import Iterable

from decco.desired.model import Problem

# -- True -------------------------------------------------------------------------------------------------------------

READY = "Ready"
"""All other conditions are True."""
RECONCILED = "Reconciled"
"""The objects that this condition is about are what they should be."""
JOB_COMPLETE = "JobComplete"
"""The Job ran to its end."""

PAUSED = "Paused"
"""The object or its Space has the annotation decco.platform9.com/paused: decco does not change the object."""

# -- False, and ends by itself ----------------------------------------------------------------------------------------

PROGRESSING = "Progressing"
"""Pods are being started or replaced."""
JOB_RUNNING = "JobRunning"
"""The Job runs."""
JOB_SUSPENDED = "JobSuspended"
"""The Job is suspended, by its spec or by whoever queues it."""
NAMESPACE_NOT_READY = "NamespaceNotReady"
"""The Space's namespace, or the policy that isolates it, is not there yet."""
NAMESPACE_TERMINATING = "NamespaceTerminating"
"""The Space's namespace is being deleted and is created again when it is gone."""
SECRET_PENDING = "SecretPending"
"""A Secret is shared with the Space and is not copied into its namespace yet."""
SECRET_DELETED = "SecretDeleted"
"""A shared Secret was deleted; for 30 s its copy stays as it is, since the Secret may be about to be created again."""
WAITING_FOR_EDGE = "WaitingForEdge"
"""The gateway or ingress controller has not reported a status of the listeners or routes yet."""
WAITING_FOR_DNS = "WaitingForDNS"
"""A change of DNS records is in progress."""
NOT_WRITTEN = "NotWritten"
"""Another object must exist before this one is written, or the API server cannot write it at the moment."""

# -- False, until somebody does something -----------------------------------------------------------------------------

SPACE_NOT_FOUND = "SpaceNotFound"
"""The App's namespace is not that of a Space."""
CONFLICT = "Conflict"
"""An object of the desired name exists and has another owner; decco does not change it."""
NAME_RESERVED = "NameReserved"
"""The Space has the name of a top-level domain, of a system namespace, or of a namespace that the settings name."""
SIDECAR_REFUSED = "SidecarRefused"
"""The Space's own quota or limits, or its namespace's range of user ids, refuse the TLS sidecar that decco adds."""
BEING_DELETED = "BeingDeleted"
"""An object is being deleted and a finalizer blocks the deletion; decco creates it again when it is gone."""
CONTESTED = "Contested"
"""Another client changes or deletes an object repeatedly; decco repairs it with growing delays."""
HOSTNAME_CONFLICT = "HostnameConflict"
"""An older Space owns the host name, or one above or below it; or an older App of the same Space has it."""
HOSTNAME_NOT_ALLOWED = "HostnameNotAllowed"
"""The endpoint's host name is neither under the Space's FQDN nor in its hostnames, or is too long for DNS."""
ENDPOINT_CONFLICT = "EndpointConflict"
"""An older App of the same Space has an endpoint or Service of this name."""
PATH_CONFLICT = "PathConflict"
"""An older App of the same Space serves this path."""
SECRET_MISSING = "SecretMissing"
"""A referenced Secret does not exist, or is not labelled as shared."""
SECRET_NOT_SHARED = "SecretNotShared"
"""The owner of a Secret has not shared it with this Space."""
SECRET_INVALID = "SecretInvalid"
"""A Secret's content cannot be used: a part is missing, cannot be read, or does not fit the others."""
CERTIFICATE_EXPIRED = "CertificateExpired"
"""A certificate has expired."""
CERTIFICATE_MISSING = "CertificateMissing"
"""An endpoint or egress needs a certificate, and neither it nor the Space names a Secret."""
EGRESS_TARGET_NOT_FOUND = "EgressTargetNotFound"
"""The target endpoint of an egress does not exist, or does not accept TLS connections."""
EGRESS_PORT_CONFLICT = "EgressPortConflict"
"""The local port of an egress is used by a container of the pod or by another listener of its sidecar."""
RESERVED_NAME = "ReservedName"
"""A container or volume of the pod has a name that decco needs for its sidecar."""
ROUTE_NOT_SUPPORTED = "RouteNotSupported"
"""The edge, as configured by the Space and the settings, does not support what the endpoint requires."""
INGRESS_KIND_MISSING = "IngressKindMissing"
"""The cluster does not serve a kind of the ingress controller that is needed here."""
INVALID = "Invalid"
"""The spec is not valid, or the API server refuses an object made from it."""
FORBIDDEN = "Forbidden"
"""The API server does not allow decco, or a policy does not allow any client, to write an object."""
QUOTA_EXCEEDED = "QuotaExceeded"
"""A ResourceQuota of the namespace is exhausted."""
UNAVAILABLE = "Unavailable"
"""Fewer pods are ready than the Deployment requires."""
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
"""A rollout has made no progress for the time that its Deployment allows."""
REPLICA_FAILURE = "ReplicaFailure"
"""Pods cannot be created: a quota, Pod Security or another admission refuses them."""
JOB_FAILED = "JobFailed"
"""The Job failed and has no retries left."""
JOB_STALLED = "JobStalled"
"""The Job has a pod that does not become ready."""
JOB_DELETED = "JobDeleted"
"""The Job is gone and was not seen to finish; the same pod is not run a second time."""
GATEWAY_API_MISSING = "GatewayAPIMissing"
"""The cluster does not serve a kind of the Gateway API that is needed here."""
GATEWAY_NOT_FOUND = "GatewayNotFound"
"""The shared Gateway of the setting routing.parentGateway does not exist."""
NOT_ACCEPTED = "NotAccepted"
"""The gateway or ingress controller refuses the listeners or a route."""
NOT_PROGRAMMED = "NotProgrammed"
"""The gateway controller accepted the listeners but could not put them into effect."""
ZONE_NOT_FOUND = "ZoneNotFound"
"""No DNS provider has a zone for the host name."""
RECORD_CONFLICT = "RecordConflict"
"""The DNS name exists and has no ownership record of decco, or that of another owner."""
NO_ADDRESS = "NoAddress"
"""The edge has no external address that a DNS record could point to."""
INVALID_RECORD = "InvalidRecord"
"""The DNS name or its target cannot be published."""
PROVIDER_REFUSED = "ProviderRefused"
"""The DNS provider does not authenticate decco, or does not allow it to change the zone."""
PROVIDER_THROTTLED = "ProviderThrottled"
"""The DNS provider limits the rate of requests; decco tries again later."""
PROVIDER_UNREACHABLE = "ProviderUnreachable"
"""The DNS provider does not answer; decco tries again."""
DNS_FAILED = "DNSFailed"
"""Another failure of the DNS provider, or of decco with it; decco's log has details."""

# -- Events only ------------------------------------------------------------------------------------------------------

RESUMED = "Resumed"
"""The object is no longer paused: decco reconciles all changes made meanwhile."""

LEFT_OVER = "LeftOver"
"""An object is no longer desired and decco cannot remove it: a finalizer blocks it, or it may have another owner."""

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
        WAITING_FOR_EDGE,
        WAITING_FOR_DNS,
        NOT_WRITTEN,
    }
)
"""Reasons that end by themselves."""

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
