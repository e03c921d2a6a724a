"""Inputs and outputs of the pure functions under ``desired/``.

The reconcilers build these frozen values from the caches. Dicts in them are not shared and are never modified: a
builder makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from decco.api.types import AppSpec, IssuerRef, SpaceSpec
from decco.desired.mesh_state import NO_MESH, MeshRecord, MeshView
from decco.desired.move import NO_MOVE, Move
from decco.desired.placement import Placed
from decco.desired.replicas import LiveReplicas
from decco.desired.runs import JobView, RunRecord, requested_run
from decco.desired.shares import Canary, Primary
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.objects import Obj, Resource
from decco.settings import Settings


@frozen
class Child:
    """One object that must exist.

    A label or annotation with the value None must be absent from the live object. This removes a key that decco wrote
    earlier and leaves the keys of other clients unchanged.
    """

    resource: Resource
    obj: Obj
    without: tuple[str, Obj] | None = None
    """An optional field, as the API server names it, and the object without it: that is written where the server does
    not serve the field's value. The refusal is reported."""


@frozen
class Problem:
    """Why a condition is not True: its reason (a constant of ``desired/reasons.py``) and a message for people."""

    reason: str
    message: str


class SecretState(StrEnum):
    """Where a Secret that a Space or App names was found."""

    COPY = "Copy"  # in the Space's namespace, copied by decco from its own
    LOCAL = "Local"  # in the Space's namespace, created by another client
    PENDING = "Pending"  # shared with the Space, the copy not written yet
    DELETED = "Deleted"  # as Copy, but its source was just deleted and may be created again
    TAKEN = "Taken"  # shared with the Space, but a Secret of another owner has the copy's name
    ISSUING = "Issuing"  # to be issued by cert-manager, and not there
    MISSING = "Missing"  # also if one exists that is not shared with the Space: its tenants may not learn of it


@frozen
class SecretFacts:
    """Properties of a Secret's content, without the content."""

    type: str
    digest: str
    """Digest of the data, so that a change of content is a change of these facts."""
    has_ca: bool
    problem: Problem | None = None
    """Why the pair is not usable (incomplete key, key that does not match, text that is not a certificate), or None."""
    refusal: Problem | None = None
    """Of a shared Secret: why decco copies none of its type, or None."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    """When the certificate, or the first of its issuers in ``tls.crt``, expires."""
    ends_first: str = ""
    """Which one that is, for people; "" if it is the certificate itself."""
    dns_names: tuple[str, ...] | None = None
    """DNS SANs of the first certificate; None if they are not known."""
    lists_from: datetime | None = None
    """Since when the lists of revoked certificates in ``ca.crl`` are in force; None if there are none."""
    lists_until: datetime | None = None
    """When the first of them expires: then every peer is refused. None if that never happens."""
    key_kind: str = ""
    """A name of ``edge_keys``; "" if it is not known."""
    usages: frozenset[str] = frozenset({"server", "client"})
    """What its extended key usage allows."""
    chain: tuple[bytes, ...] = ()
    """SHA-256 of the certificates that a server with this Secret sends: its own, then those of its issuers but for
    self-signed ones, which a server may leave out."""
    ca_pem: str | None = None
    """Text of ``ca.crt``, which is public; edges need it in a ConfigMap to verify pods (encryptHttp)."""
    ca_changed: str = ""
    """Of a copy: value of its annotation ca-changed."""


@frozen
class SecretView:
    """A Secret as one Space sees it; ``facts`` are those of the Secret there, or of the source that is being copied."""

    name: str
    state: SecretState
    facts: SecretFacts | None = None
    by_bare_name: bool = False
    """Whether it is shared by the Space's bare name, which is not an identity."""
    source: SecretFacts | None = None
    """Of a copy whose content is not that of its source: the source's facts."""


@frozen
class SecretSource:
    """A Secret of decco's own namespace that carries the share label."""

    name: str
    type: str
    data: Mapping[str, str] = field(repr=False)
    """Values in base64, as the API serves them."""
    shared_with: frozenset[str]
    """Entries of the annotation share-with, see ``consent.py``."""
    replace_at_once: bool = False
    """Whether its owner requires that former authorities are no longer trusted."""
    created: str = ""
    """metadata.creationTimestamp, RFC 3339 in UTC."""


@frozen
class SecretCopy:
    """Desired copy of a Secret: the content of its source, or an intermediate state of a change to it."""

    name: str
    type: str
    data: Mapping[str, str] = field(repr=False)
    """Values in base64."""
    ca_changed: str = ""
    """Value of the annotation ca-changed; "" for none."""


Served = Mapping[Resource, Resource]
"""The kinds of other projects that this cluster serves -> the same in the version that decco uses. Resources are equal
whatever their version, so ``served.get(TLS_ROUTES)`` is the kind in its served version, or None."""


@frozen
class Claims:
    """Result of the claims on host names (``desired/claims.py``) for one Space. Names are in their canonical form.

    The claims can be newer than the spec that they are used with: a Space may change while it is reconciled. So what a
    Space has is listed, and a name that is in none of the three is not its.
    """

    granted: frozenset[str]
    """The FQDN stands for all that is below it."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """A claimed name -> the Space that has it. Losing the FQDN means losing all that is below it."""
    pending: frozenset[str] = frozenset()
    """Names whose grant is not recorded yet; nothing is written for them before."""

    def holds(self, claimed: str) -> bool:
        """Whether the Space has been granted a name. For a name below the FQDN, pass the FQDN."""
        return canonical(claimed) in self.granted

    def owns(self, claimed: str) -> bool:
        """Whether the Space has the name, or has it once its grant is recorded: no other Space can have it."""
        name = canonical(claimed)
        return name in self.granted or name in self.pending


@frozen
class SpaceFacts:
    """A Space as the reconcilers and other Spaces see it."""

    name: str
    uid: str
    generation: int
    created: str
    """metadata.creationTimestamp, RFC 3339 in UTC: sorts as text."""
    spec: SpaceSpec
    paused: bool = False
    """Whether reconciliation of the Space and its Apps is paused."""
    transfers: Mapping[str, str] = field(default_factory=dict)
    """Host name -> the Space that has to give it up, by annotation."""
    move: Move = NO_MOVE
    """To or from which cluster its names move, by annotation."""
    issuer: IssuerRef | None = None
    """Of the certificates that nobody supplies, see ``issued.py``."""
    issued: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Secret and Certificate of the same name -> names in it. The spec contains these Secrets where none is named."""

    @property
    def fqdn(self) -> str:
        return canonical(f"{self.name}.{self.spec.domain_name}")


class EgressPhase(StrEnum):
    """What the NetworkPolicy of a Space says of connections out of its pods, see ``outgoing.py``."""

    UNLIMITED = "Unlimited"  # nothing: pods that no other policy limits may connect to everything
    PASSING = "Passing"  # everything is permitted, so that policies of Apps limit nothing yet
    DECLARED = "Declared"  # what is listed is permitted


@frozen
class NamedAddresses:
    """What is known of a host name."""

    addresses: tuple[str, ...] = ()
    """Canonical, without duplicates, in a stable order."""
    error: str = ""
    """Why it could not be resolved, "" if it was, or if the last failure means nothing yet."""
    pending: bool = False
    """Whether it was not asked for yet."""


class EdgeInputs(Protocol):
    """What decides which limits the edge keeps. ``SpaceInputs`` and ``AppInputs`` have it, and ``EdgeFacts`` for those
    who know no more.
    """

    @property
    def settings(self) -> Settings: ...
    @property
    def served(self) -> Served: ...
    @property
    def gateway_controller(self) -> str | None: ...
    @property
    def edge_policies(self) -> Mapping[Resource, str]: ...


@frozen
class EdgeFacts:
    """Fields as in ``SpaceInputs``."""

    settings: Settings
    served: Served
    gateway_controller: str | None = None
    edge_policies: Mapping[Resource, str] = field(default_factory=dict)


@frozen
class SpaceInputs:
    """All that the children and the status of one Space depend on."""

    space: SpaceFacts
    settings: Settings
    served: Served
    claims: Claims
    copies: Mapping[str, SecretCopy]
    """Secrets to be copied into the Space: named by it or by one of its Apps, shared, and not hidden by a local one."""
    secrets: Mapping[str, SecretView]
    """The Secrets that the Space itself needs: those that it names, and the pull Secrets of its sidecars."""
    now: datetime
    """Used for expiry only."""
    in_force: Mapping[str, datetime] = field(default_factory=dict)
    """Secret -> when its new certificate will be in the copy. Only Secrets whose authority has just changed."""
    namespace_uid: str | None = None
    """UID of the Space's own namespace, None if it does not exist."""
    record: str = ""
    """The annotation of the namespace that records the grants of host names, see ``claims.record_text``."""
    transferred: Mapping[str, str] = field(default_factory=dict)
    """The transfers to the Space that took place, by host name; for another annotation of the namespace."""
    hostnames: Sequence[Obj] = ()
    """The recorded grants for ``status.hostnames``."""
    gateway_controller: str | None = None
    """As in ``AppInputs``."""
    edge_policies: Mapping[Resource, str] = field(default_factory=dict)
    """Policies (namespace/name) of the whole shared Gateway, by kind: one of the Space would replace them."""
    egress: EgressPhase = EgressPhase.UNLIMITED
    """What the Space's policy is to say now."""
    egress_waits: tuple[str, ...] = ()
    """The Apps that keep the phase Passing."""
    restored: str = ""
    """When decco took the namespace over, as ``Record.restored``."""
    noted: frozenset[str] = frozenset()
    """The labels and annotations of the live namespace that only some Spaces have: they are removed where they do not
    apply. A namespace without them is not written for them."""
    mesh: MeshView = NO_MESH
    """With the phase that is desired now."""
    mesh_record: MeshRecord | None = None
    """What the namespace is to record."""
    mesh_waits: tuple[str, ...] = ()
    """The Apps without the policies of the mesh that they need."""
    place: Placed | None = None
    """What this cluster does for the Space; None without placement."""
    departed: Mapping[str, str] = field(default_factory=dict)
    """Space that is gone or going and has a name that this one claims -> what is left of it, and what to do."""
    issued: frozenset[str] = frozenset()
    """The Certificates that are needed now, of ``space.issued``."""
    issuing: Mapping[str, Problem] = field(default_factory=dict)
    """Those of them without a usable Secret -> why."""


@frozen
class EgressTarget:
    host: str
    """The name that the sidecar resolves."""
    port: int
    hostname: str
    """Name that the server's certificate must have; also the TLS server name (SNI)."""
    pods: tuple[str, str, int] | None = None
    """Space, App and port of the pods behind the Service; None if it is not an endpoint, or if nothing listens there.
    Only in Spaces whose egress is limited."""


@frozen
class AppInputs:
    """All that the children of one App depend on."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: AppSpec
    space: SpaceFacts
    settings: Settings
    served: Served
    claims: Claims
    """Of the Space."""
    secrets: Mapping[str, SecretView]
    """Every Secret that the App names, the certificates of its Space, and those of the Space's other Secrets that its
    pod refers to."""
    targets: Mapping[tuple[str, str], EgressTarget]
    """(Space, endpoint) -> target, for the egresses by endpoint that can be resolved."""
    taken: Mapping[str, str]
    """"name:<Service>", "path:<path without a slash at the end>" (at all names), "path:<path>@<host name>" or
    "hostname:<hostname>" -> the oldest App of the same Space that has it."""
    now: datetime
    run: RunRecord | None = None
    """Record of the Job in the App's status."""
    job: JobView | None = None
    """The live Job of the App, or None."""
    job_lost: bool = False
    """Whether the API server reported that the recorded Job does not exist, although its run had not ended."""
    live_replicas: LiveReplicas | None = None
    """Of the live Deployment or StatefulSet; None if there is none."""
    has_budget: bool = False
    """Whether the App's PodDisruptionBudget exists."""
    simulated: bool = False
    """Whether this is a simulation: no run is recorded, and the Job is rendered without ``suspend``."""
    gateway_controller: str | None = None
    """controllerName of the class of the Gateway that routes are attached to; None if it is not known."""
    canaries: tuple[Canary, ...] = ()
    """The Apps with a share of this App's traffic, the oldest first."""
    primary: Primary | None = None
    """Of a canary: the App that it names, if it exists."""
    egress: EgressPhase = EgressPhase.UNLIMITED
    """What the live policy of the Space says."""
    addresses: Mapping[str, NamedAddresses] = field(default_factory=dict)
    """Host name -> its addresses, for ``outgoing.names_of``."""
    edge_addresses: frozenset[str] = frozenset()
    """IP addresses of the edge."""
    edge_policies: Mapping[Resource, str] = field(default_factory=dict)
    """As in ``SpaceInputs``."""
    mesh: MeshView = NO_MESH
    """With the phase of the live namespace."""
    starting: frozenset[str] = frozenset()
    """HTTP endpoints whose gateway may not know a ready pod yet. A gateway reports that it does before its proxy does,
    and the route's own answer to probes does not depend on pods: so it is another one until then, and the proxy that
    gives the last one has the pods."""
    egress_recorded: bool = False
    """Whether the live policy of the App has the annotation egress-addresses."""
    egress_limited: bool = False
    """Whether the live policy of the App has rules for egress."""
    place: Placed | None = None
    """What this cluster does for the App; None without placement. Where it has no pods, ``spec`` is that of a suspended
    App."""

    @property
    def away(self) -> Placed | None:
        """The App's place, if it is to have no pods here."""
        return self.place if self.place is not None and self.place.away else None

    @property
    def edge_may_have_ca(self) -> bool:
        """Whether the edge verifies pods by the ``ca.crt`` of the Space's HTTP Secret rather than the system's
        authorities.

        A Secret with unknown content is assumed to have one: the loss of a Secret must not widen the edge's trust.
        """
        name = self.space.spec.http_cert_secret_name
        view = self.secrets.get(name) if name is not None else None
        return name is not None and (view is None or view.facts is None or view.facts.has_ca)

    @property
    def run_digest(self) -> str:
        """Identifies the run that the App requests; "" if it requests none."""
        return requested_run(self.spec)
