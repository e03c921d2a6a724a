"""Who is in a mesh: a Space of a project, its namespace, the namespaces of the edge and of monitoring. Its policies
list these, so the Apps of the Spaces there depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired.grants import Record
from decco.desired.mesh_state import MeshPhase
from decco.desired.model import SpaceFacts
from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.objects import Key
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.handlers.common import apps_of, space_and_apps
from decco.reconcilers.mesh import mesh_record


def project_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A Space that joins or leaves a project, or is gone."""
    old, new = _project(change.old), _project(change.new)
    if old != new:
        yield from _apps_in(caches, {old, new} - {None}, change.entry.key.name)
    if old != new or change.old is None or change.new is None:
        yield from _servers(caches, change.entry.key.name)


def member_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A namespace that became, or ceased to be, that of its Space, or has another phase of its mesh."""
    if _member(change.old) != _member(change.new):
        project = _project(caches.spaces.get(change.entry.key))
        yield from _apps_in(caches, {project} - {None}, change.entry.key.name)
    if _owner(change.old) != _owner(change.new):
        yield from _servers(caches, change.entry.key.name)


def policy_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A policy in the namespace of a Space whose pods enter its mesh once all of them exist."""
    found = caches.space(change.entry.key.namespace)
    record = mesh_record(caches, found[1]) if found is not None else None
    if record is not None and record.phase is MeshPhase.PREPARED:
        yield Request(Key("", change.entry.key.namespace))


def client_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A namespace of the edge or of monitoring."""
    old, new = (entry.facts if entry is not None else None for entry in (change.old, change.new))
    if old != new:
        for space in caches.claimants.values():
            if mesh_record(caches, space) is not None:
                yield from space_and_apps(caches, space.name)


def _apps_in(caches: Caches, projects: set[str | None], without: str) -> Iterator[Request]:
    """The Apps of the other Spaces of these projects that are in a mesh."""
    for space in caches.claimants.values() if projects else ():
        if space.name != without and space.spec.project in projects and mesh_record(caches, space) is not None:
            yield from apps_of(caches, space.name)


def _servers(caches: Caches, name: str) -> Iterator[Request]:
    """Apps that may permit service accounts of this Space."""
    return (Request(key) for key in caches.index.servers_of_space(name))


def _project(entry: Entry | None) -> str | None:
    facts = entry.facts if entry is not None and not entry.deleting else None
    return facts.spec.project if isinstance(facts, SpaceFacts) else None


def _owner(entry: Entry | None) -> tuple[object, object] | None:
    """Who has the namespace, and with which names."""
    return None if entry is None or entry.deleting else (entry.owner_uid, entry.facts)


def _member(entry: Entry | None) -> tuple[object, object] | None:
    if entry is None or entry.deleting or not isinstance(entry.facts, Record):
        return None
    return entry.owner_uid, entry.facts.mesh
