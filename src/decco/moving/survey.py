"""What a move would do, what is in its way, and what does not move. Reads both clusters, changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from decco.desired.secrets import named_by_space
from decco.frozen import frozen
from decco.hostnames import zone_of
from decco.kube.errors import KubeError
from decco.moving.side import Side, created_again, is_handed_over, move_of, not_ready
from decco.objects import (
    AUTOSCALERS,
    CONFIGMAPS,
    DEPLOYMENTS,
    FIELD_MANAGER,
    GROUP,
    LABEL_MANAGED_BY,
    NAMESPACES,
    OWN_ACCESS_REVIEWS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    SPACES,
    Key,
    Obj,
    Resource,
    annotations_of,
    labels_of,
)
from decco.reconcilers.facts import app_facts, space_facts
from decco.views.findings import Finding

CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
_OF_USERS = (
    CLAIMS,
    CONFIGMAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    ROLE_BINDINGS,
    AUTOSCALERS,
    DEPLOYMENTS,
)
_OF_KUBERNETES = frozenset({"kube-root-ca.crt", "default"})


@frozen
class Survey:
    """``secrets``: those that the Space and its Apps name in decco's namespace of the source."""

    source: Obj | None
    target: Obj | None
    apps: Sequence[Obj] = ()
    secrets: Sequence[Obj] = ()
    obstacles: Sequence[Finding] = ()
    stays: Sequence[Finding] = ()
    data: bool = False
    """Whether the Space's namespace has volumes, whose data does not move."""


async def survey(name: str, source: Side, target: Side) -> Survey:
    """Raises KubeError where the user may not even read."""
    here, there = await source.space(name), await target.space(name)
    if here is None:
        return Survey(None, there)
    apps = await source.apps(name)
    secrets: list[Obj] = []
    obstacles = [finding async for finding in _obstacles(here, there, source, target)]
    obstacles += [_obstacle(text) for text in not_placed(here, apps, source.id, target.id)]
    for secret_name in sorted(_named(here, apps)):
        found = await source.find(SECRETS, Key(source.settings.namespace, secret_name))
        if found is not None:
            secrets.append(found)
            obstacles += [finding async for finding in _secret_obstacles(found, target)]
        elif await source.find(SECRETS, Key(name, secret_name)) is None:
            obstacles.append(
                _obstacle(f"Secret {secret_name} does not exist in {source}: create it, or do not name it")
            )
    stays = [finding async for finding in left_behind(name, source)]
    return Survey(here, there, apps, secrets, obstacles, stays, data=await has_data(name, source))


def _named(space: Obj, apps: Sequence[Obj]) -> set[str]:
    try:
        return set(named_by_space(space_facts(space).spec)).union(*(app_facts(app).secrets for app in apps))
    except ValueError:  # it is not ready then, which is an obstacle
        return set()


async def _obstacles(here: Obj, there: Obj | None, source: Side, target: Side) -> AsyncIterator[Finding]:
    name = here["metadata"]["name"]
    for text in (*_settings(here, source, target), *_state(here, there, source, target)):
        yield _obstacle(text)
    domain = here["spec"].get("domainName", "")
    needed: list[tuple[Side, str, str, str, str, str]] = [
        (source, "patch", GROUP, "spaces", name, ""),
        (source, "delete", GROUP, "spaces", name, ""),
        (target, "create", GROUP, "apps", "", name),
        (target, "delete", GROUP, "spaces", name, ""),
        *((side, "move", GROUP, "spaces", name, "") for side in (source, target)),
        *((side, "use", GROUP, "domains", domain, "") for side in (source, target)),
    ]
    for side, verb, group, resource, of, namespace in needed:
        if not await _may(side, verb, group, resource, of, namespace):
            where = f" in namespace {namespace}" if namespace else ""
            yield _obstacle(
                f"you may not {verb} {resource}.{group} {of}{where} in {side}: ask its administrator for it"
            )
    if there is None:
        made = created_again(here, **{f"{GROUP}/move": f"from {source.id}"})
        if (refusal := await _refusal(target, SPACES, made)) is not None:
            yield _obstacle(f"{target} refuses Space {name}: {refusal}")
        if await target.find(NAMESPACES, Key("", name)) is not None:
            yield _obstacle(
                f"namespace {name} exists in {target} without a Space: remove it, or choose another cluster"
            )


def _settings(here: Obj, source: Side, target: Side) -> list[str]:
    found = []
    if source.id == target.id:
        found.append(f"both clusters have the clusterId {source.id}: set another one in one of them")
    fqdn = f"{here['metadata']['name']}.{here['spec'].get('domainName', '')}"
    for side in (source, target):
        if side.settings.dns.federation.id:
            found.append(
                f"{side} is of the federation {side.settings.dns.federation.id}, whose clusters share names: add the "
                "Space to the other cluster, and delete it here when it answers there"
            )
        # Objects of a provider's own kind are of this cluster alone.
        shared = (each for each in side.settings.dns.providers if each.readable and each.kind is None)
        zones = [zone for each in shared for zone in each.zones]
        if side.dns is None or zone_of(fqdn, zones) is None:
            found.append(
                f"{side} has no DNS provider for {fqdn} whose zone other clusters can change too: add it to "
                "dns.providers, or change the records by hand"
            )
    return found


def not_placed(space: Obj, apps: Sequence[Obj], source: str, target: str) -> list[str]:
    """The Space, or those of its Apps, whose ``placement`` gives the two clusters different roles: they would not run
    there as they do here.
    """
    try:
        whole = space_facts(space).spec.placement
        placements = {"": whole, **{app["metadata"]["name"]: app_facts(app).placement for app in apps}}
    except ValueError:  # it is not ready then, which is an obstacle
        return []
    name = space["metadata"]["name"]
    return [
        f"spec.placement of {f'App {name}/{app}' if app else f'Space {name}'} gives the clusters {source} and {target} "
        "different roles: give them the same one"
        for app, placement in placements.items()
        if placement is not None and placement.role_in(source) is not placement.role_in(target)
    ]


def _state(here: Obj, there: Obj | None, source: Side, target: Side) -> list[str]:
    name = here["metadata"]["name"]
    found = []
    if annotations_of(here).get(f"{GROUP}/paused") == "true":
        found.append(f"Space {name} is paused in {source}: resume it")
    if there is None and (text := not_ready(here, dns=True)):
        found.append(f"it is not ready in {source}: {text}")
    if "deletionTimestamp" in here["metadata"] and not is_handed_over(there, source):
        found.append(f"Space {name} is being deleted in {source}")
    if there is not None and "deletionTimestamp" in there["metadata"]:
        found.append(f"Space {name} is being deleted in {target}: wait until it is gone")
    known = move_of(here)
    if known.to not in ("", target.id) or known.source not in ("", target.id):
        found.append(f"Space {name} moves {known.text()} already: end that move first, with --back")
    if there is not None and move_of(there).source != source.id and move_of(there).to != source.id:
        found.append(f"Space {name} exists in {target}, and was not created by a move from {source.id}: remove it")
    return found


async def _secret_obstacles(secret: Obj, target: Side) -> AsyncIterator[Finding]:
    key = Key(target.settings.namespace, secret["metadata"]["name"])
    there = await target.find(SECRETS, key)
    if there is None:
        refusal = await _refusal(target, SECRETS, secret_for(secret, target))
        if refusal is not None:
            yield _obstacle(f"{target} refuses Secret {key}: {refusal}")
    elif (there.get("type"), there.get("data")) != (secret.get("type"), secret.get("data")):
        yield _obstacle(
            f"Secret {key} exists in {target} with another content: rename one of the two, or make them equal"
        )


def secret_for(secret: Obj, target: Side) -> Obj:
    """The Secret with its type, labels and annotations, which contain the consent of its owner."""
    made = created_again(secret)
    made["metadata"]["namespace"] = target.settings.namespace
    made.pop("immutable", None)
    return made


async def _may(side: Side, verb: str, group: str, resource: str, name: str, namespace: str) -> bool:
    attributes = {"verb": verb, "group": group, "resource": resource, "name": name, "namespace": namespace}
    answer = await side.client.create_review(OWN_ACCESS_REVIEWS, {"spec": {"resourceAttributes": attributes}})
    return bool((answer.get("status") or {}).get("allowed"))


async def _refusal(side: Side, resource: Resource, obj: Obj) -> str | None:
    try:
        await side.client.check(resource, obj)
    except KubeError as error:
        return str(error)
    return None


async def left_behind(name: str, source: Side) -> AsyncIterator[Finding]:
    """What is in the Space's namespace and does not move."""
    for resource in _OF_USERS:
        async for obj in source.list(resource, name):
            meta = obj["metadata"]
            if meta["name"] in _OF_KUBERNETES or labels_of(obj).get(LABEL_MANAGED_BY) == FIELD_MANAGER:
                continue
            if any(owner.get("controller") for owner in meta.get("ownerReferences") or ()):
                continue
            data = ", nor does its data" if resource == CLAIMS else ""
            yield Finding("", f"{resource.kind} {name}/{meta['name']} does not move{data}", "move-stays")


async def has_data(name: str, side: Side) -> bool:
    return any([True async for _ in side.list(CLAIMS, name)])


def _obstacle(text: str) -> Finding:
    return Finding("", text, "move-obstacle")
