"""The dry-run client: replaces the client of the controller's code, records every write and sends none.

Without a cluster a written object is stored as it is. With a cluster the API server previews the write
(``dryRun=All``), including defaulting, admission and refusals, as for ``kubectl diff``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from decco.errors import DeccoError
from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.errors import AlreadyExists, Forbidden, NotFound, NotServed
from decco.kube.store import Store
from decco.objects import Key, Obj, Resource, key_of, uid_of
from decco.reconcilers.requested_secrets import find_secret
from decco.views.findings import permission_lacking
from decco.views.snapshot import Snapshot, placeholder

WRITTEN_NOW = 2**62
"""resourceVersion of objects written by the dry-run client: newer than any of a server."""


@frozen
class Write:
    """An object that would be created (``before`` is None), changed, or deleted (``after`` is None)."""

    resource: Resource
    key: Key
    before: Obj | None
    after: Obj | None

    @property
    def verb(self) -> str:
        if self.before is None:
            return "create"
        return "change" if self.after is not None else "delete"


class MayNotAskError(DeccoError):
    """The user may not write the object, so the API server does not preview the write either."""


class DryRunClient:
    """The ``Writer`` of a simulation. ``client`` is used for previews and Secrets; None: offline."""

    def __init__(self, snapshot: Snapshot, client: Client | None = None, *, preview: bool = False) -> None:
        self._snapshot = snapshot
        self._client = client
        self._preview = client if preview else None
        self.writes: dict[tuple[Resource, Key], Write] = {}
        self.unseen_secrets: set[Key] = set()
        """Secrets in namespaces of Spaces that the user may not read."""

    async def find_secret(self, key: Key) -> Obj | None:
        """The Secret in the files, or in the cluster as far as the user may read it."""
        given = next((obj for obj in self._snapshot.local_secrets if key_of(obj) == key), None)
        if given is not None or self._client is None:
            return given
        try:
            return await find_secret(self._client, key)
        except Forbidden:
            self.unseen_secrets.add(key)
            return None

    async def get(self, resource: Resource, key: Key) -> Obj:
        if self._client is None:
            raise NotFound(404, "NotFound", f"{resource} {key} not found")
        return await self._client.get(resource, key)

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        del strict
        made = obj
        if self._client is not None and self._preview is None:
            await self._raise_if_taken(resource, key_of(obj))
        if self._preview is not None:
            try:
                made = await self.preview(resource, obj)
            except NotFound as error:
                if error.details.get("kind") != "namespaces":
                    raise
        made = _stamped(resource, made)
        self._note(resource, None, made)
        return made

    async def _raise_if_taken(self, resource: Resource, key: Key) -> None:
        """Raise AlreadyExists as a server would: the cache contains decco's own objects only."""
        if not self._snapshot.may_read(resource, key.namespace):
            return
        try:
            await self.get(resource, key)
        except (NotFound, NotServed, Forbidden):
            return
        raise AlreadyExists(409, "AlreadyExists", f"{resource} {key} already exists")

    async def check(self, resource: Resource, obj: Obj) -> None:
        if self._preview is not None:
            with _explained_refusal():
                await self._preview.check(resource, obj)

    async def preview(self, resource: Resource, obj: Obj) -> Obj:
        """The object as the API server would store it; offline the object as it is."""
        if self._preview is None:
            return obj
        with _explained_refusal():
            return await self._preview.preview(resource, obj)

    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        del strict
        live = self._live(resource, key_of(obj))
        made = await self.preview(resource, obj)
        if live is not None and "status" in live:
            made = {**made, "status": live["status"]}
        self._note(resource, live, made)
        return _stamped(resource, made)

    async def delete(self, resource: Resource, key: Key, *, uid: str, propagation: str = "Background") -> None:
        del propagation
        live = self._live(resource, key)
        if live is None:
            live = await self.get(resource, key)
        self.writes[resource, key] = Write(resource, key, live, None)
        # Removed immediately, so that the next reconcile creates its replacement.
        self._store(resource).remove(key, uid, WRITTEN_NOW)

    def _note(self, resource: Resource, before: Obj | None, after: Obj) -> None:
        key = key_of(after)
        known = self.writes.get((resource, key))
        if known is not None and before is None:
            before = known.before  # deleted before: together they are a replacement
        self.writes[resource, key] = Write(resource, key, before, after)

    def _live(self, resource: Resource, key: Key) -> Obj | None:
        entry = self._store(resource).get(key)
        return entry.obj() if entry is not None else None

    def _store(self, resource: Resource) -> Store:
        return self._snapshot.caches.children[resource]


@contextmanager
def _explained_refusal() -> Iterator[None]:
    try:
        yield
    except Forbidden as error:
        lacking = permission_lacking(error)
        if lacking is None:
            raise
        text = f"you may not {lacking}: a dry run needs the permission to write the object"
        raise MayNotAskError(text) from error


def _stamped(resource: Resource, obj: Obj) -> Obj:
    """A copy for the store, which takes ownership of it, with the fields that a server would have added."""
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    added = {"uid": uid_of(obj) or placeholder(resource.kind, key_of(obj)), "resourceVersion": str(WRITTEN_NOW)}
    return {**obj, "metadata": {**meta, **added}}
