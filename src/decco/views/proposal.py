"""``decco init``: a settings file for what is found in the cluster, with a comment for each choice.

What is certain becomes a setting; what has to be chosen or is not known becomes a comment with an example. It only
reads, as far as the user may.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from decco.desired.gateway_status import ACCEPTED, PROGRAMMED, current
from decco.desired.routing.dialects import dialects
from decco.dns.providers import settings_models
from decco.frozen import frozen
from decco.kube import discovery
from decco.kube.client import Client
from decco.kube.errors import Forbidden, NotFound, NotServed
from decco.objects import (
    GATEWAY_CLASSES,
    GATEWAY_GROUP,
    GATEWAYS,
    LISTENER_SETS,
    MANAGED_SELECTOR,
    SERVICES,
    Key,
    Obj,
    Resource,
    annotations_of,
    key_of,
    labels_of,
)
from decco.text import clean
from decco.views.findings import Finding
from decco.views.preflight.edge import DEFAULT_CLASS
from decco.views.preflight.model import INGRESS_CLASSES, NODES

DIALECTS = {dialect.controller: name for name, dialect in dialects().items()}
"""spec.controller of an IngressClass -> the dialect for it."""
GATEWAY_LABELS = (
    ("gateway.networking.k8s.io/gateway-name", ""),
    ("gateway.envoyproxy.io/owning-gateway-name", "gateway.envoyproxy.io/owning-gateway-namespace"),
)
"""Labels of the Services in front of a Gateway's pods: its name (GEP-1762), and its namespace if they are elsewhere."""
_SHOWN = 5


@dataclass(slots=True)
class ClusterInventory:
    """What the user may read of a cluster."""

    kinds: frozenset[str] = frozenset()
    """Kinds of the Gateway API that are served."""
    classes: list[Obj] = field(default_factory=list)
    gateways: list[Obj] = field(default_factory=list)
    """Except those that decco has made."""
    ingress_classes: list[Obj] = field(default_factory=list)
    services: list[Obj] = field(default_factory=list)
    clouds: frozenset[str] = frozenset()
    dns_kinds: list[str] = field(default_factory=list)
    """DNS providers that write a kind which the cluster serves."""
    hidden: list[str] = field(default_factory=list)
    """Kinds that may not be read."""


async def read_cluster(client: Client) -> ClusterInventory:
    """Raises KubeError if the API server cannot be reached."""
    found = ClusterInventory()

    async def objects(resource: Resource, labels: str = "") -> list[Obj]:
        try:
            return [obj async for obj in _all(client, resource, labels)]
        except Forbidden:
            found.hidden.append(resource.plural)
        except (NotFound, NotServed):
            pass  # none of a kind that is not served
        return []

    served = await discovery.served(client, GATEWAY_GROUP)
    found.kinds = frozenset(served)
    found.classes = await objects(served.get(GATEWAY_CLASSES.kind, GATEWAY_CLASSES))
    gateways = await objects(served.get(GATEWAYS.kind, GATEWAYS))
    found.gateways = [obj for obj in gateways if not _is_of_decco(obj)]
    found.ingress_classes = await objects(INGRESS_CLASSES)
    found.services = await objects(SERVICES)
    found.clouds = frozenset(
        str((node.get("spec") or {}).get("providerID", "")).partition("://")[0] for node in await objects(NODES)
    )
    for name, model in settings_models().items():
        if model.kind is not None and model.kind.kind in await discovery.served(client, model.kind.group):
            found.dns_kinds.append(name)
    return found


async def _all(client: Client, resource: Resource, labels: str) -> AsyncIterator[Obj]:
    async for page in client.list_pages(resource, labels=labels):
        for obj in page.items:
            yield obj


def _is_of_decco(obj: Obj) -> bool:
    name, _, value = MANAGED_SELECTOR.partition("=")
    return labels_of(obj).get(name) == value


# -- the edge ---------------------------------------------------------------------------------------------------------


@frozen
class Edge:
    """The chosen routing: exactly one of the names is set, or none."""

    gateway: Key | None = None
    gateway_class: str | None = None
    ingress_class: str | None = None
    dialect: str | None = None
    others: tuple[str, ...] = ()
    """What could have been chosen as well."""
    refused: tuple[str, ...] = ()
    """What cannot be chosen, and why."""
    namespace: str | None = None
    """Of its pods."""


def choose(found: ClusterInventory) -> Edge:
    """A shared Gateway, else a GatewayClass, else an Ingress controller."""
    judged = [(obj, _unfit(found, obj)) for obj in found.gateways]
    refused = [f"{key_of(obj)}: {why}" for obj, why in judged if why is not None]
    shared = sorted(
        [obj for obj, why in judged if why is None],
        key=lambda obj: (current(obj).get(PROGRAMMED, {}).get("status") != "True", key_of(obj)),
    )
    classes = sorted(
        [obj["metadata"]["name"] for obj in found.classes if current(obj).get(ACCEPTED, {}).get("status") == "True"],
        key=lambda name: (name != "decco", name),
    )
    if shared:
        keys = [key_of(obj) for obj in shared]
        return Edge(
            gateway=keys[0], others=_named(keys[1:]), refused=tuple(refused), namespace=_pods_of(found, keys[0])
        )
    if classes:
        namespaces = sorted({where for obj in found.gateways if (where := _pods_of(found, key_of(obj))) is not None})
        namespace = namespaces[0] if len(namespaces) == 1 else None
        return Edge(gateway_class=classes[0], others=_named(classes[1:]), refused=tuple(refused), namespace=namespace)
    known = sorted(
        [obj for obj in found.ingress_classes if (obj.get("spec") or {}).get("controller") in DIALECTS],
        key=lambda obj: (annotations_of(obj).get(DEFAULT_CLASS) != "true", obj["metadata"]["name"]),
    )
    if known:
        name, dialect = known[0]["metadata"]["name"], DIALECTS[known[0]["spec"]["controller"]]
        others = _named(obj["metadata"]["name"] for obj in known[1:])
        return Edge(ingress_class=name, dialect=dialect, others=others, refused=tuple(refused))
    return Edge(refused=tuple(refused))


def _named(names: Iterable[object]) -> tuple[str, ...]:
    return tuple(map(str, names))


def _unfit(found: ClusterInventory, gateway: Obj) -> str | None:
    """Why a Gateway cannot be shared by Spaces."""
    if LISTENER_SETS.kind not in found.kinds:
        return "the cluster serves no ListenerSets (Gateway API v1.5 or later)"
    who = ((gateway["spec"].get("allowedListeners") or {}).get("namespaces") or {}).get("from", "None")
    if who not in ("All", "Selector"):
        return f"it lets no ListenerSets in (allowedListeners.namespaces.from is {who})"
    return None


def _pods_of(found: ClusterInventory, gateway: Key) -> str | None:
    """The namespace of a Gateway's pods, that of its Services; None if it is not known."""
    for name, namespace in GATEWAY_LABELS:
        for obj in found.services:
            labels, where = labels_of(obj), str(obj["metadata"]["namespace"])
            if (
                labels.get(name) == gateway.name
                and (labels.get(namespace) if namespace else where) == gateway.namespace
            ):
                return where
    return None


# -- the file ---------------------------------------------------------------------------------------------------------


def settings_text(found: ClusterInventory) -> str:
    """The file, which is valid as it is."""
    edge = choose(found)
    lines = [
        "# Settings of decco for this cluster, proposed by `decco init`. docs/reference/settings.md has all of them.",
        "# Lines with # are not in force: remove the # of what applies. The file goes into the ConfigMap",
        "# decco-controller (manifests/controller/settings.yaml), key decco.yaml, or to the flag --config.",
    ]
    if found.hidden:
        lines.append(f"# Not readable with your rights, so not considered: {', '.join(found.hidden)}.")
    for section in (_routing(found, edge), _edge(edge), _dns(found)):
        lines += ["", *section]
    return "\n".join(map(clean, lines)) + "\n"


def _routing(found: ClusterInventory, edge: Edge) -> Iterator[str]:
    yield "routing:"
    if edge.gateway is not None:
        yield "  backend: gateway"
        yield "  # A shared Gateway that lets ListenerSets in: each Space gets a ListenerSet on it."
        yield f"  parentGateway: {_value(edge.gateway)}"
    elif edge.gateway_class is not None:
        yield "  backend: gateway"
        yield "  # An accepted GatewayClass: each Space gets a Gateway of its own, often with its own load balancer."
        yield f"  gatewayClassName: {_value(edge.gateway_class)}"
        yield "  # A shared Gateway needs one address only; it must let ListenerSets of Spaces in (docs/routing.md)."
        yield "  # parentGateway: edge/shared"
    elif edge.ingress_class is not None:
        yield "  # No GatewayClass is accepted here, and there is an Ingress controller that decco has a dialect for."
        yield "  backend: ingress"
        yield f"  ingressDialect: {_value(edge.dialect)}"
        yield f"  ingressClassName: {_value(edge.ingress_class)}"
    else:
        yield "  # Nothing was found that carries traffic to Spaces: neither an accepted GatewayClass, nor an Ingress"
        yield f"  # controller of a dialect ({', '.join(sorted(DIALECTS.values()))}). Install one, and run this again."
        yield "  backend: gateway"
    if edge.others:
        yield f"  # Also possible: {', '.join(edge.others[:_SHOWN])}"
    for each in edge.refused[:_SHOWN]:
        yield f"  # Not possible as it is: {each}"
    if found.kinds and "TLSRoute" not in found.kinds and edge.ingress_class is None:
        yield "  # The cluster serves no TLSRoutes, which TCP endpoints need: install the Gateway API v1.5 or later."


def _edge(edge: Edge) -> Iterator[str]:
    example = "envoy-gateway-system" if edge.ingress_class is None else "ingress-nginx"
    if edge.namespace is not None:
        yield "edge:"
        yield "  # The namespace of the edge's pods, which may connect to Spaces with a project."
        yield f"  namespace: {_value(edge.namespace)}"
    else:
        yield "# The namespace of the edge's pods is not known. Without it, or the edge's addresses if it is on the"
        yield "# host network, Spaces with a project are not Ready."
        yield "# edge:"
        yield f"#   namespace: {example}"
        yield "#   cidrs: [192.0.2.0/24]"
    if edge.ingress_class is not None:
        yield "# The Service whose load balancer has the address for DNS records, below edge:"
        yield f"#   service: {example}/{example}-controller"


def _dns(found: ClusterInventory) -> Iterator[str]:
    provider, why = "route53", "No provider is known here; docs/dns.md has all of them."
    needs: tuple[str, ...] = ()
    models = settings_models()
    for name, model in models.items():
        if model.cloud in found.clouds:
            provider, why, needs = name, f"The nodes are of a cloud with {model.title}.", model.proposed
    for name in found.dns_kinds:
        provider, why, needs = name, models[name].title, models[name].proposed
    yield f"# Host names are published by somebody else until a provider is set. {why}"
    yield "# dns:"
    yield "#   providers:"
    yield f"#   - type: {provider}"
    yield "#     zones: [example.com]"
    yield from (f"#     {each}" for each in needs)


def _value(value: object) -> str:
    """A name as YAML: without quotes a namespace named "true" would be no text."""
    return json.dumps(str(value))


def remarks(found: ClusterInventory) -> Iterator[Finding]:
    """What keeps the file from being complete."""
    edge = choose(found)
    if found.hidden:
        text = f"you may not read {', '.join(found.hidden)}: what they would show is not considered"
        yield Finding("", text, "kinds-hidden")
    if edge.gateway is None and edge.gateway_class is None and edge.ingress_class is None:
        text = (
            "nothing that carries traffic to Spaces was found: install a gateway controller, and run `decco init` again"
        )
        yield Finding("", text, "gateway-class-missing")
    elif edge.namespace is None:
        text = "the namespace of the edge's pods was not found: set edge.namespace or edge.cidrs in the file"
        yield Finding("", text, "edge-unknown")
