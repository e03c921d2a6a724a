"""Service meshes: what the caches contain for ``desired/mesh``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from decco.desired import names
from decco.desired.app import AppDesired, app_children
from decco.desired.grants import Record
from decco.desired.mesh.interface import Mesh
from decco.desired.mesh.meshes import mesh_kinds, meshes
from decco.desired.mesh_state import NO_MESH, Account, MeshPhase, MeshRecord, MeshView, Switch, next_record
from decco.desired.model import AppInputs, Child, SpaceFacts
from decco.frozen import frozen
from decco.kube.entry import Entry
from decco.objects import NAMESPACES, NETWORK_POLICIES, Key, key_of, labels_of
from decco.reconcilers.caches import Caches, Role
from decco.reconcilers.children import ChildWriter, Written
from decco.reconcilers.edge import gateway_controller
from decco.reconcilers.facts import AppFacts

_MONITORING = f"{NAMESPACES}({Role.CLIENT})"


@frozen
class SpaceMesh:
    """What ``SpaceInputs`` have of a Space's mesh; ``seconds``: until its next phase."""

    view: MeshView
    record: MeshRecord | None
    waits: tuple[str, ...]
    seconds: float | None


def mesh_record(caches: Caches, space: SpaceFacts) -> MeshRecord | None:
    """What the Space's own namespace records."""
    entry = caches.children[NAMESPACES].get(Key("", space.name))
    if entry is None or entry.owner_uid != space.uid or not isinstance(entry.facts, Record):
        return None
    return entry.facts.mesh


def _is_served(caches: Caches, mesh: Mesh | None) -> bool:
    return mesh is not None and caches.served.keys() >= set(mesh.kinds)


# -- Space ------------------------------------------------------------------------------------------------------------


def space_mesh(caches: Caches, space: SpaceFacts, now: datetime) -> SpaceMesh:
    """The phase that the Space is to have now. Requests discovery if the kinds of its mesh are not served."""
    namespace = caches.children[NAMESPACES].get(Key("", space.name))
    live = mesh_record(caches, space)
    wanted = meshes().get(space.spec.mesh.value)
    concerned = live if live is not None and live.mesh in meshes() else None
    if wanted is not None and not _is_served(caches, wanted):
        caches.search.set()
    waits = tuple(_waits(caches, space)) if concerned is not None and concerned.phase is MeshPhase.PREPARED else ()
    switch = Switch(
        wanted=space.spec.mesh.value if wanted is not None else "",
        served=_is_served(caches, wanted),
        fresh=namespace is None or namespace.owner_uid != space.uid,
        labelled=wanted is not None and namespace is not None and wanted.is_member(labels_of(namespace.obj())),
        # Without the Space's own mesh policies its Apps' pods could not connect to each other.
        waits=waits if _has_policies(caches, space, wanted) else (*waits, space.name),
        seconds=caches.settings.mesh.switch_seconds,
    )
    record, seconds = next_record(concerned, switch, now)
    view = _view(caches, record)
    if view.name:
        edge = _edge(caches, view.name)
        view = replace(view, clients=tuple(edge), clients_outside=tuple(name for name in edge if not edge[name]))
    return SpaceMesh(view, record, waits, seconds)


def _view(caches: Caches, record: MeshRecord | None) -> MeshView:
    if record is None or not _is_served(caches, meshes().get(record.mesh)):
        return NO_MESH
    return MeshView(record.mesh, record.phase)


def _waits(caches: Caches, space: SpaceFacts) -> Iterator[str]:
    """Apps with endpoints that other namespaces cannot reach by the tunnel yet."""
    policies = caches.children[NETWORK_POLICIES]
    for app in caches.apps.in_namespace(space.name):
        facts = app.facts
        if isinstance(facts, AppFacts) and facts.endpoints and not app.deleting:
            policy = policies.get(Key(space.name, names.app_policy(app.key.name)))
            if policy is not None and policy.owner_uid == app.uid and not _opens_tunnel(policy):
                yield app.key.name


def _has_policies(caches: Caches, space: SpaceFacts, mesh: Mesh | None) -> bool:
    """Whether the policies of the Space itself exist."""
    for kind in mesh.kinds if mesh is not None else ():
        store = caches.children.get(kind)
        entry = store.get(Key(space.name, names.SPACE_OBJECT)) if store is not None else None
        if entry is None or entry.owner_uid != space.uid:
            return False
    return True


def _opens_tunnel(policy: Entry) -> bool:
    tunnels = {mesh.tunnel_port for mesh in meshes().values()}
    rules = (policy.obj().get("spec") or {}).get("ingress") or ()
    return not rules or any(port.get("port") in tunnels for rule in rules for port in rule.get("ports") or ())


# -- App --------------------------------------------------------------------------------------------------------------


def app_mesh(caches: Caches, space: SpaceFacts, plain_clients: Iterable[str] = ()) -> MeshView:
    """The mesh of the App's Space, with those who may connect to it; ``plain_clients`` as in ``AppFacts``."""
    record = mesh_record(caches, space)
    view = _view(caches, record)
    if not view.name:
        return NO_MESH
    clients = dict(_project(caches, space, view.name))
    if space.spec.project is not None:
        clients |= _edge(caches, view.name)
    store = caches.stores.get(_MONITORING)
    monitors = {entry.key.name: view.name in entry.facts for entry in store or () if not entry.deleting}
    return MeshView(
        view.name,
        view.phase,
        clients=tuple(sorted(clients)),
        clients_outside=tuple(sorted(name for name, inside in clients.items() if not inside)),
        monitors=tuple(sorted(monitors)),
        monitors_outside=tuple(sorted(name for name, inside in monitors.items() if not inside)),
        accounts=tuple(_accounts(caches, space, plain_clients)),
    )


def _edge(caches: Caches, mesh: str) -> dict[str, bool]:
    """The namespace of the edge, if there is one, and whether its pods are in the mesh."""
    name = caches.settings.edge.namespace
    if name is None:
        return {}
    own = meshes()[mesh].is_own_edge(gateway_controller(caches))
    return {name: own or any(mesh in entry.facts for entry in caches.edges.get(NAMESPACES, ()))}


def _project(caches: Caches, space: SpaceFacts, mesh: str) -> Iterator[tuple[str, bool]]:
    """The other Spaces of the project that have their namespace, and whether all their pods are in the mesh."""
    if space.spec.project is None:
        return
    for other in caches.claimants.values():
        if other.spec.project != space.spec.project or other.name == space.name:
            continue
        if caches.namespace_uid(other) is not None:
            record = mesh_record(caches, other)
            inside = record is not None and (record.mesh, record.phase) == (mesh, MeshPhase.STRICT)
            yield other.name, inside


def _accounts(caches: Caches, space: SpaceFacts, plain_clients: Iterable[str]) -> Iterator[Account]:
    """Of Spaces that may connect and that have the FQDN below which the name is."""
    for client in sorted(plain_clients):
        account, _, fqdn = client.partition(".")
        other = caches.claimants.get(fqdn.partition(".")[0])
        if (
            other is not None
            and other.fqdn == fqdn
            and (space.spec.project is None or other.spec.project == space.spec.project)
            and caches.namespace_uid(other) is not None
            and caches.claims.claims_of(other.name).claims().holds(fqdn)
        ):
            yield Account(client, other.name, account)


async def write_mesh_policies(
    caches: Caches, writer: ChildWriter, app: Entry, inputs: AppInputs, desired: AppDesired, written: Written
) -> tuple[AppInputs, AppDesired]:
    """Writes the policies of the mesh; without them the tunnel, which leads to all ports of a pod, is not opened."""
    policies = [child for child in desired.children if child.resource in mesh_kinds()]
    await writer.write(policies, written)
    if all(_exists(caches, app, child) for child in policies):
        return inputs, desired
    inputs = replace(inputs, mesh=replace(inputs.mesh, has_policies=False))
    return inputs, app_children(inputs)


def _exists(caches: Caches, app: Entry, policy: Child) -> bool:
    """Whether the App has this policy. An outdated one is enough: it also permits less than the tunnel."""
    store = caches.children.get(policy.resource)
    entry = store.get(key_of(policy.obj)) if store is not None else None
    return entry is not None and entry.owner_uid == app.uid
