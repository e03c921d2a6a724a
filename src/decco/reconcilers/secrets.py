"""Where the Secrets that a Space and its Apps name are to be found, and which of them decco copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from decco.desired import secrets
from decco.desired.model import SecretFacts, SecretSource, SecretState, SecretView, SpaceFacts
from decco.objects import NAMESPACES, SECRETS, Key
from decco.reconcilers.caches import Caches
from decco.reconcilers.facts import SharedSecret
from decco.reconcilers.local_secrets import LocalSecrets
from decco.reconcilers.outcomes import RECHECK_SECONDS

_ASKED_FOR = (SecretState.MISSING, SecretState.NOT_SHARED, SecretState.LOCAL)
"""States in which a Secret may be in the Space's namespace, come there, or go from there without a watch telling."""


_UNTOLD = (SecretState.PENDING, SecretState.TAKEN)
"""States that end, or turn into each other, by a turn of the Space's of which the App is not told."""


@dataclass(frozen=True, slots=True)
class Copying:
    """What the Space's reconcile does about Secrets: write these copies, and leave those alone as they are."""

    write: dict[str, SecretSource]
    keep: frozenset[str]
    """Copies whose source has become unusable: what runs goes on with the last good one."""


class Secrets:
    """Looks Secrets up in the caches, and in the Space's namespace where the caches do not reach."""

    def __init__(self, caches: Caches, local: LocalSecrets, taken: Callable[[Key], bool] = lambda _key: False) -> None:
        """``taken`` tells whether a copy met somebody else's Secret of its name when it was written last."""
        self._caches = caches
        self._local = local
        self._taken = taken

    async def copying(self, space: SpaceFacts) -> Copying:
        """Which Secrets are to be copied into the Space's namespace."""
        own = secrets.named_by_space(space.spec)
        write: dict[str, SecretSource] = {}
        keep: set[str] = set()
        for name in sorted(self._named(space)):
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

    def seconds_to_next_look(self, space: SpaceFacts, views: Iterable[SecretView]) -> float | None:
        """Until one of these should be asked for again where no watch reaches; None if a watch tells all."""
        seconds = []
        for view in views:
            if view.state in _UNTOLD:
                seconds.append(RECHECK_SECONDS)
            elif view.state in _ASKED_FOR and view.name not in secrets.named_by_space(space.spec):
                left = self._local.seconds_to_next_look(Key(space.name, view.name), self._namespace_uid(space))
                if left is not None:
                    seconds.append(left)
        return min(seconds, default=None)

    def expiries(self, space: SpaceFacts) -> dict[str, float]:
        """The certificates that are in use in the Space, as far as they are known now: Secret's name -> Unix time."""
        found: dict[str, float] = {}
        for name in self._named(space):
            facts = self._copy(space, name)
            if facts is None:
                facts = self._local.remembered(Key(space.name, name), self._namespace_uid(space))
            if facts is not None and facts.not_after is not None:
                found[name] = facts.not_after.timestamp()
        return found

    def _named(self, space: SpaceFacts) -> set[str]:
        """By the Space itself or by one of its Apps."""
        of_apps = {name for _, facts in self._caches.app_facts_in(space.name) for name in facts.secrets}
        return of_apps | secrets.named_by_space(space.spec)

    async def _view(self, space: SpaceFacts, name: str) -> SecretView:
        shared = self._shared(space, name)
        copy = self._copy(space, name)
        if copy is None and name not in secrets.named_by_space(space.spec):
            local = await self._look(space, name)
            if local is not None:
                return SecretView(name, SecretState.LOCAL, local)
        if shared is not None and shared.facts.problem is not None:
            return SecretView(name, SecretState.COPY, shared.facts)
        if copy is not None and shared is not None:
            return SecretView(name, SecretState.COPY, copy)
        if shared is not None:
            taken = self._taken(Key(space.name, name))
            return SecretView(name, SecretState.TAKEN if taken else SecretState.PENDING)
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
        return await self._local.look(Key(space.name, name), self._namespace_uid(space))

    def _namespace_uid(self, space: SpaceFacts) -> str:
        entry = self._caches.children[NAMESPACES].get(Key("", space.name))
        return entry.uid if entry is not None else ""
