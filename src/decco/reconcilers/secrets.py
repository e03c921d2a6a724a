"""Where the Secrets that a Space and its Apps name are to be found, and which of them decco copies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from decco.desired import secrets
from decco.desired.model import SecretFacts, SecretSource, SecretState, SecretView, SpaceFacts
from decco.objects import SECRETS, Key
from decco.reconcilers.caches import Caches
from decco.reconcilers.facts import SharedSecret
from decco.reconcilers.local_secrets import LocalSecrets


@dataclass(frozen=True, slots=True)
class Copying:
    """What the Space's reconcile does about Secrets: write these copies, and leave those alone as they are."""

    write: dict[str, SecretSource]
    keep: frozenset[str]
    """Copies whose source has become unusable: what runs goes on with the last good one."""


class Secrets:
    """Looks Secrets up in the caches, and in the Space's namespace where the caches do not reach."""

    def __init__(self, caches: Caches, local: LocalSecrets) -> None:
        self._caches = caches
        self._local = local

    async def copying(self, space: SpaceFacts) -> Copying:
        """Which Secrets are to be copied into the Space's namespace."""
        own = secrets.named_by_space(space.spec)
        of_apps = {name for _, facts in self._caches.app_facts_in(space.name) for name in facts.secrets}
        write: dict[str, SecretSource] = {}
        keep: set[str] = set()
        for name in sorted(own | of_apps):
            shared = self._shared(space, name)
            if shared is None:
                continue
            if shared.facts.problem is not None:
                keep.add(name)
            elif name in own or self._copy(space, name) is not None or await self._look(space, name) is None:
                write[name] = shared.source
        return Copying(write, frozenset(keep))

    async def views(self, space: SpaceFacts, names: Iterable[str]) -> dict[str, SecretView]:
        """Each Secret as the Space sees it."""
        return {name: await self._view(space, name) for name in sorted(set(names))}

    async def _view(self, space: SpaceFacts, name: str) -> SecretView:
        shared = self._shared(space, name)
        if shared is not None and shared.facts.problem is not None:
            return SecretView(name, SecretState.COPY, shared.facts)
        copy = self._copy(space, name)
        if copy is not None and shared is not None:
            return SecretView(name, SecretState.COPY, copy)
        if copy is None and name not in secrets.named_by_space(space.spec):
            local = await self._look(space, name)
            if local is not None:
                return SecretView(name, SecretState.LOCAL, local)
        if shared is not None:
            return SecretView(name, SecretState.PENDING)
        known = self._caches.sources.get(self._source_key(name)) is not None
        return SecretView(name, SecretState.NOT_SHARED if known else SecretState.MISSING)

    def _source_key(self, name: str) -> Key:
        return Key(self._caches.settings.namespace, name)

    def _shared(self, space: SpaceFacts, name: str) -> SharedSecret | None:
        """The source of this name, if its owner lets this Space have it."""
        entry = self._caches.sources.get(self._source_key(name))
        if entry is None or entry.deleting or not isinstance(entry.facts, SharedSecret):
            return None
        return entry.facts if entry.facts.source.consents_to(space.name) else None

    def _copy(self, space: SpaceFacts, name: str) -> SecretFacts | None:
        """What is known of decco's own copy, if there is one."""
        entry = self._caches.children[SECRETS].get(Key(space.name, name))
        if entry is None or entry.owner_uid != space.uid or entry.deleting:
            return None
        return entry.facts if isinstance(entry.facts, SecretFacts) else None

    async def _look(self, space: SpaceFacts, name: str) -> SecretFacts | None:
        return await self._local.look(Key(space.name, name))
