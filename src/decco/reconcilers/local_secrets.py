"""Secrets in a Space's namespace that decco did not make.

decco watches only Secrets that carry its labels, so these are requested by name, one at a time, when an App names one,
and the answer is cached for a while. Only facts are kept, never content.

A Secret is often created soon after an App names it, so a missing one is requested often at first. Later the pauses are
longer: hundreds of Apps may name missing Secrets permanently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from decco.desired.model import SecretFacts
from decco.desired.ownership import owner_of_copy
from decco.kube.client import Client
from decco.objects import SECRETS, SPACES, Key, Obj, controller_of
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """The API server's answer, valid for the namespace with this UID; another of its name has other Secrets."""

    namespace_uid: str
    facts: SecretFacts | None
    due: float
    """Time of the next request."""
    missing_since: float
    deleted: bool = False
    """Whether the facts are those of a Secret that was missing at the last request."""


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

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._answers: dict[Key, _Answer] = {}
        self._swept = clock()

    async def look(self, key: Key, namespace_uid: str) -> SecretFacts | None:
        """The Secret's facts, or None if there is no such Secret; requests it only when that is due."""
        known = self._known(key, namespace_uid)
        if known is not None and known.due > self._clock():
            return known.facts
        facts = None
        # A list by name, because decco's permission for Secrets is list.
        async for page in self._client.list_pages(
            SECRETS, namespace=key.namespace, fields=f"metadata.name={key.name}", limit=1
        ):
            for obj in page.items:
                if not _is_copy(obj):
                    facts = secret_facts(obj)
        now = self._clock()
        if facts is None and known is not None and known.facts is not None and not known.deleted:
            self._answers[key] = _Answer(namespace_uid, known.facts, now + DELETED_SECONDS, now, deleted=True)
            return known.facts
        since = known.missing_since if known is not None and known.facts is None else now
        missing = MISSING_SECONDS if now - since < LONG_MISSING_SECONDS else LONG_MISSING_SECONDS
        due = now + (FOUND_SECONDS if facts is not None else missing)
        self._sweep(now)
        self._answers[key] = _Answer(namespace_uid, facts, due, since)
        return facts

    def remembered(self, key: Key, namespace_uid: str) -> SecretFacts | None:
        """The last answer, without a request."""
        known = self._known(key, namespace_uid)
        return known.facts if known is not None else None

    def requeue_after(self, key: Key, namespace_uid: str) -> float | None:
        """Seconds until the Secret is requested again; None if it never was."""
        known = self._known(key, namespace_uid)
        return max(0.0, known.due - self._clock()) if known is not None else None

    def _known(self, key: Key, namespace_uid: str) -> _Answer | None:
        known = self._answers.get(key)
        return known if known is not None and known.namespace_uid == namespace_uid else None

    def _sweep(self, now: float) -> None:
        """Drops answers that were not used for a long time: the App or its namespace is gone."""
        if now - self._swept < KEPT_SECONDS:
            return
        self._swept = now
        for key in [key for key, answer in self._answers.items() if answer.due + KEPT_SECONDS < now]:
            del self._answers[key]
