"""Secrets that a Space's namespace holds and that decco did not make.

decco watches only Secrets that carry its labels, so these are asked for by name, one at a time, when an App names one,
and what was seen is remembered for a while. Only facts are kept, never content.
"""

from __future__ import annotations

from collections.abc import Callable

from decco.desired.model import SecretFacts
from decco.kube.client import Client
from decco.objects import SECRETS, Key
from decco.reconcilers.facts import secret_facts

FOUND_SECONDS = 600.0
"""How long a Secret that was seen counts as being there, unchanged."""
MISSING_SECONDS = 15.0
"""How soon a missing Secret is asked for again."""


class LocalSecrets:
    """Facts about Secrets by name; ``clock`` in seconds, monotonic."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[Key, tuple[float, SecretFacts | None]] = {}

    async def look(self, key: Key) -> SecretFacts | None:
        """The Secret's facts, or None if there is no such Secret; asks the API server at most every few seconds."""
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        facts = None
        # A list by name, because decco's permission to read Secrets is one to list them.
        async for page in self._client.list_pages(
            SECRETS, namespace=key.namespace, fields=f"metadata.name={key.name}", limit=1
        ):
            for obj in page.items:
                facts = secret_facts(obj)
        # Half a second less than the recheck, so that a recheck never meets the old answer.
        keep = FOUND_SECONDS if facts is not None else MISSING_SECONDS - 0.5
        self._known[key] = (self._clock() + keep, facts)
        return facts

    def forget_namespace(self, namespace: str) -> None:
        """The namespace is gone, or is about to be another."""
        for key in [key for key in self._known if key.namespace == namespace]:
            del self._known[key]
