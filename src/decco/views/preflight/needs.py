"""What fields of Spaces and Apps need of the cluster: cert-manager, policies of the edge, the sidecar's image, metrics.

Nothing is reported where nobody uses the field.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from decco import __version__
from decco.api.conditions import condition_of
from decco.api.types import IssuerRef
from decco.desired.issued import with_issuer
from decco.desired.issuing import issuer_resource
from decco.desired.limits import given, limits_of
from decco.desired.routing import envoy_gateway
from decco.desired.routing.dialects import dialects
from decco.desired.secrets import CA_CRL
from decco.kube import discovery
from decco.kube.errors import KubeError
from decco.objects import (
    CERTIFICATES,
    ENVOY_GATEWAY_GROUP,
    GATEWAY_CLASSES,
    GATEWAYS,
    LABEL_SHARE,
    SECRETS,
    SPACES,
    Key,
    Resource,
    labels_of,
)
from decco.settings import RoutingBackend
from decco.views.findings import Finding
from decco.views.preflight.model import ClusterContext, understood

AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
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
    async for space in understood(context.objects(SPACES)):
        issuer = with_issuer(space, context.settings).issuer
        if issuer is not None:
            namespace = space.name if issuer.kind == "Issuer" else ""
            named.setdefault((issuer.group, issuer.kind, namespace, issuer.name), (issuer, space.name))
    if named and CERTIFICATES not in context.served:
        spaces = _listed(sorted({space for _, space in named.values()}))
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
    limited = [space async for space in understood(context.objects(SPACES)) if given(limits_of(space))]
    routing = context.settings.routing
    if not limited or routing.backend is RoutingBackend.NONE:
        return
    if routing.backend is RoutingBackend.INGRESS:
        dialect = dialects()[routing.ingress_dialect]
        lacking = {
            space.name: sorted(set(given(limits_of(space))) - dialect.kept_limits(limits_of(space)))
            for space in limited
        }
        edge = f"the ingress controller {routing.ingress_dialect}"
    else:
        controller = await _gateway_controller(context)
        known = controller is None or envoy_gateway.is_envoy_gateway(controller)
        missing = {
            space.name: [
                kind.kind
                for kind in envoy_gateway.kinds_for(limits_of(space))
                if not known or kind not in context.served
            ]
            for space in limited
        }
        if known and any(missing.values()):
            kinds = sorted({kind for each in missing.values() for kind in each})
            whose = _listed(sorted(name for name, each in missing.items() if each))
            text = (
                f"limits of {whose} need {', '.join(kinds)} of {ENVOY_GATEWAY_GROUP}, which the cluster does not serve"
            )
            yield Finding("limits", f"{text}: install the CRDs of Envoy Gateway", "limits-kinds-missing")
            return
        lacking, edge = missing, f"the gateway controller {controller}"
    spaces = sorted(name for name, each in lacking.items() if each)
    if spaces:
        text = f"{edge} does not keep all limits of {_listed(spaces)}: see `decco explain {spaces[0]}`"
        yield Finding("limits", text, "limits-not-kept")
    else:
        yield Finding("limits", f"the edge has what {_listed(sorted(space.name for space in limited))} ask for")


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
    secrets = f"the {CA_CRL} of Secret {_names(listed)}"
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
    spaces = {space.name async for space in understood(context.objects(SPACES))}
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
        text = f"HorizontalPodAutoscaler {_names(sorted(needed[group]))} scales by {group}, which is not served"
        yield Finding("autoscalers", f"{text}: install what serves it (such as metrics-server)", "metrics-missing")
    if count and not lacking:
        yield Finding("autoscalers", f"{count} in Spaces, and their metrics are served")


async def _is_served(context: ClusterContext, group: str) -> bool:
    """An API whose server does not answer counts as not served: discovery fails then."""
    try:
        return bool(await discovery.served(context.client, group))
    except KubeError:
        return False


def _listed(spaces: list[str]) -> str:
    return f"Space{'s' if len(spaces) > 1 else ''} {_names(spaces)}"


def _names(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
