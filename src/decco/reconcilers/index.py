"""Indices: which App uses which name in a Space, and which Apps have an egress to which endpoint.

Every App's reconcile needs both, without reading every other App.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from decco.objects import Key
from decco.reconcilers.facts import AppFacts, EndpointFacts

K = TypeVar("K")

_NO_APPS: dict[Key, None] = {}
_NO_ENDPOINTS: dict[str, dict[Key, None]] = {}
_NO_CLAIMANTS: dict[Key, AppFacts] = {}


class AppIndex:
    """Apps by the identities that they claim and by the targets of their egresses."""

    def __init__(self) -> None:
        self._claimants: dict[tuple[str, str], dict[Key, AppFacts]] = {}
        self._egress: dict[str, dict[str, dict[Key, None]]] = {}
        """Space -> endpoint -> Apps with an egress to it."""

    def add(self, key: Key, facts: AppFacts) -> None:
        for identity in facts.identities:
            self._claimants.setdefault((key.namespace, identity), {})[key] = facts
        for space, endpoint in _targets(key, facts):
            self._egress.setdefault(space, {}).setdefault(endpoint, {})[key] = None

    def remove(self, key: Key, facts: AppFacts) -> None:
        for identity in facts.identities:
            _drop(self._claimants, (key.namespace, identity), key)
        for space, endpoint in _targets(key, facts):
            endpoints = self._egress.get(space)
            if endpoints is not None:
                _drop(endpoints, endpoint, key)
                if not endpoints:
                    del self._egress[space]

    def rivals(self, key: Key, identity: str) -> Iterator[tuple[Key, AppFacts]]:
        """The other Apps of the same namespace that claim this identity."""
        for other, facts in self._claimants.get((key.namespace, identity), _NO_CLAIMANTS).items():
            if other != key:
                yield other, facts

    def endpoint(self, space: str, name: str) -> EndpointFacts | None:
        """The endpoint of this name in the Space; of several claimants the oldest App's."""
        claimants = self._claimants.get((space, f"name:{name}"))
        if not claimants:
            return None
        oldest = min(claimants.values(), key=lambda facts: facts.seniority)
        return next((endpoint for endpoint in oldest.endpoints if endpoint.name == name), None)

    def callers(self, space: str, endpoint: str) -> list[Key]:
        """Apps with an egress to this endpoint."""
        return list(self._egress.get(space, _NO_ENDPOINTS).get(endpoint, _NO_APPS))

    def callers_of_space(self, space: str) -> list[Key]:
        """Apps with an egress to any endpoint of this Space."""
        return list({key: None for keys in self._egress.get(space, _NO_ENDPOINTS).values() for key in keys})

    def contests(self, key: Key, facts: AppFacts, fqdn: str | None) -> Iterator[tuple[str, Key, AppFacts]]:
        """(identity, App, its facts) for each identity of this App that another App of the Space also claims.

        Hostnames are compared as they will be: an explicit ``db.<FQDN>`` meets the default of an endpoint ``db``.
        ``fqdn`` is None while there is no Space with one.
        """
        for identity in facts.identities:
            for other, theirs in self.rivals(key, identity):
                yield identity, other, theirs
        for endpoint in facts.endpoints if fqdn is not None else ():
            if not endpoint.tls:
                continue
            if endpoint.hostname is None:
                identity = f"hostname:{endpoint.name}.{fqdn}"
                for other, theirs in self.rivals(key, identity):
                    yield identity, other, theirs
            elif endpoint.hostname.endswith(f".{fqdn}"):
                label = endpoint.hostname.removesuffix(f".{fqdn}")
                for other, theirs in self.rivals(key, f"name:{label}"):
                    if _has_default_hostname(theirs, label):
                        yield f"hostname:{endpoint.hostname}", other, theirs

    def taken(self, key: Key, facts: AppFacts, fqdn: str) -> dict[str, str]:
        """Identity -> name of the App of the Space that has it, for those that this App may not use.

        Of several older Apps it is the oldest, so that the answer does not depend on the order of their events.
        """
        holders: dict[str, tuple[tuple[str, str], str]] = {}
        for identity, other, theirs in self.contests(key, facts, fqdn):
            if theirs.seniority < facts.seniority:
                holder = theirs.seniority, other.name
                holders[identity] = min(holder, holders.get(identity, holder))
        return {identity: name for identity, (_, name) in holders.items()}


def _has_default_hostname(facts: AppFacts, name: str) -> bool:
    return any(e.name == name and e.tls and e.hostname is None for e in facts.endpoints)


def _targets(key: Key, facts: AppFacts) -> Iterator[tuple[str, str]]:
    return ((space or key.namespace, endpoint) for space, endpoint in facts.targets)


def _drop(index: dict[K, Any], at: K, key: Key) -> None:
    members = index.get(at)
    if members is not None:
        members.pop(key, None)
        if not members:
            del index[at]
