"""The status of Space and App as the CRDs describe it.

The controller writes these fields as plain dicts (``decco.api.conditions``, ``decco.desired``); the models exist for
the schema only, so that ``kubectl explain`` describes each field and the API server prunes all others.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from decco.api.conditions import MAX_MESSAGE, MAX_REASON, REASON_PATTERN, ConditionStatus, RunOutcome
from decco.api.model import Count, Model, Port

Generation = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]

_BY_TYPE: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}

CONDITION_TYPE_PATTERN = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)


class Condition(Model):
    """metav1.Condition, with its own limits."""

    type: Annotated[str, Field(max_length=316, pattern=CONDITION_TYPE_PATTERN)]
    """What this condition is about, in CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Generation | None = None
    """metadata.generation that this condition was computed from."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When the status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, pattern=REASON_PATTERN)]
    """One CamelCase word that programs can rely on."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)]
    """Human-readable message."""


class Status(Model):
    observed_generation: Annotated[int | None, Field(ge=-1, json_schema_extra={"format": "int64"})] = None
    """metadata.generation that this status was computed from; -1 before decco has seen the object."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=_BY_TYPE)] = ()
    """Ready is True when all others are; each of the others has its own cause. One that does not apply is absent."""


class HostnameStatus(Model):
    name: str
    """".name" is the name and all below it, "*.name" one label below it."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When the Space was granted the name."""
    generation: Generation
    """metadata.generation of the Space that claimed it."""


class SpaceStatus(Status):
    namespace: str | None = None
    """Namespace of the Space, once it exists."""
    hostname: str | None = None
    """The Space's FQDN."""
    hostnames: Annotated[tuple[HostnameStatus, ...], Field(json_schema_extra=_BY_NAME)] = ()
    """The host names that the Space has been granted. No other Space can have one before it is given up."""
    addresses: tuple[str, ...] = ()
    """External addresses of the edge, which the Space's host names lead to."""


class EndpointStatus(Model):
    name: str
    """Name of the endpoint."""
    hostname: str | None = None
    """Host name under which the endpoint is reached."""
    url: str | None = None
    """https://<host name><path> of an HTTP endpoint, tls://<host name>:<port> of a TCP endpoint."""
    urls: tuple[str, ...] = ()
    """All URLs of an HTTP endpoint with several host names or paths, wildcards among them; absent if there is one."""
    port: Port | None = None
    """Port under which the endpoint is reached."""


class JobStatus(Model):
    run: str
    """Digest of the pod that was run. Another pod is another run."""
    uid: str
    """UID of the Job."""
    started: bool | None = None
    """Whether a pod of the Job has been seen ready; set only for a run that takes longer than a minute."""
    outcome: RunOutcome | None = None
    """How the run ended; absent until then. Deleted: the Job is gone, and was not seen to finish."""
    completion_time: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    """When the run ended, or was found deleted."""
    message: str | None = None
    """Why the Job failed."""


class AppStatus(Status):
    url: str | None = None
    """URL of the first endpoint."""
    replicas: Count | None = None
    """Desired replicas of the App's workload at present, whoever scaled it; 0 while the App is suspended."""
    selector: str | None = None
    """Label selector of the App's pods, for autoscalers that scale the App; only with spec.replicas."""
    endpoints: Annotated[tuple[EndpointStatus, ...], Field(json_schema_extra=_BY_NAME)] = ()
    """How the App's endpoints are reached."""
    job: JobStatus | None = None
    """The last run of an App with runAsJob. It outlives the Job: the same pod is not run a second time."""
