"""Checks of the edge: Gateway API and its classes, Ingress, and DNS providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from decco.desired import reasons
from decco.desired.gateway_status import ACCEPTED, PROGRAMMED, current, status_of
from decco.desired.routing.dialects import dialects
from decco.dns.errors import REASONS, DnsError
from decco.dns.factory import make_provider
from decco.errors import ConfigError
from decco.objects import GATEWAY_CLASSES, GATEWAY_GROUP, GATEWAYS, LABEL_SPACE, Key, Obj, annotations_of
from decco.reconcilers.discover import missing
from decco.reconcilers.providers import read_provider_environment
from decco.settings import RoutingBackend
from decco.views.findings import Finding
from decco.views.preflight.model import CRDS, INGRESS_CLASSES, ClusterContext

FEATURES = frozenset({"Gateway", "HTTPRoute", "TLSRoute", "HTTPRoutePathRewrite", "HTTPRouteSchemeRedirect"})
"""Features of the Gateway API (pkg/features) that decco's listeners and routes need."""
LISTENER_SETS = "ListenerSet"
OF_SPACES = {"matchExpressions": [{"key": LABEL_SPACE, "operator": "Exists"}]}
"""The selector of the namespaces of Spaces; tenants cannot write the label."""
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
BUNDLE = "gateway.networking.k8s.io/bundle-version"
CHANNEL = "gateway.networking.k8s.io/channel"
DNS_SECONDS = 15.0
GATEWAY_API = "v1.6.3"
"""The version that decco is tested with."""
INSTALL_GATEWAY_API = (
    "kubectl apply --server-side -f "
    f"https://github.com/kubernetes-sigs/gateway-api/releases/download/{GATEWAY_API}/standard-install.yaml"
)


async def routing(context: ClusterContext) -> AsyncIterator[Finding]:
    settings = context.settings.routing
    if lacking := missing(context.served, settings):
        what = (
            f"the Gateway API, v1.5 or later (`{INSTALL_GATEWAY_API}`)"
            if settings.backend is RoutingBackend.GATEWAY
            else dialects()[settings.ingress_dialect].crds
        )
        text = f"the cluster does not serve {', '.join(lacking)}: install {what}, or set routing.backend to another"
        yield Finding("routing", text, "routing-kinds-missing")
    elif settings.backend is RoutingBackend.NONE:
        yield Finding("routing", "none: Services only")
    elif settings.backend is RoutingBackend.INGRESS:
        yield await _ingress_class(context)
    else:
        yield await _gateway_api(context)
        if settings.parent_gateway is None:
            yield await _gateway_class(context, settings.gateway_class_name, shared=False)
        else:
            async for finding in _parent(context, settings.parent_gateway):
                yield finding


async def _gateway_api(context: ClusterContext) -> Finding:
    kinds = (kind for kind in context.served.values() if kind.group == GATEWAY_GROUP)
    versions = ", ".join(f"{kind.kind} {kind.version}" for kind in kinds)
    crd = await context.find(CRDS, Key("", f"gateways.{GATEWAY_GROUP}"))
    annotations = annotations_of(crd) if crd is not None else {}
    bundle = ""
    if BUNDLE in annotations:
        bundle = f"{annotations[BUNDLE]}, {annotations.get(CHANNEL, 'standard')} channel: "
    return Finding("gateway api", f"{bundle}{versions}")


async def _gateway_class(context: ClusterContext, name: str, *, shared: bool) -> Finding:
    about = f"gateway class {name}"
    found = await context.find(GATEWAY_CLASSES, Key("", name))
    if found is None:
        where = "the parent Gateway" if shared else "routing.gatewayClassName"
        names = sorted([obj["metadata"]["name"] async for obj in context.objects_if_served(GATEWAY_CLASSES)])
        text = f"there is no such GatewayClass, which {where} names: install a gateway controller, or name its class"
        text += f" (there is {', '.join(names) or 'none'}; `decco init` proposes settings)"
        return Finding(about, text, "gateway-class-missing")
    accepted = current(found).get(ACCEPTED, {})
    controller = found["spec"].get("controllerName", "?")
    if accepted.get("status") == "False":
        text = f"{controller} does not accept it: {accepted.get('reason')}: {accepted.get('message')}"
        return Finding(about, text, "gateway-class-refused")
    if accepted.get("status") != "True":
        text = f"no controller has accepted it: is {controller} running?"
        return Finding(about, text, "gateway-class-unanswered")
    features = {_name(feature) for feature in status_of(found).get("supportedFeatures") or ()}
    if not features:
        return Finding(about, f"accepted by {controller}, which does not list its features")
    lacking = sorted((FEATURES | ({LISTENER_SETS} if shared else frozenset())) - features)
    if not lacking:
        return Finding(about, f"accepted by {controller}, with all features that decco needs")
    text = f"accepted by {controller}, which does not claim to support {', '.join(lacking)}: "
    return Finding(about, f"{text}try a Space, or take another", "gateway-class-lacks-features")


def _name(feature: object) -> str:
    """The name of a feature: a string up to v1.2 of the Gateway API, an object with a name since then."""
    return str(feature.get("name")) if isinstance(feature, dict) else str(feature)


async def _parent(context: ClusterContext, reference: str) -> AsyncIterator[Finding]:
    about = f"gateway {reference}"
    namespace, _, name = reference.partition("/")
    gateway = await context.find(context.served.get(GATEWAYS, GATEWAYS), Key(namespace, name))
    if gateway is None:
        text = "there is no such Gateway, which routing.parentGateway names: create it, or name another"
        yield Finding(about, text, "gateway-missing")
        return
    yield _allows(about, gateway)
    programmed = current(gateway).get(PROGRAMMED, {})
    if programmed.get("status") != "True":
        reason = (
            f"{programmed.get('reason')}: {programmed.get('message')}" if programmed else "no controller has answered"
        )
        text = f"it is not in effect, see its conditions and its controller: {reason}"
        yield Finding(about, text, "gateway-not-in-effect")
    elif not status_of(gateway).get("addresses") and not context.settings.edge.addresses:
        text = "it has no address, and no setting names one: DNS records have no target; set edge.addresses"
        yield Finding(about, text, "gateway-without-address")
    yield await _gateway_class(context, gateway["spec"]["gatewayClassName"], shared=True)


def _allows(about: str, gateway: Obj) -> Finding:
    namespaces = (gateway["spec"].get("allowedListeners") or {}).get("namespaces") or {}
    who = namespaces.get("from", "None")
    if who == "All":
        text = f"lets ListenerSets of all namespaces in: set from to Selector, and the selector to match {LABEL_SPACE}"
        return Finding(about, text, "gateway-allows-all")
    if who == "Selector" and namespaces.get("selector") == OF_SPACES:
        return Finding(about, "lets ListenerSets of Spaces in")
    if who == "Selector":
        text = "lets ListenerSets of some namespaces in: its selector must fit decco.platform9.com/space on namespaces"
        return Finding(about, text, "gateway-allows-some")
    text = (
        f"lets no ListenerSet of a Space in (allowedListeners.namespaces.from is {who}): set it to Selector, and the "
        f"selector to match the label {LABEL_SPACE} on namespaces"
    )
    return Finding(about, text, "gateway-allows-none")


async def _ingress_class(context: ClusterContext) -> Finding:
    about, name = "ingress class", context.settings.routing.ingress_class_name
    classes = [obj async for obj in context.objects(INGRESS_CLASSES)]
    names = sorted(obj["metadata"]["name"] for obj in classes)
    if name is None:
        defaults = [obj["metadata"]["name"] for obj in classes if annotations_of(obj).get(DEFAULT_CLASS) == "true"]
        if defaults:
            return Finding(about, f"{defaults[0]}, the default")
        text = "no IngressClass is the default: set routing.ingressClassName, or annotate one"
        return Finding(about, text, "ingress-class-without-default")
    if name in names:
        return Finding(about, name)
    text = f"there is no IngressClass {name}, which routing.ingressClassName names: "
    text += f"name another (there is {', '.join(names) or 'none'}), or create it"
    return Finding(about, text, "ingress-class-missing")


async def access(context: ClusterContext) -> AsyncIterator[Finding]:
    """Whether Spaces with a project allow traffic from the edge."""
    edge = context.settings.edge
    if edge.namespace is not None or edge.cidrs:
        sources = [f"namespace {edge.namespace}"] if edge.namespace is not None else []
        yield Finding("edge", f"identified by {', '.join([*sources, *edge.cidrs])}")
    elif context.settings.routing.backend is not RoutingBackend.NONE:
        spaces = (await context.spaces()).objects
        closed = [obj["metadata"]["name"] for obj in spaces if obj["spec"].get("project")]
        text = "neither edge.namespace nor edge.cidrs is set: "
        text += "Spaces with a project let no traffic of the edge in, so set one (`decco init` looks for it)"
        if closed:
            text += f", such as {closed[0]}" + (f" and {len(closed) - 1} more" if len(closed) > 1 else "")
        yield Finding("edge", text, "edge-unknown-to-projects" if closed else "edge-unknown")


async def dns(context: ClusterContext) -> AsyncIterator[Finding]:
    """Check that each provider answers and has its zones. Reads only."""
    settings = context.settings
    if not settings.dns.providers:
        yield Finding("dns", "no provider is set: names are published by somebody else")
        return
    try:
        environment = await read_provider_environment(settings, context.client)
    except ConfigError as error:
        yield Finding("dns", str(error), "dns-provider-wrong")
        return
    for one in settings.dns.providers:
        about = f"dns {one.label}"
        try:
            provider = make_provider(one, environment)
            try:
                zones = await asyncio.wait_for(provider.zones(), DNS_SECONDS)
            finally:
                await provider.close()
        except ConfigError as error:
            yield Finding(about, str(error), "dns-provider-wrong")
        except DnsError as error:
            yield Finding(about, str(error), error.reason if error.reason in REASONS else reasons.DNS_FAILED)
        except TimeoutError:
            text = f"no answer within {DNS_SECONDS:.0f} s: is it up, and can this machine connect to it?"
            yield Finding(about, text, "dns-provider-silent")
        else:
            if lacking := sorted(set(provider.zone_names) - {zone.name for zone in zones}):
                text = f"it does not have {', '.join(lacking)}: create the zone, or correct dns.providers"
                yield Finding(about, text, "dns-zone-missing")
            else:
                yield Finding(about, f"answers, and has {', '.join(sorted(provider.zone_names))}")
