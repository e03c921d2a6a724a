"""Space and App, ``decco.platform9.com/v1beta2``: the models behind the CRDs.

The docstring under a field is what ``kubectl explain`` shows (``tools/crd/schema.py`` carries it over). The limits on
lengths are there for the API server, which refuses a CEL rule whose cost it cannot bound. An object can be older than
today's rules: read it with ``parse.py``, which reports its problems in one message.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import (
    AliasChoices,
    Field,
    model_validator,
)

from decco.api.admission import (
    APP_SPEC_RULES,
    BUDGET_RULES,
    EGRESS_RULES,
    ENDPOINT_RULES,
    SPACE_SPEC_RULES,
)
from decco.api.disruption import BudgetMode, LeastAvailable, MostUnavailable
from decco.api.durations import Duration
from decco.api.egress import EgressCidr, EgressPolicy
from decco.api.formats import (
    AppName,
    DnsLabel,
    DnsName,
    HostPattern,
    HttpPath,
    KindName,
    ObjectName,
    RuntimeClassName,
    SecretName,
)
from decco.api.limits import Limits
from decco.api.model import Count, FreeForm, Model, Percent, Port, list_map
from decco.api.placement import Placement
from decco.api.pod import Pod
from decco.api.pod_metadata import PodMetadata
from decco.api.rules import Immutable
from decco.api.topology import Topology
from decco.api.workload_kinds import DeploymentFields, JobFields, StatefulSetFields, WorkloadKind

DEFAULT_TLS_PORT = 443
DEFAULT_TARGET_PORT = 443

MAX_ENDPOINTS = 64
MAX_EGRESSES = 64
MAX_ALLOWED_CLIENTS = 64
MAX_SECRETS = 64
MAX_EGRESS_CIDRS = 64
MAX_HOSTNAMES = 60
"""A Gateway or ListenerSet holds 64 listeners: three for the FQDN, and one for each further host name."""
MAX_HTTP_HOSTNAMES = 15
"""An HTTPRoute holds 16 host names: the FQDN and these."""
MAX_HTTP_PATHS = 8


class PodSecurityLevel(StrEnum):
    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


class Mesh(StrEnum):
    """Service meshes for the traffic inside a Space."""

    NONE = "None"
    ISTIO = "Istio"


class AppProtocol(StrEnum):
    """What a container speaks at an endpoint's port, without the TLS around it."""

    HTTP = "http"
    H2C = "h2c"
    GRPC = "grpc"
    WEBSOCKET = "websocket"
    TCP = "tcp"


class HttpHostname(Model):
    """A name that is served over HTTPS like the FQDN."""

    name: HostPattern
    """Host name outside the FQDN, exact or a wildcard for one label (*.shop.example.com). Needs the permission use on
    its domain."""
    cert_secret_name: SecretName | None = None
    """TLS Secret in decco's namespace, shared with this Space, whose certificate has this name. Without it the
    certificate comes from the issuer of certificates."""
    create_dns_record: bool = True
    """Publish the name in DNS, as the FQDN is. With false, for names whose zone is elsewhere, its owner points it to
    the addresses in the Space's status."""


class IssuerRef(Model):
    """As issuerRef of a Certificate of cert-manager."""

    name: SecretName
    """Name of the issuer."""
    kind: KindName = "Issuer"
    """ClusterIssuer, Issuer (one in the Space's namespace), or a kind of another group."""
    group: DnsName = "cert-manager.io"
    """API group of the kind."""


class Certificates(Model):
    issuer_ref: IssuerRef
    """The issuer, as in a Certificate of cert-manager."""


class Isolation(StrEnum):
    """What separates the pods of a Space from the kernel of their node, the weakest first."""

    STANDARD = "Standard"
    USER_NAMESPACE = "UserNamespace"
    SANDBOXED = "Sandboxed"


class SpaceSpec(Model):
    rules: ClassVar = SPACE_SPEC_RULES

    domain_name: Annotated[
        DnsName,
        Immutable(
            "cannot be changed, because host names, certificates and DNS records hang on it: keep the old value, or "
            "create another Space"
        ),
    ]
    """DNS domain above the Space; its FQDN is <name>.<domainName>. Cannot be changed later. Needs the permission use on
    domains/<domainName> of group decco.platform9.com."""
    project: DnsLabel | None = None
    """Who may connect: with a project only Spaces of the same project and the edge, without one anybody. Needs the
    permission use on projects/<project> of group decco.platform9.com."""
    http_cert_secret_name: SecretName | None = None
    """TLS Secret in decco's namespace, shared with this Space, whose certificate serves https://<FQDN>."""
    tcp_cert_and_ca_secret_name: SecretName | None = None
    """Secret (tls.crt, tls.key, ca.crt) in decco's namespace: default for TCP endpoints and egresses of Apps here."""
    certificates: Certificates | None = None
    """Where certificates come from for which no Secret is named above or in httpHostnames: cert-manager issues them for
    the FQDN, for *.<FQDN> and hostnames if an App needs it, and for each of httpHostnames, and renews them. Without
    this field the issuer of the settings, if there is one."""
    secrets: Annotated[
        tuple[SecretName, ...], Field(max_length=MAX_SECRETS, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Further Secrets of decco's namespace, of any type that may be shared (opaque, pull Secrets), copied here for the
    pods of this Space if their owners share them with it."""
    encrypt_http: bool = False
    """Encrypt HTTP from the edge to the pod too, with the certificate of httpCertSecretName, verified by the edge."""
    hostnames: Annotated[
        tuple[DnsName, ...], Field(max_length=MAX_HOSTNAMES, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Further exact host names, outside the FQDN, that endpoints of this Space may use."""
    http_hostnames: Annotated[
        tuple[HttpHostname, ...], Field(max_length=MAX_HTTP_HOSTNAMES, json_schema_extra=list_map("name"))
    ] = ()
    """Further host names that are served over HTTPS by path, like the FQDN, each with a certificate of its own. HTTP
    endpoints are served at all of them, unless they list names."""
    egress_policy: EgressPolicy = EgressPolicy.OPEN
    """Open: pods may connect to everything. Declared: only to the cluster's DNS, pods of this Space, egressCidrs, and
    each App's pods to the targets of its tlsEgresses."""
    egress_cidrs: Annotated[
        tuple[EgressCidr, ...],
        Field(
            max_length=MAX_EGRESS_CIDRS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["cidr"]},
        ),
    ] = ()
    """Networks that all pods of this Space may connect to while egressPolicy is Declared."""
    limits: Limits | None = None
    """What the edge permits to the clients of this Space. What it cannot limit is a condition."""
    pod_security: PodSecurityLevel = PodSecurityLevel.BASELINE
    """Pod Security level enforced on the Space's namespace."""
    isolation: Isolation = Isolation.STANDARD
    """What separates every pod of this Space from its node's kernel. Standard: what the runtime does. UserNamespace:
    root in a pod is nobody on the node (hostUsers: false). Sandboxed: a virtual machine or a kernel of its own, by one
    of the RuntimeClasses in the setting isolation.sandboxes. A level below the floor of the domain needs the permission
    use on isolationlevels/<level> of group decco.platform9.com."""
    runtime_class_name: RuntimeClassName | None = None
    """RuntimeClass of every App here that names none itself. A default only, unless isolation is Sandboxed: it binds
    neither an App that names another nor pods that decco did not make."""
    resource_quota: FreeForm | None = None
    """Spec of the ResourceQuota named decco in the Space's namespace."""
    limit_range: FreeForm | None = None
    """Spec of the LimitRange named decco in the Space's namespace."""
    mesh: Mesh = Mesh.NONE
    """Service mesh that carries and encrypts the traffic of the pods of this Space. Its policies permit the same
    connections as the NetworkPolicies. A change lets pods enter or leave first, so nothing is cut off."""
    topology: Topology = Topology()
    """Placement of the Apps' pods."""
    placement: Placement | None = None
    """The clusters of a federation in which the Space runs, for the same object in all of them. Without it in each
    where it is applied. A change keeps names where they lead until another cluster serves them. To set, change or
    remove it needs the permission use on placements/<domainName> of group decco.platform9.com."""


class Timeouts(Model):
    request: Duration | None = None
    """Longest time from a request to the end of its answer, then the edge answers 504; at most 576h. Only with
    httpPath. Without it the edge's own time holds, and an hour for gRPC."""
    idle: Duration | None = None
    """Longest time without a byte in either direction; at most 576h. The edge's own time may be shorter."""


class HttpRoutePath(Model):
    """One of the paths of an HTTP endpoint."""

    path: HttpPath
    """Serve HTTP at https://<host name><path>."""
    rewrite_path: HttpPath | None = None
    """Replaces this path before the request reaches the container."""


class Endpoint(Model):
    rules: ClassVar = ENDPOINT_RULES

    name: ObjectName
    """Name of the endpoint and of its Service; unique in the Space."""
    port: Port
    """Port of the container that serves this endpoint."""
    http_path: HttpPath | None = None
    """Serve HTTP at https://<FQDN><httpPath> through the shared edge. Without it the endpoint is TCP, reached by TLS
    server name at its hostname."""
    rewrite_path: HttpPath | None = None
    """Replaces the httpPath prefix before the request reaches the container."""
    http_paths: Annotated[
        tuple[HttpRoutePath, ...] | None,
        Field(min_length=1, max_length=MAX_HTTP_PATHS, json_schema_extra=list_map("path")),
    ] = None
    """Several paths instead of httpPath and rewritePath. The first is that of url in the status, and of probePath."""
    http_hostnames: Annotated[
        tuple[HostPattern, ...],
        Field(max_length=MAX_HTTP_HOSTNAMES + 1, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Serve HTTP at these names only: the FQDN, names of the Space's httpHostnames, or names for which one of its
    wildcards stands. Without it at the FQDN and all of the Space's httpHostnames."""
    probe_path: HttpPath | None = None
    """Path at the container, below httpPath, that decco requests after changes and every few minutes through the edge;
    an answer other than 2xx or 3xx makes RoutesReady False. Without it decco sends no request to the App."""
    verify_tcp_client_cert: bool = False
    """Accept only clients whose certificate is signed by the ca.crt of the endpoint's Secret."""
    allowed_clients: Annotated[
        tuple[DnsName, ...], Field(max_length=MAX_ALLOWED_CLIENTS, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Accept only clients whose certificate has one of these names as a DNS SAN; implies verifyTcpClientCert. The
    common name and wildcards in the certificate do not count."""
    cert_and_ca_secret_name: SecretName | None = None
    """Secret (tls.crt, tls.key, ca.crt) of this endpoint instead of the Space's tcpCertAndCaSecretName."""
    create_dns_record: bool = False
    """Publish the hostname of a TCP endpoint in DNS. HTTP endpoints do not need it: the FQDN is always published."""
    hostname: DnsName | None = None
    """Host name of a TCP endpoint instead of <endpoint>.<FQDN>; under the FQDN or one of the Space's hostnames."""
    disable_tls_termination: bool = False
    """The container speaks TLS itself; decco adds no sidecar for this endpoint."""
    tls_listen_port: Port = DEFAULT_TLS_PORT
    """Port of the endpoint's Service."""
    app_protocol: AppProtocol | None = None
    """What the container speaks, for the edge and for appProtocol of the Service. http: HTTP/1.1. h2c: HTTP/2 without
    TLS. grpc: gRPC, so h2c, with a request timeout of an hour. websocket: HTTP/1.1 with upgrades. tcp: a TCP endpoint.
    Without it the edge speaks HTTP/1.1 to a pod with httpPath."""
    timeouts: Timeouts | None = None
    """When a request or connection ends. What the edge cannot limit is a condition, and the route is served without."""
    create_clear_text_service: bool = False
    """Add a Service <name>-cleartext straight to the container's port, for pods of the same Space; in a mesh also for
    clients of the mesh that may connect to the endpoint."""
    is_metrics_endpoint: bool = False
    """Only namespaces labelled decco.platform9.com/monitoring=true may reach this port; it gets no route."""

    @property
    def paths(self) -> tuple[HttpRoutePath, ...]:
        """The paths in either form; () for an endpoint that is not HTTP."""
        if self.http_path is None:
            return self.http_paths or ()
        # Already validated, as fields of this model.
        return (HttpRoutePath.model_construct(path=self.http_path, rewrite_path=self.rewrite_path),)


class Egress(Model):
    rules: ClassVar = EGRESS_RULES

    local_port: Port
    """Port on localhost (127.0.0.1 and ::1) where the container talks plain text; the sidecar carries it on by mutual
    TLS."""
    fqdn: DnsName | None = None
    """Host name of the target; either this or endpoint. Resolved as it stands, without the pod's DNS search path: a
    Service of another namespace is <service>.<namespace>.svc."""
    endpoint: ObjectName | None = None
    """Name of the endpoint that is the target, in spaceName or in this Space."""
    space_name: ObjectName | None = None
    """Space of the target endpoint; without it this Space."""
    target_port: Port = DEFAULT_TARGET_PORT
    """Port of the target."""
    cert_and_ca_secret_name: SecretName | None = None
    """Secret with the client certificate and the CA that must have signed the target's certificate."""
    disable_server_cert_verification: bool = False
    """Do not check the target's certificate. For tests only: anyone in between can read and change the traffic."""


class DisruptionBudget(Model):
    rules: ClassVar = BUDGET_RULES

    mode: BudgetMode = BudgetMode.AUTO
    """Auto: while the App has more than one pod. None: no budget."""
    max_unavailable: MostUnavailable | None = None
    """How many pods may be stopped at once by drains, as a number or a percentage. Without it and minAvailable 1."""
    min_available: LeastAvailable | None = None
    """How many pods must stay, as a number or a percentage; instead of maxUnavailable."""


class AppSpec(Model):
    rules: ClassVar = APP_SPEC_RULES

    pod: Pod
    """PodSpec of the App, handed to Kubernetes as it is; decco only adds its TLS sidecar."""
    pod_metadata: PodMetadata | None = None
    """Labels and annotations of the pods."""
    deployment: DeploymentFields | None = None
    """Fields of Kubernetes' DeploymentSpec beside replicas, selector and template. An App has at most one of
    deployment, statefulSet and job; without any it is a Deployment."""
    stateful_set: StatefulSetFields | None = None
    """The workload is a StatefulSet, with these fields of Kubernetes' StatefulSetSpec. Its pods are named <App>-0,
    <App>-1, …, and found in DNS at <pod>.<App>-pods.<Space>.svc."""
    job: JobFields | None = None
    """Run the pod to completion, as with runAsJob, with these fields of Kubernetes' JobSpec."""
    initial_replicas: Count = 1
    """Replicas at creation and whenever this field changes; in between the count belongs to whoever scales."""
    replicas: Count | None = None
    """Number of pods, which decco keeps; kubectl scale and autoscalers that scale the App write it. Leave it out of
    files, and use initialReplicas there. Ignored by a Job."""
    suspend: bool = False
    """No pods: a Deployment or StatefulSet has 0 replicas, a Job is suspended. Host names, routes, records and
    certificates stay. When it is false again, the App has as many pods as before."""
    disruption_budget: DisruptionBudget | None = None
    """A PodDisruptionBudget for the pods; {} permits one eviction at a time. Without this field there is none. Ignored
    by a Job."""
    run_as_job: bool = False
    """Short form of job: run the pod to completion as a Job instead of keeping it up as a Deployment. Each value of pod
    has one run, recorded in status.job; another run needs another pod, such as a changed environment variable."""
    job_backoff_limit: Count | None = None
    """Short form of job.backoffLimit: retries of the Job before it counts as failed."""
    endpoints: Annotated[
        tuple[Endpoint, ...] | None, Field(max_length=MAX_ENDPOINTS, json_schema_extra=list_map("name"))
    ] = None
    """The ports this App offers. Without it, the short form: one endpoint named after the App, on the first port that
    the first container declares. An empty list means no endpoint at all."""
    http_url_path: HttpPath | None = None
    """Short form: the httpPath of the one endpoint."""
    verify_tcp_client_cert: bool | None = None
    """Short form: verifyTcpClientCert of the one endpoint."""
    create_dns_record: bool | None = None
    """Short form: createDnsRecord of the one endpoint."""
    tls_ca_and_cert_secret_name: SecretName | None = None
    """Short form: certAndCaSecretName of the one endpoint."""
    tls_egresses: Annotated[
        tuple[Egress, ...],
        Field(
            max_length=MAX_EGRESSES,
            validation_alias=AliasChoices("tlsEgresses", "egresses", "tls_egresses"),
            json_schema_extra=list_map("localPort"),
        ),
    ] = ()
    """TLS connections out of the pod; egresses is another spelling of this field."""
    canary_of: AppName | None = None
    """Another App of this Space, whose HTTP traffic this App takes a share of: each HTTP endpoint here shares the route
    of the endpoint there that has the same httpPath. Everything else of the route is of that App."""
    placement: Placement | None = None
    """The clusters in which this App runs, of those of its Space's placement: it can leave out clusters, and stand by
    where the Space is Active. Without it in all of them."""
    weight: Percent | None = None
    """Of 100 requests to an App that this one is a canary of, how many come here while a pod here is ready."""

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("tlsEgresses") is not None and data.get("egresses") is not None:
            raise ValueError("egresses is another spelling of tlsEgresses, and both are set: keep one of the two")
        return data

    @property
    def workload_kind(self) -> WorkloadKind:
        if self.stateful_set is not None:
            return WorkloadKind.STATEFUL_SET
        return WorkloadKind.JOB if self.run_as_job or self.job is not None else WorkloadKind.DEPLOYMENT

    @property
    def first_port(self) -> int | None:
        """containerPort of the first container's first port, which the short form takes; None if there is none."""
        ports = self.pod["containers"][0].get("ports")
        return int(ports[0]["containerPort"]) if ports else None
