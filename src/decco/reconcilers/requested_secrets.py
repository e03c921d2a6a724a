"""Secrets that the caches do not contain, requested by name.

* ``LocalSecrets``: Secrets in a Space's namespace that decco did not make. Nothing follows them, so they are requested,
  one at a time, when an App names one, and the answer is cached for a while. A Secret is often created soon after an
  App names it, so a missing one is requested often at first. Later the pauses are longer: hundreds of Apps may name
  missing Secrets permanently.
* ``DeletedSources``: shared Secrets that left the cache: deleted, and perhaps about to be created again, or no longer
  shared. The watch selects by label, so both leave the cache by the same event, and one request distinguishes them.
  Copies of a deleted Secret stay for GRACE_SECONDS, because `kubectl replace --force` and many tools delete before they
  create; copies of a Secret that still exists go at once.

Only facts are kept, never content.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from decco.desired.model import SecretFacts
from decco.desired.ownership import owner_of_copy
from decco.frozen import frozen
from decco.kube.client import ListPage
from decco.objects import LABEL_SHARE, SECRETS, SPACES, Key, Obj, Resource, controller_of, labels_of
from decco.reconcilers.facts import secret_facts

FOUND_SECONDS = 600.0
"""How long a found Secret counts as present and unchanged."""
MISSING_SECONDS = 15.0
"""Pause before the next request for a Secret that has been missing for a short time."""
DELETED_SECONDS = 30.0
"""How long a Secret that existed, and is missing for the first time, still counts as present: tools that replace an
object often delete it first, and a copy must not take the name meanwhile."""
LONG_MISSING_SECONDS = 60.0
"""Longest pause before the next request for a missing Secret, used once it has been missing for as long as this."""
KEPT_SECONDS = 600.0
"""How long an unused answer is kept after its time, because of ``missing_since``."""
GRACE_SECONDS = 30.0
RETURNING_SECONDS = 1.0
"""When to request again a Secret that exists with the label and that the watch has not delivered yet."""
ABSENCE_KEPT_SECONDS = 3600.0
"""How long an absence is kept; after that no copy is left."""


class Lists(Protocol):
    """The part of the client that is needed here."""

    def list_pages(
        self, resource: Resource, *, namespace: str = ..., fields: str = ..., limit: int = ...
    ) -> AsyncIterator[ListPage]: ...


FindSecret = Callable[[Key], Awaitable[Obj | None]]


async def find_secret(client: Lists, key: Key) -> Obj | None:
    """The Secret, or None if there is none. A list by name, because a permission to list does not always include get.

    Raises KubeError.
    """
    pages = client.list_pages(SECRETS, namespace=key.namespace, fields=f"metadata.name={key.name}", limit=1)
    found = [obj async for page in pages for obj in page.items]
    return found[0] if found else None


@frozen
class _Answer:
    """The API server's answer."""

    facts: SecretFacts | None
    due: float
    """Time of the next request."""
    missing_since: float
    deleted: bool = False
    """Whether the facts are those of a Secret that was missing at the last request."""
    state: object = None
    """See ``LocalSecrets.read_facts``."""


def _is_copy(obj: Obj) -> bool:
    """Whether decco made it. The caches contain its copies, except one without decco's label, and one that lost its
    owner reference is not the Space's until it is written again.
    """
    owner = controller_of(obj)
    if owner is None:
        return owner_of_copy(obj) is not None
    return (owner.get("apiVersion"), owner.get("kind")) == (SPACES.api_version, SPACES.kind)


class LocalSecrets:
    """Facts about Secrets by name; ``clock`` in seconds, monotonic."""

    def __init__(self, find: FindSecret, clock: Callable[[], float]) -> None:
        self._find = find
        self._clock = clock
        self._answers: dict[tuple[Key, str], _Answer] = {}
        """By the UID of the namespace, too: another one of its name has other Secrets."""
        self._swept = clock()

    async def read_facts(self, key: Key, namespace_uid: str, state: object = None) -> SecretFacts | None:
        """The Secret's facts, or None if there is no such Secret; requests it only when that is due, and when the
        ``state`` of what writes it is another than at the last request.
        """
        place = (key, namespace_uid)
        known = self._answers.get(place)
        if known is not None and known.due > self._clock() and known.state == state:
            return known.facts
        obj = await self._find(key)
        facts = secret_facts(obj) if obj is not None and not _is_copy(obj) else None
        now = self._clock()
        if facts is None and known is not None and known.facts is not None and not known.deleted:
            self._answers[place] = _Answer(known.facts, now + DELETED_SECONDS, now, deleted=True, state=state)
            return known.facts
        since = known.missing_since if known is not None and known.facts is None else now
        missing = MISSING_SECONDS if now - since < LONG_MISSING_SECONDS else LONG_MISSING_SECONDS
        due = now + (FOUND_SECONDS if facts is not None else missing)
        self._sweep(now)
        self._answers[place] = _Answer(facts, due, since, state=state)
        return facts

    def remembered(self, key: Key, namespace_uid: str) -> SecretFacts | None:
        """The last answer, without a request."""
        known = self._answers.get((key, namespace_uid))
        return known.facts if known is not None else None

    def requeue_after(self, key: Key, namespace_uid: str) -> float | None:
        """Seconds until the Secret is requested again; None if it never was."""
        known = self._answers.get((key, namespace_uid))
        return max(0.0, known.due - self._clock()) if known is not None else None

    def _sweep(self, now: float) -> None:
        """Drops answers that were not used for a long time: the App or its namespace is gone."""
        if now - self._swept >= KEPT_SECONDS:
            self._swept = now
            self._answers = {key: each for key, each in self._answers.items() if each.due + KEPT_SECONDS >= now}


@frozen
class _Absence:
    since: float
    revoked: bool
    """Whether the Secret exists, without the label."""
    deleting: bool = False
    """Whether it was in the cache when the absence began; one with a finalizer may lose the label after that."""


class DeletedSources:
    """Absences by name; ``clock`` in seconds, monotonic. A new process counts from its first request."""

    def __init__(self, find: FindSecret, clock: Callable[[], float]) -> None:
        self._find = find
        self._clock = clock
        self._absences: dict[Key, _Absence] = {}
        self._requesting = asyncio.Lock()

    async def seconds_left(self, key: Key, *, deleting: bool = False) -> float:
        """Until the copies of this Secret, which is not in the cache, are to be removed; 0: now.

        ``deleting``: it is in the cache, and Kubernetes is deleting it.
        """
        async with self._requesting:  # hundreds of Spaces may need the same Secret at the same moment
            absence = self._absences.get(key)
            if absence is None or (absence.deleting and not deleting):
                obj = None if deleting else await self._find(key)
                if obj is not None and labels_of(obj).get(LABEL_SHARE) == "true":
                    return RETURNING_SECONDS
                since = self._clock() if absence is None else absence.since
                absence = self._remember(key, _Absence(since, obj is not None, deleting))
        return 0.0 if absence.revoked else max(0.0, absence.since + GRACE_SECONDS - self._clock())

    def is_there(self, key: Key) -> None:
        """The Secret is in the cache: its next absence is a new one."""
        self._absences.pop(key, None)

    def _remember(self, key: Key, absence: _Absence) -> _Absence:
        oldest = self._clock() - ABSENCE_KEPT_SECONDS
        self._absences = {known: each for known, each in self._absences.items() if each.since >= oldest}
        self._absences[key] = absence
        return absence
