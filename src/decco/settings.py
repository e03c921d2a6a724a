"""Every setting of the controller: one model, with unit and reason under each field.

Sources, the later the stronger: defaults, the YAML file of ``--config``, the environment (``DECCO_*``, nested with ``__``),
flags. Keys are camelCase in the file and snake_case in the environment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A group of settings; an unknown key is a mistake and is reported as one."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", use_attribute_docstrings=True
    )


class RoutingBackend(StrEnum):
    GATEWAY = "gateway"
    INGRESS = "ingress"
    NONE = "none"


class IngressDialect(StrEnum):
    HAPROXY = "haproxy"
    NGINX = "nginx"
    TRAEFIK = "traefik"


class RoutingSettings(Section):
    backend: RoutingBackend = RoutingBackend.GATEWAY
    """Which kind of objects carry traffic from the edge to the Spaces."""
    parent_gateway: str | None = None
    """namespace/name of a shared Gateway; each Space then gets a ListenerSet on it instead of a Gateway of its own."""
    gateway_class_name: str = "decco"
    """GatewayClass of the Gateways that decco makes when there is no parentGateway."""
    ingress_dialect: IngressDialect = IngressDialect.HAPROXY
    """Which controller's annotations and resources the ingress backend writes."""
    ingress_class_name: str | None = None
    """IngressClass of the Ingresses that decco makes; without it the cluster's default class."""


class EdgeSettings(Section):
    namespace: str | None = None
    """Namespace of the edge's pods: they may reach the routed ports of every Space."""
    cidrs: tuple[str, ...] = ()
    """Addresses of an edge on the host network, which no namespace selector can name."""
    service: str | None = None
    """namespace/name of the Service whose load balancer address is the edge's."""
    addresses: tuple[str, ...] = ()
    """The edge's external addresses or names, where neither a Gateway nor a Service tells them."""


class SidecarSettings(Section):
    image: str = "ghcr.io/decco-project/stunnel:0.1"
    """Image of the TLS sidecar."""
    image_pull_policy: str = "IfNotPresent"
    """imagePullPolicy of the sidecar."""
    resources: dict[str, Any] = Field(
        default_factory=lambda: {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}}
    )
    """Resources of the sidecar, as in a container."""
    run_as_user: Annotated[int, Field(ge=1)] = 65532
    """UID of the sidecar's process; never 0."""


class ControllerSettings(Section):
    space_workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Spaces reconciled at once."""
    app_workers: Annotated[int, Field(ge=1, le=256)] = 32
    """Apps reconciled at once."""
    requests_in_flight: Annotated[int, Field(ge=1, le=512)] = 48
    """Requests to the API server at once; more than 64 only adds waiting there."""
    watch_idle_seconds: Annotated[float, Field(gt=0)] = 75.0
    """A watch that is silent for longer is deaf and is opened anew; the API server sends a bookmark each minute."""
    retry_base_seconds: Annotated[float, Field(gt=0)] = 0.25
    """First pause after a failed reconcile; it doubles up to retryMaxSeconds."""
    retry_max_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Longest pause between two tries of a failing reconcile."""


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(Section):
    namespace: str = "decco"
    """decco's own namespace: where the Secrets that Spaces name live."""
    cluster_id: str = "default"
    """Name of this cluster among those that serve the same FQDNs."""
    kubeconfig: str | None = None
    """File with the connection to the cluster; without it the service account of the pod, or the default file."""
    context: str | None = None
    """Context of the kubeconfig; without it the current one."""
    metrics_bind_address: str = ":8080"
    """host:port of /metrics, /healthz and /readyz; "0" turns them off."""
    log_format: LogFormat = LogFormat.JSON
    log_level: LogLevel = LogLevel.INFO
    dry_run: bool = False
    """Compute and log every write, send none."""
    routing: RoutingSettings = RoutingSettings()
    edge: EdgeSettings = EdgeSettings()
    sidecar: SidecarSettings = SidecarSettings()
    controller: ControllerSettings = ControllerSettings()
