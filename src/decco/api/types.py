"""Space and App, ``decco.platform9.com/v1beta2``: the models behind the CRDs.

The docstring under a field is what ``kubectl explain`` shows (``api/crd.py`` carries it over). Parsing is lenient where the
API server has already judged (an object in etcd may be older than today's rules): what cannot be understood raises
pydantic's ValidationError, which the reconcilers turn into a condition.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

DEFAULT_TLS_PORT = 443
DEFAULT_TARGET_PORT = 443

Port = Annotated[int, Field(ge=1, le=65535)]


class Model(BaseModel):
    """Frozen, camelCase outside and snake_case inside; fields that a newer version wrote are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )


class PodSecurityLevel(StrEnum):
    """The levels of the Pod Security Standards."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


class Mesh(StrEnum):
    """Service meshes that decco can hand a Space's inside traffic to."""

    NONE = "None"
    ISTIO = "Istio"


class ZoneSpread(StrEnum):
    """How strictly the pods of an App are spread over availability zones."""

    OFF = "Off"
    PREFER = "Prefer"
    REQUIRE = "Require"


class Topology(Model):
    zone_spread: ZoneSpread = ZoneSpread.OFF
    """Off: no rule. Prefer: spread over zones where possible. Require: leave a pod pending rather than crowd a zone."""


class SpaceSpec(Model):
    domain_name: str
    """DNS domain above the Space; its FQDN is <name>.<domainName>. Cannot be changed later."""
    project: str | None = None
    """Who may connect: with a project only Spaces of the same project and the edge, without one anybody."""
    http_cert_secret_name: str | None = None
    """TLS Secret in decco's namespace, shared with this Space, whose certificate serves https://<FQDN>."""
    tcp_cert_and_ca_secret_name: str | None = None
    """Secret (tls.crt, tls.key, ca.crt) in decco's namespace: default for TCP endpoints and egresses of Apps here."""
    encrypt_http: bool = False
    """Encrypt HTTP from the edge to the pod too, with the certificate of httpCertSecretName, verified by the edge."""
    hostnames: tuple[str, ...] = ()
    """Further exact host names, outside the FQDN, that endpoints of this Space may use."""
    pod_security: PodSecurityLevel = PodSecurityLevel.BASELINE
    """Pod Security level enforced on the Space's namespace."""
    runtime_class_name: str | None = None
    """RuntimeClass of every App here that names none itself (for example a VM-isolated runtime)."""
    resource_quota: dict[str, Any] | None = None
    """Spec of the ResourceQuota named decco in the Space's namespace."""
    limit_range: dict[str, Any] | None = None
    """Spec of the LimitRange named decco in the Space's namespace."""
    mesh: Mesh = Mesh.NONE
    """Service mesh that carries traffic between the pods of this Space."""
    topology: Topology = Topology()
    """Placement of the Apps' pods."""


class Endpoint(Model):
    name: str
    """Name of the endpoint and of its Service; unique in the Space."""
    port: Port
    """Port of the container that serves this endpoint."""
    http_path: str | None = None
    """Serve HTTP at https://<FQDN><httpPath> through the shared edge. Without it the endpoint is TCP, reached by TLS
    server name at its hostname."""
    rewrite_path: str | None = None
    """Replaces the httpPath prefix before the request reaches the container."""
    verify_tcp_client_cert: bool = False
    """Accept only clients whose certificate is signed by the ca.crt of the endpoint's Secret."""
    allowed_clients: tuple[str, ...] = ()
    """Accept only clients whose certificate carries one of these names as a SAN; implies verifyTcpClientCert."""
    cert_and_ca_secret_name: str | None = None
    """Secret (tls.crt, tls.key, ca.crt) of this endpoint instead of the Space's tcpCertAndCaSecretName."""
    create_dns_record: bool = False
    """Publish the endpoint's hostname in DNS."""
    hostname: str | None = None
    """Host name of the endpoint instead of <endpoint>.<FQDN>; under the FQDN or one of the Space's hostnames."""
    disable_tls_termination: bool = False
    """The container speaks TLS itself; decco adds no sidecar for this endpoint."""
    tls_listen_port: Port = DEFAULT_TLS_PORT
    """Port of the endpoint's Service."""
    create_clear_text_service: bool = False
    """Add a Service <name>-cleartext straight to the container's port, for pods of the same Space."""
    is_metrics_endpoint: bool = False
    """Only namespaces labelled decco.platform9.com/monitoring=true may reach this port; it gets no route."""


class Egress(Model):
    local_port: Port
    """Port on localhost where the container talks plain text; the sidecar carries it on by mutual TLS."""
    fqdn: str | None = None
    """Host name of the target; either this or endpoint."""
    endpoint: str | None = None
    """Name of the endpoint that is the target, in spaceName or in this Space."""
    space_name: str | None = None
    """Space of the target endpoint; without it this Space."""
    target_port: Port = DEFAULT_TARGET_PORT
    """Port of the target."""
    cert_and_ca_secret_name: str | None = None
    """Secret with the client certificate and the CA that must have signed the target's certificate."""
    disable_server_cert_verification: bool = False
    """Do not check the target's certificate. For tests only: anyone in between can read and change the traffic."""


class AppSpec(Model):
    pod: dict[str, Any]
    """PodSpec of the App, handed to Kubernetes as it is; decco only adds its TLS sidecar."""
    initial_replicas: Annotated[int, Field(ge=0)] = 1
    """Replicas at creation and whenever this field changes; in between the count belongs to whoever scales."""
    run_as_job: bool = False
    """Run the pod to completion as a Job instead of keeping it up as a Deployment."""
    job_backoff_limit: Annotated[int, Field(ge=0)] | None = None
    """Retries of the Job before it counts as failed."""
    endpoints: tuple[Endpoint, ...] | None = None
    """The ports this App offers. Without it, the short form: one endpoint named after the App."""
    http_url_path: str | None = None
    """Short form: the httpPath of the one endpoint."""
    verify_tcp_client_cert: bool | None = None
    """Short form: verifyTcpClientCert of the one endpoint."""
    create_dns_record: bool | None = None
    """Short form: createDnsRecord of the one endpoint."""
    tls_ca_and_cert_secret_name: str | None = None
    """Short form: certAndCaSecretName of the one endpoint."""
    tls_egresses: Annotated[
        tuple[Egress, ...], Field(validation_alias=AliasChoices("tlsEgresses", "egresses", "tls_egresses"))
    ] = ()
    """TLS connections out of the pod; egresses is another spelling of this field."""
