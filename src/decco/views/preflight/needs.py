"""What fields of Spaces and Apps need of the cluster: cert-manager, policies of the edge, the sidecar's image, metrics.

Nothing is reported where nobody uses the field.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

from decco import __version__
from decco.api.conditions import condition_of
from decco.api.types import IssuerRef
from decco.desired.issued import with_issuer
from decco.desired.issuing import issuer_resource
from decco.desired.limits import given, limits_of
from decco.desired.model import EdgeFacts, SpaceFacts
from decco.desired.routing import envoy_gateway, unkept_limits
from decco.desired.secrets import CA_CRL
from decco.kube import discovery
from decco.kube.errors import KubeError
from decco.objects import (
    AUTOSCALERS,
    CERTIFICATES,
    ENVOY_GATEWAY_GROUP,
    GATEWAY_CLASSES,
    GATEWAYS,
    LABEL_SHARE,
    SECRETS,
    Key,
    Obj,
    Resource,
    key_of,
    labels_of,
)
from decco.settings import RoutingBackend
from decco.text import abbreviated
from decco.views.findings import Finding
from decco.views.preflight.model import ClusterContext

METRICS = {
    **dict.fromkeys(("Resource", "ContainerResource"), "metrics.k8s.io"),
    **dict.fromkeys(("Pods", "Object"), "custom.metrics.k8s.io"),
    "External": "external.metrics.k8s.io",
}
"""Type of a metric of a HorizontalPodAutoscaler -> the API that serves it (k8s.io/metrics)."""
_TAG = re.compile(r":v?(\d+)\.(\d+)[^/:@]*$")
_SHOWN = 3


async def issuers(context: ClusterContext) -> AsyncIterator[Finding]:
    """cert-manager, and each issuer that a Space or the settings name."""
    named: dict[tuple[str, str, str, str], tuple[IssuerRef, str]] = {}
    for space in (await context.spaces()).understood:
        issuer = with_issuer(space, context.settings).issuer
        if issuer is not None:
            namespace = space.name if issuer.kind == "Issuer" else ""
            named.setdefault((issuer.group, issuer.kind, namespace, issuer.name), (issuer, space.name))
    if named and CERTIFICATES not in context.served:
        spaces = _spaces(sorted({space for _, space in named.values()}))
        text = f"certificates of {spaces} are to be issued, and the cluster does not serve {CERTIFICATES.group}"
        yield Finding("cert-manager", f"{text}: install cert-manager, or name Secrets instead", "cert-manager-missing")
        return
    for (_, _, namespace, name), (issuer, space_name) in named.items():
        if (kind := issuer_resource(issuer)) is not None:
            yield await _issuer(context, kind, Key(namespace, name), space_name)


async def _issuer(context: ClusterContext, kind: Resource, key: Key, space: str) -> Finding:
    about = f"{kind.kind.lower()} {key}"
    found = await context.find(kind, key)
    if found is None:
        text = f"there is no such {kind.kind}, which certificates of Space {space} are to come from: create it"
        return Finding(about, text, "issuer-missing")
    ready = condition_of(found, "Ready")
    if ready.get("status") == "True":
        return Finding(about, "ready")
    reason = f"{ready.get('reason')}: {ready.get('message')}" if ready else "cert-manager has not answered"
    return Finding(about, f"it is not ready, so nothing is issued or renewed: {reason}", "issuer-not-ready")


async def limits(context: ClusterContext) -> AsyncIterator[Finding]:
    """Whether the edge keeps the limits of Spaces."""
    limited = [space for space in (await context.spaces()).understood if given(limits_of(space))]
    if not limited or context.settings.routing.backend is RoutingBackend.NONE:
        return
    edge = await _edge(context)
    lacking = {space.name: unkept for space in limited if (unkept := unkept_limits(edge, limits_of(space)))}
    if not lacking:
        yield Finding("limits", f"the edge has what {_spaces(sorted(space.name for space in limited))} ask for")
    elif kinds := _missing_kinds(edge, limited):
        text = f"limits of {_spaces(sorted(lacking))} need {', '.join(kinds)} of {ENVOY_GATEWAY_GROUP}"
        text += ", which the cluster does not serve: install the CRDs of Envoy Gateway"
        yield Finding("limits", text, "limits-kinds-missing")
    else:
        first = min(lacking)
        limit, why = next(iter(lacking[first].items()))
        text = f"the edge does not keep all limits of {_spaces(sorted(lacking))}, such as {limit}: {why}; see `decco "
        yield Finding("limits", f"{text}explain {first}`", "limits-not-kept")


def _missing_kinds(edge: EdgeFacts, limited: Sequence[SpaceFacts]) -> list[str]:
    """The kinds that Envoy Gateway's edge would need for these Spaces; [] for another edge."""
    if edge.settings.routing.backend is not RoutingBackend.GATEWAY:
        return []
    if edge.gateway_controller is not None and not envoy_gateway.is_envoy_gateway(edge.gateway_controller):
        return []
    kinds = {kind for space in limited for kind in envoy_gateway.kinds_for(limits_of(space))}
    return sorted(kind.kind for kind in kinds if kind not in edge.served)


async def _edge(context: ClusterContext) -> EdgeFacts:
    """As the controller sees it."""
    settings, served = context.settings, context.served
    if settings.routing.backend is not RoutingBackend.GATEWAY:
        return EdgeFacts(settings, served)
    policies: dict[Resource, str] = {}
    namespace, _, gateway = (settings.routing.parent_gateway or "").partition("/")
    for kind in envoy_gateway.POLICIES if gateway else ():
        if (resource := served.get(kind)) is not None:
            found = [obj async for obj in context.objects_if_served(resource, namespace=namespace)]
            of_gateway = sorted(str(key_of(obj)) for obj in found if _is_for(obj, gateway))
            if of_gateway:
                policies[kind] = of_gateway[0]
    return EdgeFacts(settings, served, await _gateway_controller(context), policies)


def _is_for(policy: Obj, gateway: str) -> bool:
    targets = envoy_gateway.targeted_gateways(policy)
    return "deletionTimestamp" not in policy["metadata"] and (targets is None or gateway in targets)


async def _gateway_controller(context: ClusterContext) -> str | None:
    """controllerName of the class of the edge; None if it is not known."""
    routing = context.settings.routing
    name: object = routing.gateway_class_name
    if routing.parent_gateway is not None:
        namespace, _, parent = routing.parent_gateway.partition("/")
        gateway = await context.find(context.served.get(GATEWAYS, GATEWAYS), Key(namespace, parent))
        name = gateway["spec"].get("gatewayClassName") if gateway is not None else None
    kind = context.served.get(GATEWAY_CLASSES, GATEWAY_CLASSES)
    found = await context.find(kind, Key("", name)) if isinstance(name, str) else None
    return str(found["spec"].get("controllerName")) if found is not None else None


async def sidecar(context: ClusterContext) -> AsyncIterator[Finding]:
    """Whether the sidecar's image reads lists of revoked certificates, if a shared Secret has some."""
    image = context.settings.sidecar.image
    listed = sorted(
        [
            str(obj["metadata"]["name"])
            async for obj in context.objects(SECRETS, namespace=context.settings.namespace)
            if LABEL_SHARE in labels_of(obj) and CA_CRL in (obj.get("data") or {})
        ]
    )
    if not listed:
        return
    secrets = f"the {CA_CRL} of Secret {abbreviated(listed, _SHOWN)}"
    match, own = _TAG.search(image), re.match(r"(\d+)\.(\d+)", __version__)
    if match is None or own is None:
        text = f"the image {image} does not contain its version: one of an earlier decco ignores {secrets}"
        yield Finding("sidecar", text, "sidecar-version-unknown")
    elif tuple(map(int, match.groups())) < tuple(map(int, own.groups())):
        text = f"the image {image} is older than decco {__version__} and may ignore {secrets}: set sidecar.image"
        yield Finding("sidecar", text, "sidecar-too-old")
    else:
        yield Finding("sidecar", f"the image {image} reads {secrets}")


async def autoscalers(context: ClusterContext) -> AsyncIterator[Finding]:
    """Whether the APIs are served whose metrics scale the Apps of Spaces."""
    spaces = {space.name for space in (await context.spaces()).understood}
    needed: dict[str, list[str]] = {}
    count = 0
    async for obj in context.objects(AUTOSCALERS):
        key = Key(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if key.namespace not in spaces:
            continue
        count += 1
        types = {str(each.get("type")) for each in (obj.get("spec") or {}).get("metrics") or ()}
        for group in sorted({METRICS[each] for each in types if each in METRICS}):
            needed.setdefault(group, []).append(str(key))
    lacking = [group for group in needed if not await _is_served(context, group)]
    for group in lacking:
        scaled = abbreviated(sorted(needed[group]), _SHOWN)
        text = f"HorizontalPodAutoscaler {scaled} scales by {group}, which is not served"
        yield Finding("autoscalers", f"{text}: install what serves it (such as metrics-server)", "metrics-missing")
    if count and not lacking:
        yield Finding("autoscalers", f"{count} in Spaces, and their metrics are served")


async def _is_served(context: ClusterContext, group: str) -> bool:
    """An API whose server does not answer counts as not served: discovery fails then."""
    try:
        return bool(await discovery.served(context.client, group))
    except KubeError:
        return False


def _spaces(spaces: list[str]) -> str:
    return f"Space{'s' if len(spaces) > 1 else ''} {abbreviated(spaces, _SHOWN)}"
