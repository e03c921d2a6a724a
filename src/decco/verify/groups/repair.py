"""Children that somebody alters or deletes are as declared again; what belongs to users stays.

The App ``mended`` has no pods, so nothing that runs is changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from decco.desired.names import app_policy, stunnel_config
from decco.frozen import frozen
from decco.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    LABEL_APP,
    LABEL_SPACE,
    NAMESPACES,
    NETWORK_POLICIES,
    SERVICES,
    Key,
    Obj,
    Resource,
    labels_of,
    uid_of,
)
from decco.verify.groups.setup import app_of, space
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Check, Probe
from decco.verify.routes import route_kinds
from decco.verify.world import World

APP = "mended"
SECONDS = 15.0


@frozen
class Alteration:
    """``patch`` alters the object; without it the object is deleted."""

    name: str
    text: str
    resource: Resource
    object: str
    patch: Obj | None = None
    after: str = ""


ALTERATIONS = (
    Alteration(
        "service-selector",
        "a Service with another selector",
        SERVICES,
        APP,
        {"spec": {"selector": {LABEL_APP: "nobody"}}},
    ),
    Alteration("service-deleted", "a deleted Service", SERVICES, "mended-tcp"),
    Alteration(
        "deployment-pods",
        "a Deployment with other pods",
        DEPLOYMENTS,
        APP,
        {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 77}}}},
    ),
    Alteration("deployment-deleted", "a deleted Deployment", DEPLOYMENTS, APP, after="deployment-pods"),
    Alteration(
        "sidecar-config",
        "a changed configuration of the sidecar",
        CONFIGMAPS,
        stunnel_config(APP),
        {"data": {"stunnel.conf": "foreground = yes"}},
    ),
    Alteration(
        "sidecar-config-deleted",
        "a deleted configuration of the sidecar",
        CONFIGMAPS,
        stunnel_config(APP),
        after="sidecar-config",
    ),
    Alteration(
        "policy-opened",
        "a NetworkPolicy that was opened",
        NETWORK_POLICIES,
        app_policy(APP),
        {"spec": {"ingress": [{}]}},
    ),
    Alteration("policy-deleted", "a deleted NetworkPolicy", NETWORK_POLICIES, app_policy(APP), after="policy-opened"),
    Alteration(
        "label-removed",
        "a child without decco's label",
        SERVICES,
        APP,
        {"metadata": {"labels": {LABEL_SPACE: None}}},
        after="service-selector",
    ),
)


def _check(alteration: Alteration) -> Check:
    async def check(world: World) -> None:
        key = Key(world.names.space("c"), alteration.object)
        await repaired(world, alteration.resource, key, alteration.patch)

    return check


async def repaired(world: World, resource: Resource, key: Key, patch: Obj | None) -> None:
    """Alters or deletes an object and waits until it is as it was."""
    before = await world.client.get(resource, key)
    if patch is None:
        await world.client.delete(resource, key, uid=uid_of(before))
    else:
        altered = await world.client.patch(resource, key, patch)
        if declared(altered) == declared(before):
            raise NotTested("the API server did not take the alteration")

    async def restored() -> None:
        found = await world.find(resource, key)
        if found is None or (patch is None and uid_of(found) == uid_of(before)):
            raise Failed(f"{resource.kind} {key} is missing")
        if differing := _differing(declared(before), declared(found)):
            raise Failed(f"{resource.kind} {key} is still altered: {differing}")

    await eventually(restored, SECONDS)


def declared(obj: Obj) -> Obj:
    """What decco has declared of an object: without what the API server assigns."""
    spec = {
        name: value
        for name, value in (obj.get("spec") or {}).items()
        if name not in {"clusterIP", "clusterIPs", "replicas"}
    }
    return {"labels": labels_of(obj), "data": obj.get("data"), "spec": spec}


def _differing(before: Any, found: Any, path: str = "") -> str:
    """The first field that differs, with both values; "" if none does."""
    if before == found:
        return ""
    if isinstance(before, dict) and isinstance(found, dict):
        name = next(name for name in sorted({*before, *found}) if before.get(name) != found.get(name))
        return _differing(before.get(name), found.get(name), f"{path}.{name}" if path else name)
    return f"{path} is {found!r}, was {before!r}"


async def _routes(world: World, act: Callable[[Resource, Obj], Awaitable[None]]) -> None:
    tried = False
    for resource in route_kinds(world):
        for route in await world.listed(resource, world.names.space("c"), f"{LABEL_APP}={APP}"):
            tried = True
            await act(resource, route)
    if not tried:
        raise NotTested("the App has no objects of routes")


async def _route_deleted(world: World) -> None:
    async def act(resource: Resource, route: Obj) -> None:
        await repaired(world, resource, Key(route["metadata"]["namespace"], route["metadata"]["name"]), None)

    await _routes(world, act)


async def _route_altered(world: World) -> None:
    async def act(resource: Resource, route: Obj) -> None:
        key = Key(route["metadata"]["namespace"], route["metadata"]["name"])
        await repaired(world, resource, key, {"metadata": {"labels": {LABEL_SPACE: "nobody"}}})

    await _routes(world, act)


async def _namespace(world: World) -> None:
    label = "pod-security.kubernetes.io/enforce"
    await repaired(world, NAMESPACES, Key("", world.names.space("c")), {"metadata": {"labels": {label: "privileged"}}})


async def _scaled(world: World) -> None:
    """Replicas belong to whoever scales."""
    key = Key(world.names.space("c"), "gone")
    await world.client.patch(DEPLOYMENTS, key, {"spec": {"replicas": 2}})
    # Something that decco repairs comes after it, so its reconcile has seen both.
    await repaired(world, DEPLOYMENTS, key, {"metadata": {"labels": {LABEL_SPACE: "nobody"}}})
    if (await world.client.get(DEPLOYMENTS, key))["spec"]["replicas"] != 2:
        raise Failed("the number of replicas was set back", "verify-scaled")


PROBES = (
    *(
        Probe(
            f"repair/{each.name}",
            f"{each.text} is repaired",
            "verify-repair",
            _check(each),
            after=(app_of("c", APP), *((f"repair/{each.after}",) if each.after else ())),
        )
        for each in ALTERATIONS
    ),
    Probe("repair/route", "altered routes are repaired", "verify-repair", _route_altered, after=(app_of("c", APP),)),
    Probe(
        "repair/route-deleted", "deleted routes are repaired", "verify-repair", _route_deleted, after=("repair/route",)
    ),
    Probe(
        "repair/namespace",
        "the Pod Security level of a namespace is repaired",
        "verify-repair",
        _namespace,
        after=(space("c"),),
    ),
    Probe(
        "repair/replicas",
        "a changed number of replicas stays",
        "verify-scaled",
        _scaled,
        after=(app_of("c", "gone"),),
        behind=("routing/http-second-app",),
    ),
)
