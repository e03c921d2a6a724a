"""Checks of the edge: Gateway API and its classes, Ingress, and DNS providers."""

from __future__ import annotations

import asyncio

from decco.desired.routing.dialects import dialects
from decco.dns.errors import DnsError
from decco.dns.factory import make_provider
from decco.errors import ConfigError
from decco.kube.errors import NotFound
from decco.objects import GATEWAY_CLASSES, GATEWAY_GROUP, GATEWAYS, SPACES, Key, Obj
from decco.reconcilers.discover import missing
from decco.reconcilers.providers import read_outside
from decco.settings import RoutingBackend
from decco.views.preflight.model import CRDS, INGRESS_CLASSES, Check, ClusterContext, Grade

FEATURES = frozenset({"Gateway", "HTTPRoute", "TLSRoute", "HTTPRoutePathRewrite", "HTTPRouteSchemeRedirect"})
"""Features of the Gateway API (pkg/features) that decco's listeners and routes need."""
LISTENER_SETS = "ListenerSet"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
BUNDLE = "gateway.networking.k8s.io/bundle-version"
CHANNEL = "gateway.networking.k8s.io/channel"
DNS_SECONDS = 15.0


async def routing(context: ClusterContext) -> list[Check]:
    settings = context.settings.routing
    if lacking := missing(context.served, settings):
        what = (
            "the Gateway API, v1.5 or later"
            if settings.backend is RoutingBackend.GATEWAY
            else dialects()[settings.ingress_dialect].crds
        )
        text = f"the cluster does not serve {', '.join(lacking)}: install {what}, or set routing.backend to another"
        return [Check("routing", Grade.FAILURE, text)]
    if settings.backend is RoutingBackend.NONE:
        return [Check("routing", Grade.OK, "none: Services only")]
    if settings.backend is RoutingBackend.INGRESS:
        return [await _ingress_class(context)]
    found = [await _gateway_api(context)]
    if settings.parent_gateway is not None:
        found += await _parent(context, settings.parent_gateway)
    else:
        found.append(await _gateway_class(context, settings.gateway_class_name, shared=False))
    return found


async def _gateway_api(context: ClusterContext) -> Check:
    kinds = (kind for kind in context.served.values() if kind.group == GATEWAY_GROUP)
    versions = ", ".join(f"{kind.kind} {kind.version}" for kind in kinds)
    bundle = ""
    try:
        crd = await context.client.get(CRDS, Key("", f"gateways.{GATEWAY_GROUP}"))
        annotations = crd["metadata"].get("annotations") or {}
        if BUNDLE in annotations:
            bundle = f"{annotations[BUNDLE]}, {annotations.get(CHANNEL, 'standard')} channel: "
    except NotFound:
        pass
    return Check("gateway api", Grade.OK, f"{bundle}{versions}")


async def _gateway_class(context: ClusterContext, name: str, *, shared: bool) -> Check:
    about = f"gateway class {name}"
    where = "the parent Gateway" if shared else "routing.gatewayClassName"
    try:
        found = await context.client.get(GATEWAY_CLASSES, Key("", name))
    except NotFound:
        text = f"there is no such GatewayClass, which {where} names: install a gateway controller, or name its class"
        return Check(about, Grade.FAILURE, text)
    accepted = _condition(found, "Accepted")
    controller = found["spec"].get("controllerName", "?")
    if accepted.get("status") != "True":
        if accepted.get("status") == "False":
            text = f"{controller} does not accept it: {accepted.get('reason')}: {accepted.get('message')}"
        else:
            text = f"no controller has accepted it: is {controller} running?"
        return Check(about, Grade.FAILURE, text)
    features = {_name(feature) for feature in (found.get("status") or {}).get("supportedFeatures") or ()}
    if not features:
        return Check(about, Grade.OK, f"accepted by {controller}, which does not list its features")
    needed = FEATURES | ({LISTENER_SETS} if shared else frozenset())
    lacking = sorted(needed - features)
    if lacking:
        text = (
            f"accepted by {controller}, which does not claim to support {', '.join(lacking)}: "
            "try a Space, or take another"
        )
        return Check(about, Grade.WARNING, text)
    return Check(about, Grade.OK, f"accepted by {controller}, with all features that decco needs")


def _name(feature: object) -> str:
    """The name of a feature: a string up to v1.2 of the Gateway API, an object with a name since then."""
    return str(feature.get("name")) if isinstance(feature, dict) else str(feature)


async def _parent(context: ClusterContext, reference: str) -> list[Check]:
    about = f"gateway {reference}"
    namespace, _, name = reference.partition("/")
    try:
        gateway = await context.client.get(context.served.get(GATEWAYS, GATEWAYS), Key(namespace, name))
    except NotFound:
        text = "there is no such Gateway, which routing.parentGateway names: create it, or name another"
        return [Check(about, Grade.FAILURE, text)]
    found = [_allows(about, gateway)]
    programmed = _condition(gateway, "Programmed")
    if programmed.get("status") != "True":
        reason = f"{programmed.get('reason')}: {programmed.get('message')}" if programmed else "no controller answered"
        found.append(
            Check(about, Grade.FAILURE, f"it is not in effect, see its conditions and its controller: {reason}")
        )
    elif not (gateway.get("status") or {}).get("addresses") and not context.settings.edge.addresses:
        text = "it has no address, and no setting names one: DNS records have no target; set edge.addresses"
        found.append(Check(about, Grade.WARNING, text))
    found.append(await _gateway_class(context, gateway["spec"]["gatewayClassName"], shared=True))
    return found


def _allows(about: str, gateway: Obj) -> Check:
    who = ((gateway["spec"].get("allowedListeners") or {}).get("namespaces") or {}).get("from", "None")
    if who == "All":
        return Check(about, Grade.OK, "lets ListenerSets of all namespaces in")
    if who == "Selector":
        text = "lets ListenerSets of some namespaces in: its selector must fit decco.platform9.com/space on namespaces"
        return Check(about, Grade.WARNING, text)
    text = f"lets no ListenerSet of a Space in (allowedListeners.namespaces.from is {who}): set it to All"
    return Check(about, Grade.FAILURE, text)


async def _ingress_class(context: ClusterContext) -> Check:
    name = context.settings.routing.ingress_class_name
    classes = [obj async for page in context.client.list_pages(INGRESS_CLASSES) for obj in page.items]
    if name is not None:
        if any(obj["metadata"]["name"] == name for obj in classes):
            return Check("ingress class", Grade.OK, name)
        known = ", ".join(sorted(obj["metadata"]["name"] for obj in classes)) or "none"
        text = (
            f"there is no IngressClass {name}, which routing.ingressClassName names: "
            f"name another (there is {known}), or create it"
        )
        return Check("ingress class", Grade.FAILURE, text)
    defaults = [o for o in classes if (o["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    if not defaults:
        text = "no IngressClass is the default: set routing.ingressClassName, or annotate one"
        return Check("ingress class", Grade.FAILURE, text)
    return Check("ingress class", Grade.OK, f"{defaults[0]['metadata']['name']}, the default")


async def access(context: ClusterContext) -> list[Check]:
    """Whether Spaces with a project allow traffic from the edge."""
    edge = context.settings.edge
    if edge.namespace is not None or edge.cidrs:
        sources = [f"namespace {edge.namespace}"] if edge.namespace is not None else []
        return [Check("edge", Grade.OK, f"identified by {', '.join([*sources, *edge.cidrs])}")]
    if context.settings.routing.backend is RoutingBackend.NONE:
        return []
    pages = context.client.list_pages(SPACES)
    closed = [obj["metadata"]["name"] async for page in pages for obj in page.items if obj["spec"].get("project")]
    text = (
        "neither edge.namespace nor edge.cidrs is set: Spaces with a project let no traffic of the edge in, so set one"
    )
    if not closed:
        return [Check("edge", Grade.WARNING, text)]
    more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
    return [Check("edge", Grade.FAILURE, f"{text}, such as {closed[0]}{more}")]


async def dns(context: ClusterContext) -> list[Check]:
    """Check that each provider answers and has its zones. Reads only."""
    settings = context.settings
    if not settings.dns.providers:
        return [Check("dns", Grade.OK, "no provider is set: names are published by somebody else")]
    try:
        outside = await read_outside(settings, context.client)
    except ConfigError as error:
        return [Check("dns", Grade.FAILURE, str(error))]
    found = []
    for one in settings.dns.providers:
        about = f"dns {one.name or one.type}"
        try:
            provider = make_provider(one, outside)
            try:
                zones = await asyncio.wait_for(provider.zones(), DNS_SECONDS)
            finally:
                await provider.close()
        except (DnsError, ConfigError) as error:
            found.append(Check(about, Grade.FAILURE, str(error)))
            continue
        except TimeoutError:
            text = f"no answer within {DNS_SECONDS:.0f} s: is it up, and can this machine connect to it?"
            found.append(Check(about, Grade.FAILURE, text))
            continue
        lacking = sorted(set(provider.zone_names) - {zone.name for zone in zones})
        if lacking:
            text = f"it does not have {', '.join(lacking)}: create the zone, or correct dns.providers"
            found.append(Check(about, Grade.FAILURE, text))
        else:
            found.append(Check(about, Grade.OK, f"answers, and has {', '.join(sorted(provider.zone_names))}"))
    return found


def _condition(obj: Obj, kind: str) -> Obj:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})
