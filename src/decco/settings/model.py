"""All settings of the controller as one model, with unit and reason under each field.

Keys are camelCase in the file and snake_case in the environment. The types of ``decco.forms`` define the allowed
values. A change of a setting waits for the next start, unless its type has the mark ``RELOADABLE``.
"""

from __future__ import annotations

import pkgutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from decco.dns.settings import DnsSettings
from decco.forms import (
    Address,
    BindAddress,
    DnsLabel,
    DnsName,
    Image,
    NameServer,
    Network,
    NonEmpty,
    ObjectName,
    PodSelector,
    Resources,
    Seconds,
    Section,
)

RELOADABLE: Final = "reloadable"
"""Marks the type of a setting of which a change in the file is in force at once: its users read it from the holder
(``live.py``) whenever they need it, or subscribe to its changes there.
"""


class RoutingBackend(StrEnum):
    GATEWAY = "gateway"
    INGRESS = "ingress"
    NONE = "none"


def _modules(folder: str) -> tuple[str, ...]:
    """The names of the modules in a folder of decco. They are not imported, because they use the settings."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parents[1] / folder)])))


if TYPE_CHECKING:
    IngressDialect = str
else:
    IngressDialect = Literal[_modules("desired/routing/dialects")]
    """The name of a dialect's module, so that a new dialect needs no change here."""


class RoutingSettings(Section):
    backend: RoutingBackend = RoutingBackend.GATEWAY
    """Which kind of objects carry traffic from the edge to the Spaces."""
    parent_gateway: ObjectName | None = None
    """namespace/name of a shared Gateway; each Space then gets a ListenerSet on it instead of a Gateway of its own."""
    gateway_class_name: DnsName = "decco"
    """GatewayClass of the Gateways that decco makes when there is no parentGateway."""
    ingress_dialect: IngressDialect = "haproxy"
    """Which controller's annotations and resources the ingress backend writes."""
    ingress_class_name: DnsName | None = None
    """IngressClass of the Ingresses that decco makes; without it the cluster's default class."""


class EdgeSettings(Section):
    namespace: DnsLabel | None = None
    """Namespace of the edge's pods: they may reach the routed ports of every Space."""
    cidrs: tuple[Network, ...] = ()
    """Addresses of an edge on the host network, which no namespace selector can name."""
    service: ObjectName | None = None
    """namespace/name of the Service whose load balancer address is the edge's; while that is missing, the edge has no
    address."""
    addresses: tuple[Address, ...] = ()
    """The edge's external addresses or names; without them those of edge.service, or else of the Gateway's status."""


class EgressSettings(Section):
    """Of Spaces with egressPolicy Declared."""

    dns_pods: tuple[PodSelector, ...] = ("kube-system/k8s-app=kube-dns",)
    """namespace/label=value of the pods of the cluster's DNS. OpenShift:
    openshift-dns/dns.operator.openshift.io/daemonset-dns=default."""
    dns_addresses: tuple[Network, ...] = ("169.254.20.10/32",)
    """Addresses of the cluster's DNS that are not those of pods: NodeLocal DNSCache. Where it also answers for the
    address of the Service kube-dns, that one too."""
    dns_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (53,)
    """Ports of the DNS pods, TCP and UDP; 5353 on OpenShift."""
    allowed_cidrs: tuple[Network, ...] = ()
    """Networks that are not global (private, unique local, shared) and to which names in tlsEgresses may lead. Such
    addresses are refused otherwise: pods, nodes and API servers have them."""
    refused_cidrs: tuple[Network, ...] = ()
    """Networks to which no name in tlsEgresses may lead: public addresses of nodes and of the API server."""
    edge_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443, 8443, 10443)
    """Ports of the edge's pods and hosts that a pod may connect to if a name in its tlsEgresses leads to an address of
    the edge."""
    name_servers: tuple[NameServer, ...] = ()
    """DNS servers that decco asks for names in tlsEgresses; without them those of its own resolv.conf."""
    refresh_min_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 30.0
    """A name is not resolved again sooner, whatever the TTL of its records."""
    refresh_max_seconds: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False, validate_default=True)] = 300.0
    """A name is resolved again at the latest after this time."""
    keep_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 900.0
    """How long an address stays permitted after the last answer that had it."""

    @field_validator("refresh_max_seconds")
    @classmethod
    def _not_below_min(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("refresh_min_seconds")
        if least is not None and value < least:
            raise ValueError(f"must be at least refreshMinSeconds, which is {least:g}")
        return value


class MeshSettings(Section):
    """Of Spaces with a service mesh."""

    switch_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 60.0
    """Time that the pods of a Space have to enter or leave the mesh, and connections to end, while both kinds of
    connections are permitted."""


class CertificateSettings(Section):
    """The issuer of Spaces that name neither a Secret nor an issuer of their own."""

    issuer_name: DnsName | None = None
    """Name of an issuer of cert-manager; without it only Spaces with certificates.issuerRef get certificates from
    one."""
    issuer_kind: NonEmpty = "ClusterIssuer"
    """Its kind. An Issuer is looked for in each Space's namespace."""
    issuer_group: DnsName = "cert-manager.io"
    """API group of the kind."""


class IsolationSettings(Section):
    sandboxes: tuple[DnsName, ...] = ()
    """RuntimeClasses whose pods have a virtual machine or a kernel of their own (Kata, gVisor). Pods of a Space with
    isolation Sandboxed have one of them: the first one, unless Space or App name another."""


class SidecarSettings(Section):
    image: Image = "ghcr.io/decco-project/stunnel:0.1"
    """Image of the TLS sidecar."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """imagePullPolicy of the sidecar."""
    image_pull_secrets: tuple[DnsName, ...] = ()
    """Pull Secrets of decco's namespace for the sidecar's image: copied into each Space with a sidecar if they are
    shared with it, and named in its pods. Whoever may read Secrets in a Space can read them there."""
    resources: Resources = Field(
        default_factory=lambda: {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}}
    )
    """Resources of the sidecar, as in a container. A Space's own resourceQuota and limitRange change them where they
    would refuse the sidecar."""
    run_as_user: Annotated[int, Field(ge=1)] | None = 65532
    """UID of the sidecar's process; never 0. With null decco sets neither runAsUser nor runAsGroup: for clusters that
    choose them for each namespace, as OpenShift does."""


class VerifySettings(Section):
    image: Image = "busybox:1.37"
    """Image of the temporary pods of `decco verify`: a shell with httpd and nc, as busybox has them."""


class ControllerSettings(Section):
    space_workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Spaces reconciled at once."""
    app_workers: Annotated[int, Field(ge=1, le=256)] = 32
    """Apps reconciled at once."""
    requests_in_flight: Annotated[int, Field(ge=1, le=512)] = 48
    """Requests to the API server at once; more than 64 only adds waiting there."""
    watch_idle_seconds: Seconds = 75.0
    """A watch that is silent for longer counts as broken and is opened again; the API server sends a bookmark each
    minute."""
    retry_base_seconds: Seconds = 0.25
    """First pause after a failed reconcile; it doubles up to retryMaxSeconds."""
    retry_max_seconds: Annotated[Seconds, Field(validate_default=True)] = 300.0
    """Longest pause between two tries of a failing reconcile; 30 s while only a few hundred fail."""
    loop_silence_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 30.0
    """An event loop that is silent for so long counts as blocked: /healthz fails, and the leadership is released."""

    @field_validator("retry_max_seconds")
    @classmethod
    def _not_below_base(cls, value: float, info: ValidationInfo) -> float:
        base = info.data.get("retry_base_seconds")
        if base is not None and value < base:
            raise ValueError(f"must be at least retryBaseSeconds, which is {base:g}")
        return value


class ProbeSettings(Section):
    enabled: Annotated[bool, RELOADABLE] = True
    """Whether the leader probes the edge: RoutesReady is then True only after an answer. Without probes it repeats what
    the gateway reports."""
    interval_seconds: Annotated[float, Field(ge=10, le=86_400, allow_inf_nan=False), RELOADABLE] = 300.0
    """How often each endpoint is probed at each address of the edge, evenly spread; after a change at once."""
    max_per_second: Annotated[int, Field(ge=1, le=1000), RELOADABLE] = 200
    """Upper limit of all probes in a second."""


class LeaderElectionSettings(Section):
    enabled: bool = True
    """Whether a Lease selects one working process, with the others as standbys. Disable it only if there is never more
    than one; a dry run does not take part."""
    lease_name: DnsName = "decco-controller"
    """Name of the Lease, in decco's own namespace."""
    lease_seconds: Seconds = 15.0
    """A leader that has not renewed the Lease for so long is replaced; the Lease contains it in whole seconds."""
    renew_seconds: Annotated[Seconds, Field(validate_default=True)] = 10.0
    """A leader that could not renew the Lease for so long stops its work, which has until leaseSeconds to end."""
    retry_seconds: Annotated[Seconds, Field(validate_default=True)] = 2.0
    """How often the leader renews the Lease: each renewal is one small write."""

    @field_validator("renew_seconds", "retry_seconds")
    @classmethod
    def _in_order(cls, value: float, info: ValidationInfo) -> float:
        longer = {"renew_seconds": "lease_seconds", "retry_seconds": "renew_seconds"}[info.field_name or ""]
        limit = info.data.get(longer)
        if limit is not None and value >= limit:
            raise ValueError(f"must be less than {to_camel(longer)}, which is {limit:g}")
        return value


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


DEFAULT_CLUSTER = "default"


class Settings(Section):
    namespace: DnsLabel = "decco"
    """decco's own namespace: contains the Secrets that Spaces name."""
    cluster_id: DnsLabel = DEFAULT_CLUSTER
    """Name of this cluster among those that serve the same FQDNs."""
    cluster_domain: DnsName | None = None
    """DNS domain of the cluster's Services. Without it the one in the resolv.conf of the controller's own pod, or else
    cluster.local. The sidecars reach endpoints at <endpoint>.<Space>.svc.<clusterDomain>."""
    kubeconfig: NonEmpty | None = None
    """File with the connection to the cluster; without it the service account of the pod, or the default file."""
    context: NonEmpty | None = None
    """Context of the kubeconfig; without it the current one."""
    metrics_bind_address: BindAddress = ":8080"
    """host:port of /metrics, /healthz and /readyz; "0" turns them off."""
    log_format: LogFormat = LogFormat.JSON
    """How log lines are written: JSON for machines, console for people."""
    log_level: Annotated[LogLevel, RELOADABLE] = LogLevel.INFO
    """Least severe log lines that are written; libraries never write below warning."""
    dry_run: bool = False
    """Compute and log every write, send none."""
    routing: RoutingSettings = RoutingSettings()
    edge: EdgeSettings = EdgeSettings()
    dns: DnsSettings = DnsSettings()
    egress: EgressSettings = EgressSettings()
    mesh: MeshSettings = MeshSettings()
    certificates: CertificateSettings = CertificateSettings()
    isolation: IsolationSettings = IsolationSettings()
    sidecar: SidecarSettings = SidecarSettings()
    controller: ControllerSettings = ControllerSettings()
    probe: ProbeSettings = ProbeSettings()
    leader_election: LeaderElectionSettings = LeaderElectionSettings()
    verify: VerifySettings = VerifySettings()

    @field_validator("dns")
    @classmethod
    def _clusters_differ(cls, dns: DnsSettings, info: ValidationInfo) -> DnsSettings:
        if dns.federation.id and info.data.get("cluster_id") == DEFAULT_CLUSTER:
            raise ValueError(
                "federation.id needs an id of this cluster's own among those of the federation: set clusterId"
            )
        return dns

    @property
    def services_domain(self) -> str:
        """``cluster_domain``, or what nearly every cluster has."""
        return self.cluster_domain or "cluster.local"
