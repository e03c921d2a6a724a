"""Shared Secrets that left the cache: deleted, and perhaps about to be created again, or no longer shared.

The watch of shared Secrets selects by label, so a Secret that loses the label and one that is deleted leave it by the
same event. One request by name distinguishes them. Copies of a deleted Secret stay for GRACE_SECONDS, because `kubectl
replace --force` and many tools delete before they create; copies of a Secret that still exists go at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from decco.kube.client import Client
from decco.objects import LABEL_SHARE, SECRETS, Key, labels_of

GRACE_SECONDS = 30.0
RETURNING_SECONDS = 1.0
"""When to request again a Secret that exists with the label and that the watch has not delivered yet."""
KEPT_SECONDS = 3600.0
"""How long an absence is kept; after that no copy is left."""


@dataclass(frozen=True, slots=True)
class _Absence:
    since: float
    revoked: bool
    """Whether the Secret exists, without the label."""
    deleting: bool = False
    """Whether it was in the cache when the absence began; one with a finalizer may lose the label after that."""


class DeletedSources:
    """Absences by name; ``clock`` in seconds, monotonic. A new process counts from its first request."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._absences: dict[Key, _Absence] = {}
        self._asking = asyncio.Lock()

    async def seconds_left(self, key: Key, *, deleting: bool = False) -> float:
        """Until the copies of this Secret, which is not in the cache, are to be removed; 0: now.

        ``deleting``: it is in the cache, and Kubernetes is deleting it.
        """
        async with self._asking:  # hundreds of Spaces may need the same Secret at the same moment
            absence = self._absences.get(key)
            if absence is None or (absence.deleting and not deleting):
                labels = None if deleting else await self._labels(key)
                if labels is not None and labels.get(LABEL_SHARE) == "true":
                    return RETURNING_SECONDS
                since = self._clock() if absence is None else absence.since
                absence = self._remember(key, _Absence(since, labels is not None, deleting))
        return 0.0 if absence.revoked else max(0.0, absence.since + GRACE_SECONDS - self._clock())

    def is_there(self, key: Key) -> None:
        """The Secret is in the cache: its next absence is a new one."""
        self._absences.pop(key, None)

    async def _labels(self, key: Key) -> dict[str, str] | None:
        """The labels of the Secret, None if there is no such Secret."""
        # A list by name, as for the Secrets of Apps: a permission to list does not always include get.
        pages = self._client.list_pages(SECRETS, namespace=key.namespace, fields=f"metadata.name={key.name}", limit=1)
        found = [labels_of(obj) async for page in pages for obj in page.items]
        return found[0] if found else None

    def _remember(self, key: Key, absence: _Absence) -> _Absence:
        now = self._clock()
        for known in [known for known, each in self._absences.items() if each.since + KEPT_SECONDS < now]:
            del self._absences[known]
        self._absences[key] = absence
        return absence
