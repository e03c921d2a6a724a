"""What an App and its canaries know of each other, read from the caches for one reconcile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from decco.api.parse import parse_app
from decco.desired.endpoints import HTTP_PORT
from decco.desired.model import SpaceFacts
from decco.desired.replicas import expected_pods
from decco.desired.shares import Canary, HttpEndpoint, Primary
from decco.objects import (
    BACKEND_TLS_POLICIES,
    DEPLOYMENTS,
    HTTP_ROUTES,
    INGRESSES,
    SERVICES,
    STATEFUL_SETS,
    Key,
    Resource,
)
from decco.reconcilers.caches import Caches
from decco.reconcilers.facts import AppFacts, EndpointFacts
from decco.reconcilers.handlers.canary import backends_of, is_ready
from decco.settings import RoutingBackend


def canaries_of(caches: Caches, primary: Key, space: SpaceFacts, *, simulated: bool) -> tuple[Canary, ...]:
    """The Apps with a share of this App's traffic, the oldest first."""
    return tuple(_canary(caches, key, space, simulated=simulated) for key in caches.index.canaries(primary))


def primary_of(caches: Caches, canary: Key, facts: AppFacts, space: SpaceFacts, *, simulated: bool) -> Primary | None:
    """The App that a canary names; None if the App is no canary, or names one that does not exist."""
    return primary_at(caches, Key(canary.namespace, facts.canary_of or ""), space, simulated=simulated)


def primary_at(caches: Caches, key: Key, space: SpaceFacts, *, simulated: bool) -> Primary | None:
    """An App as its canaries see it; None if there is none."""
    found = caches.index.facts.get(key)
    if found is None:
        return None
    return Primary(
        key.name,
        found.canary_of,
        tuple(_endpoints(found.endpoints, space)),
        canaries_of(caches, key, space, simulated=simulated),
        _carried(caches, key, found),
    )


def _canary(caches: Caches, key: Key, space: SpaceFacts, *, simulated: bool) -> Canary:
    facts = caches.index.facts[key]
    # Without encryptHttp the edge speaks plain HTTP, which a container with TLS of its own does not take.
    reachable = [each for each in facts.endpoints if each.paths and (space.spec.encrypt_http or not each.own_tls)]
    serving = _has_ready_pod(caches, key, facts, simulated=simulated) and (
        simulated or all(_is_complete(caches, key, facts, each, space) for each in reachable)
    )
    return Canary(key.name, facts.weight, tuple(_endpoints(reachable, space)), serving, facts.uid)


def _endpoints(found: Iterable[EndpointFacts], space: SpaceFacts) -> Iterator[HttpEndpoint]:
    for facts in found:
        tls = space.spec.encrypt_http or facts.own_tls
        for path in facts.paths:
            yield HttpEndpoint(facts.name, path, facts.service_port if tls else HTTP_PORT, facts.protocol, tls)


def _has_ready_pod(caches: Caches, key: Key, facts: AppFacts, *, simulated: bool) -> bool:
    app = caches.apps.get(key)
    if app is None or app.deleting:
        return False
    entries = (caches.children[kind].get(key) for kind in (DEPLOYMENTS, STATEFUL_SETS))
    found = [entry.obj() for entry in entries if entry is not None and entry.owner_uid == facts.uid]
    if not simulated:
        return any(is_ready(obj) for obj in found)
    # No pods start there, so the status of a workload is none or that of before the change.
    if not found:
        spec = parse_app(app.obj())
        return not spec.suspend and expected_pods(spec, None) > 0
    return any(obj["spec"].get("replicas", 1) > 0 and ("status" not in obj or is_ready(obj)) for obj in found)


def _is_complete(caches: Caches, key: Key, facts: AppFacts, endpoint: EndpointFacts, space: SpaceFacts) -> bool:
    """Whether the edge finds the Service, and knows by which certificate to verify pods that speak TLS."""
    needed: list[Resource] = [SERVICES]
    if space.spec.encrypt_http and caches.settings.routing.backend is RoutingBackend.GATEWAY:
        needed.append(caches.served.get(BACKEND_TLS_POLICIES, BACKEND_TLS_POLICIES))
    return all(_has(caches, kind, Key(key.namespace, endpoint.name), facts.uid) for kind in needed)


def _has(caches: Caches, kind: Resource, key: Key, owner: str) -> bool:
    store = caches.children.get(kind)
    found = store.get(key) if store is not None else None
    return found is not None and found.owner_uid == owner and not found.deleting


def _carried(caches: Caches, primary: Key, facts: AppFacts) -> frozenset[str]:
    stores = (caches.children.get(kind) for kind in (caches.served.get(HTTP_ROUTES, HTTP_ROUTES), INGRESSES))
    found: frozenset[str] = frozenset()
    for store in stores:
        if store is not None:
            routes = (entry for entry in store.owned_by(facts.uid, primary.namespace) if not entry.deleting)
            found = found.union(*(backends_of(entry.obj()) for entry in routes))
    return found
