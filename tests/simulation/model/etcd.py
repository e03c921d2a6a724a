"""The model's storage: every version of every object since the last compaction, as etcd keeps them.

Objects are not changed in place: a write stores another dict, so a reader may keep what it got.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.simulation.model.kinds import Kind, Obj


class Address(NamedTuple):
    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One revision. ``before`` is None for a creation, ``after`` for a deletion."""

    revision: int
    address: Address
    before: Obj | None
    after: Obj | None

    @property
    def last(self) -> Obj:
        """The object after the change; of a deletion its last state, with the revision of the deletion."""
        if self.after is not None:
            return self.after
        assert self.before is not None
        return {**self.before, "metadata": {**self.before["metadata"], "resourceVersion": str(self.revision)}}


@dataclass(frozen=True, slots=True)
class Snapshot:
    revision: int
    objects: dict[Address, Obj]


class Etcd:
    """``followers`` are called with each change, in order."""

    def __init__(self) -> None:
        self.revision = 1000
        self.compacted = 0
        self.objects: dict[Address, Obj] = {}
        self.history: list[Change] = []
        self.followers: list[Callable[[Change], None]] = []

    def get(self, address: Address) -> Obj | None:
        return self.objects.get(address)

    def put(self, address: Address, obj: Obj) -> Obj:
        """Stores the object, whose metadata gets the new revision; returns it as stored."""
        before = self.objects.get(address)
        self.revision += 1
        stored = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        self.objects[address] = stored
        self._changed(Change(self.revision, address, before, stored))
        return stored

    def remove(self, address: Address) -> Obj:
        before = self.objects.pop(address)
        self.revision += 1
        change = Change(self.revision, address, before, None)
        self._changed(change)
        return change.last

    def _changed(self, change: Change) -> None:
        self.history.append(change)
        for follow in tuple(self.followers):
            follow(change)

    def of_kind(self, kind: Kind, namespace: str = "") -> list[tuple[Address, Obj]]:
        """In the order of their keys, as etcd's ranges are."""
        found = [
            (address, obj)
            for address, obj in self.objects.items()
            if address.kind == kind and namespace in ("", address.namespace)
        ]
        return sorted(found, key=lambda each: each[0][1:])

    def at(self, revision: int, kind: Kind, namespace: str = "") -> list[tuple[Address, Obj]]:
        """The objects of a kind as they were at a revision that is not compacted."""
        found = dict(self.of_kind(kind, namespace))
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            address = change.address
            if address.kind != kind or namespace not in ("", address.namespace):
                continue
            if change.before is None:
                found.pop(address, None)
            else:
                found[address] = change.before
        return sorted(found.items(), key=lambda each: each[0][1:])

    def since(self, revision: int) -> list[Change]:
        """The changes after a revision."""
        start = bisect_right(self.history, revision, key=lambda change: change.revision)
        return self.history[start:]

    def compact(self, revision: int) -> None:
        self.compacted = max(self.compacted, min(revision, self.revision))
        self.history = self.since(self.compacted)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.revision, dict(self.objects))

    def restore(self, snapshot: Snapshot) -> None:
        """The state of the snapshot, and nothing of its history; the callers end all watches."""
        self.revision = snapshot.revision
        self.objects = dict(snapshot.objects)
        self.history = []
        self.compacted = snapshot.revision
