"""What the pure middle is given and what it gives back.

The reconcilers gather these frozen values from the caches; everything under ``desired/`` is a function of them. Dicts
in here are shared with nobody and are still never changed: a builder makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from decco.api.types import AppSpec, SpaceSpec
from decco.desired.runs import JobView, RunRecord
from decco.objects import Obj, Resource
from decco.settings import Settings


def canonical(hostname: str) -> str:
    """A host name as it is compared: lower case (RFC 4343), without the root's dot."""
    return hostname.lower().removesuffix(".")


@dataclass(frozen=True, slots=True)
class Child:
    """One object that must exist.

    A label or annotation whose value is None must be absent from the live object: this is how a key that decco wrote
    earlier, and wants no longer, is taken back without touching keys that others added.
    """

    resource: Resource
    obj: Obj


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a condition is not True: its reason (a constant of ``desired/reasons.py``) and a sentence for a person."""

    reason: str
    message: str


class SecretState(StrEnum):
    """Where a Secret that a Space or App names was found."""

    COPY = "Copy"  # in the Space's namespace, copied by decco from its own
    LOCAL = "Local"  # in the Space's namespace, put there by somebody else
    PENDING = "Pending"  # shared with the Space, the copy not written yet
    DELETED = "Deleted"  # as Copy, but its source has just been deleted and may be on its way back
    TAKEN = "Taken"  # shared with the Space, but somebody else's Secret has the copy's name
    MISSING = "Missing"
    NOT_SHARED = "NotShared"  # exists in decco's namespace, but its owner does not consent


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """What decco needs to know of a Secret's content, without keeping it."""

    type: str
    digest: str
    """Digest of the data, so that a change of content is a change of these facts."""
    has_ca: bool
    problem: Problem | None = None
    """Half a key, a key that does not fit, text that is no certificate: None if it is a usable pair."""
    not_after: datetime | None = None
    dns_names: tuple[str, ...] = ()
    """DNS SANs of the first certificate."""
    ca_pem: str | None = None
    """Text of ``ca.crt``, which is public: edges want it in a ConfigMap to verify pods by (encryptHttp)."""
    ca_changed: str = ""
    """Of a copy: value of its annotation ca-changed."""


@dataclass(frozen=True, slots=True)
class SecretView:
    """A Secret as one Space sees it; ``facts`` are those of the Secret there, or of the source that is being copied."""

    name: str
    state: SecretState
    facts: SecretFacts | None = None


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A Secret of decco's own namespace that carries the share label."""

    name: str
    type: str
    data: Mapping[str, str]
    """Values in base64, as the API serves them."""
    shared_with: frozenset[str]
    """Space names, or "*"."""
    replace_at_once: bool = False
    """Whether its owner wants no former authority to be trusted any longer."""

    def consents_to(self, space: str) -> bool:
        return "*" in self.shared_with or space in self.shared_with


@dataclass(frozen=True, slots=True)
class SecretCopy:
    """What a copy of a Secret must be: its source, or on the way from the former content to it."""

    name: str
    type: str
    data: Mapping[str, str]
    """Values in base64."""
    ca_changed: str = ""
    """Value of the annotation ca-changed; "" for none."""


@dataclass(frozen=True, slots=True)
class Served:
    """The API versions that this cluster serves of optional kinds, found by discovery; a kind not served is None."""

    gateway: Resource | None = None
    listener_set: Resource | None = None
    http_route: Resource | None = None
    tls_route: Resource | None = None
    backend_tls_policy: Resource | None = None
    ingress_route_tcp: Resource | None = None  # Traefik
    middleware: Resource | None = None  # Traefik
    servers_transport: Resource | None = None  # Traefik
    tls_option: Resource | None = None  # Traefik


@dataclass(frozen=True, slots=True)
class Claims:
    """What the claims on host names (``desired/claims.py``) decided about one Space.

    ``lost`` maps a claimed name (the FQDN, or one of ``hostnames``) to the older Space that has it. Names are in their
    canonical form. Losing the FQDN means losing all that is below it.
    """

    lost: Mapping[str, str] = field(default_factory=dict)

    def holds(self, claimed: str) -> bool:
        """Whether the Space has a name that it claims; for a name below the FQDN ask about the FQDN."""
        return canonical(claimed) not in self.lost


@dataclass(frozen=True, slots=True)
class SpaceFacts:
    """A Space as the reconcilers and other Spaces see it."""

    name: str
    uid: str
    generation: int
    created: str
    """metadata.creationTimestamp, RFC 3339 in UTC: sorts as text."""
    spec: SpaceSpec
    paused: bool = False
    """Whether a person asked decco to leave the Space and its Apps alone for now."""

    @property
    def fqdn(self) -> str:
        return canonical(f"{self.name}.{self.spec.domain_name}")


@dataclass(frozen=True, slots=True)
class SpaceInputs:
    """All that the children and the status of one Space depend on."""

    space: SpaceFacts
    settings: Settings
    served: Served
    claims: Claims
    copies: Mapping[str, SecretCopy]
    """Secrets to be copied into the Space: named by it or by one of its Apps, shared, and not hidden by a local one."""
    secrets: Mapping[str, SecretView]
    """The Secrets that the Space itself names (httpCertSecretName, tcpCertAndCaSecretName)."""
    now: datetime
    """For expiry only."""
    in_force: Mapping[str, datetime] = field(default_factory=dict)
    """Secret -> when its new certificate will be in the copy; those alone whose authority has just changed."""
    namespace_uid: str | None = None
    """UID of the Space's own namespace, None while there is none."""


@dataclass(frozen=True, slots=True)
class EgressTarget:
    """Where an egress by ``endpoint`` leads: the Service's name in the cluster, its port, and the name it must show."""

    host: str
    port: int
    hostname: str


@dataclass(frozen=True, slots=True)
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
    """Every Secret that the App names, and those of its Space."""
    targets: Mapping[tuple[str, str], EgressTarget]
    """(Space, endpoint) -> target, for the egresses by endpoint that can be resolved."""
    taken: Mapping[str, str]
    """"name:<Service>", "path:<httpPath without a slash at the end>" or "hostname:<hostname>" -> the oldest App of the
    same Space that has it."""
    now: datetime
    run: RunRecord | None = None
    """What the App's status remembers of its Job."""
    job: JobView | None = None
    """The App's Job as it is, None if there is none."""
    job_lost: bool = False
    """Whether the API server has said that the recorded Job does not exist, although its run had not ended."""
    simulated: bool = False
    """Whether nothing will be written, and so no run recorded: the Job is shown as it will run."""
