"""AppInputs for tests: a Space ``beta`` under ``decco.test`` and one App in it, with whatever a case changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from decco.api.types import AppSpec, SpaceSpec
from decco.desired.app import AppDesired, app_children
from decco.desired.http_names import further_names
from decco.desired.mesh.meshes import meshes
from decco.desired.model import (
    AppInputs,
    Claims,
    EgressTarget,
    SecretFacts,
    SecretState,
    SecretView,
    Served,
    SpaceFacts,
    SpaceInputs,
)
from decco.desired.routing.dialects.traefik import Traefik
from decco.desired.routing.envoy_gateway import POLICIES
from decco.hostnames import canonical
from decco.objects import (
    BACKEND_TLS_POLICIES,
    CERTIFICATES,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    LISTENER_SETS,
    TLS_ROUTES,
    Obj,
    Resource,
)
from decco.settings import Settings

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
FQDN = "beta.decco.test"
SPACE = {"domainName": "decco.test", "httpCertSecretName": "http", "tcpCertAndCaSecretName": "tcp"}
POD = {"containers": [{"name": "main", "image": "example.test/app:1", "ports": [{"containerPort": 8080}]}]}


GATEWAY_API = (GATEWAY_CLASSES, GATEWAYS, LISTENER_SETS, HTTP_ROUTES, TLS_ROUTES, BACKEND_TLS_POLICIES)
MESH_KINDS = tuple(kind for mesh in meshes().values() for kind in mesh.kinds)
SERVED: Served = {kind: kind for kind in (*GATEWAY_API, *Traefik.kinds, CERTIFICATES, *POLICIES, *MESH_KINDS)}


def without(*kinds: Resource) -> Served:
    """A cluster that serves all but these."""
    return {kind: served for kind, served in SERVED.items() if kind not in kinds}


def secret(
    name: str, state: SecretState = SecretState.COPY, *, has_ca: bool = True, facts: bool = True, **more: Any
) -> SecretView:
    known = state in (SecretState.COPY, SecretState.DELETED, SecretState.LOCAL) and facts
    ca_pem = "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n" if has_ca else None
    view = SecretFacts("kubernetes.io/tls", "digest", has_ca=has_ca, ca_pem=ca_pem, **more) if known else None
    return SecretView(name, state, view)


GOOD_SECRETS = {name: secret(name) for name in ("http", "tcp", "own", "client")}


def settings(**routing: Any) -> Settings:
    return Settings.model_validate({"routing": {"parentGateway": "edge/shared", **routing}})


def space_facts(name: str = "beta", **spec: Any) -> SpaceFacts:
    merged = {key: value for key, value in {**SPACE, **spec}.items() if value is not None}
    return SpaceFacts(name, f"uid-{name}", 3, "2026-01-01T00:00:00Z", SpaceSpec.model_validate(merged))


def app(
    spec: Mapping[str, Any] | AppSpec | None = None,
    *,
    name: str = "web",
    space: Mapping[str, Any] | None = None,
    space_name: str = "beta",
    routing: Mapping[str, Any] | None = None,
    served: Served = SERVED,
    lost: Mapping[str, str] | None = None,
    secrets: Mapping[str, SecretView] | None = None,
    targets: Mapping[tuple[str, str], EgressTarget] | None = None,
    taken: Mapping[str, str] | None = None,
    now: datetime = NOW,
) -> AppInputs:
    """An App named ``web``; ``spec`` without ``pod`` gets one container with port 8080."""
    parsed = spec if isinstance(spec, AppSpec) else AppSpec.model_validate({"pod": POD, **(spec or {})})
    return AppInputs(
        namespace=space_name,
        name=name,
        uid=f"uid-{name}",
        generation=5,
        spec=parsed,
        space=space_facts(space_name, **(space or {})),
        settings=settings(**(routing or {})),
        served=served,
        claims=claims_of(space_facts(space_name, **(space or {})), lost),
        secrets=GOOD_SECRETS if secrets is None else secrets,
        targets=targets or {},
        taken=taken or {},
        now=now,
    )


def claims_of(space: SpaceFacts, lost: Mapping[str, str] | None = None) -> Claims:
    """The Space has all names that it claims, but for those that it lost."""
    claimed = {space.fqdn, *map(canonical, space.spec.hostnames), *further_names(space)}
    return Claims(frozenset(claimed - {*(lost or {})}), lost or {})


def space_inputs(
    *,
    routing: Mapping[str, Any] | None = None,
    served: Served = SERVED,
    lost: Mapping[str, str] | None = None,
    secrets: Mapping[str, SecretView] | None = None,
    **spec: Any,
) -> SpaceInputs:
    return SpaceInputs(
        space=space_facts(**spec),
        settings=settings(**(routing or {})),
        served=served,
        claims=claims_of(space_facts(**spec), lost),
        copies={},
        secrets=GOOD_SECRETS if secrets is None else secrets,
        now=NOW,
    )


def objs(desired: AppDesired) -> list[Obj]:
    return [child.obj for child in desired.children]


def by_address(inputs: AppInputs) -> dict[tuple[str, str], Obj]:
    """The children of an App by kind and name."""
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in objs(app_children(inputs))}


def addresses(inputs: AppInputs) -> list[str]:
    """The children of an App as "Kind/name", in their order."""
    return [f"{obj['kind']}/{obj['metadata']['name']}" for obj in objs(app_children(inputs))]


def reasons_of(inputs: AppInputs) -> list[tuple[str, str]]:
    """What is wrong with an App, as (condition, reason)."""
    found = app_children(inputs).problems
    return [(str(condition), problem.reason) for condition, problems in found.items() for problem in problems]


def pod_of(inputs: AppInputs) -> Obj:
    """The PodSpec of the App's Deployment or Job."""
    children = by_address(inputs)
    found = children.get(("Deployment", inputs.name)) or children[("Job", inputs.name)]
    spec: Obj = found["spec"]["template"]["spec"]
    return spec


def config_of(inputs: AppInputs) -> str:
    """The text of stunnel.conf."""
    return str(by_address(inputs)["ConfigMap", f"{inputs.name}-stunnel"]["data"]["stunnel.conf"])


def sections_of(inputs: AppInputs) -> dict[str, list[str]]:
    """The lines of each section of stunnel.conf."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in config_of(inputs).splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line:
            lines.append(line)
    return found
