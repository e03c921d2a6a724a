"""Indices: which App uses which name in a Space, which Apps have an egress to which endpoint, and who names a Secret.

A reconcile or a change of one object needs them without reading every other App.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from decco.objects import Key
from decco.reconcilers.facts import ALL_NAMES, AppFacts, EndpointFacts


class _Members:
    """Group -> name -> keys, in the order in which they were added; empty groups and names are dropped."""

    def __init__(self) -> None:
        self.groups: defaultdict[str, dict[str, dict[Key, None]]] = defaultdict(dict)

    def add(self, group: str, name: str, key: Key) -> None:
        self.groups[group].setdefault(name, {})[key] = None

    def remove(self, group: str, name: str, key: Key) -> None:
        names = self.groups.get(group, {})
        members = names.get(name, {})
        members.pop(key, None)
        if not members:
            names.pop(name, None)
        if not names:
            self.groups.pop(group, None)

    def of(self, group: str, name: str) -> list[Key]:
        return list(self.groups.get(group, {}).get(name, ()))

    def of_group(self, group: str) -> list[Key]:
        return list({key: None for keys in self.groups.get(group, {}).values() for key in keys})


class SecretUsers:
    """Spaces (keys without a namespace) and Apps by the names of the Secrets that they name."""

    def __init__(self) -> None:
        self._users = _Members()
        """Secret's name -> Space -> its users there."""

    def add(self, user: Key, names: Collection[str]) -> None:
        """``user`` names these Secrets in addition to its former ones."""
        for name in names:
            self._users.add(name, user.namespace or user.name, user)

    def remove(self, user: Key, names: Collection[str]) -> None:
        """``user`` no longer names these Secrets."""
        for name in names:
            self._users.remove(name, user.namespace or user.name, user)

    def users(self, name: str) -> list[Key]:
        """All Spaces and Apps that name the Secret."""
        return self._users.of_group(name)

    def users_in(self, space: str, name: str) -> list[Key]:
        """The users of the Secret in one Space: the Space itself, its Apps."""
        return self._users.of(name, space)


class AppIndex:
    """Apps by the identities that they claim and by the targets of their egresses."""

    def __init__(self) -> None:
        self.facts: dict[Key, AppFacts] = {}
        self._claimants = _Members()
        """Space -> identity -> Apps that claim it."""
        self._egress = _Members()
        """Space -> endpoint -> Apps with an egress to it."""
        self._clients = _Members()
        """Space -> "" -> Apps that may permit its service accounts."""
        self._canaries = _Members()
        """Space -> App -> Apps that take a share of its traffic."""

    def replace(self, key: Key, facts: AppFacts | None) -> None:
        """Sets what is known of an App; None if it is gone."""
        if (old := self.facts.pop(key, None)) is not None:
            for identity in old.identities:
                self._claimants.remove(key.namespace, identity, key)
            for space, endpoint in old.targets:
                self._egress.remove(space or key.namespace, endpoint, key)
            for space in old.client_spaces:
                self._clients.remove(space, "", key)
            if old.canary_of is not None:
                self._canaries.remove(key.namespace, old.canary_of, key)
        if facts is not None:
            self.facts[key] = facts
            for identity in facts.identities:
                self._claimants.add(key.namespace, identity, key)
            for space, endpoint in facts.targets:
                self._egress.add(space or key.namespace, endpoint, key)
            for space in facts.client_spaces:
                self._clients.add(space, "", key)
            if facts.canary_of is not None:
                self._canaries.add(key.namespace, facts.canary_of, key)

    def rivals(self, key: Key, identity: str) -> Iterator[tuple[Key, AppFacts]]:
        """The other Apps of the same namespace that claim this identity."""
        for other in self._claimants.of(key.namespace, identity):
            if other != key:
                yield other, self.facts[other]

    def endpoint(self, space: str, name: str) -> EndpointFacts | None:
        """The endpoint of this name in the Space; of several claimants the oldest App's."""
        holder = self.holder(space, name)
        endpoints = self.facts[holder].endpoints if holder is not None else ()
        return next((endpoint for endpoint in endpoints if endpoint.name == name), None)

    def canaries(self, primary: Key) -> list[Key]:
        """The Apps that name this one in canaryOf, the oldest first."""
        found = self._canaries.of(primary.namespace, primary.name)
        return sorted(found, key=lambda key: self.facts[key].creation_order)

    def holder(self, space: str, name: str) -> Key | None:
        """The App that has the endpoint, or the Service, of this name in the Space."""
        claimants = self._claimants.of(space, f"name:{name}")
        return min(claimants, key=lambda key: self.facts[key].creation_order, default=None)

    def callers(self, space: str, endpoint: str) -> list[Key]:
        """Apps with an egress to this endpoint."""
        return self._egress.of(space, endpoint)

    def callers_of_space(self, space: str) -> list[Key]:
        """Apps with an egress to any endpoint of this Space."""
        return self._egress.of_group(space)

    def servers_of_space(self, space: str) -> list[Key]:
        """Apps that may permit service accounts of this Space, by a name in allowedClients."""
        return self._clients.of(space, "")

    def contests(self, key: Key, facts: AppFacts, fqdn: str | None) -> Iterator[tuple[str, Key, AppFacts]]:
        """(identity, App, its facts) for each identity of this App that another App of the Space also claims.

        Hostnames are compared as they will be: an explicit ``db.<FQDN>`` meets the default of an endpoint ``db``.
        ``fqdn`` is None while there is no Space with one.
        """
        for identity in facts.identities:
            for other, theirs in self.rivals(key, identity):
                if identity.startswith("path:"):
                    yield from ((each, other, theirs) for each in _shared_path(identity, facts, theirs))
                else:
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
                    if any(each.name == label and each.tls and each.hostname is None for each in theirs.endpoints):
                        yield f"hostname:{endpoint.hostname}", other, theirs

    def taken(self, key: Key, facts: AppFacts, fqdn: str) -> dict[str, str]:
        """Identity -> name of the App of the Space that has it, for those that this App may not use.

        Of several older Apps it is the oldest, so that the answer does not depend on the order of their events.
        """
        holders: dict[str, tuple[tuple[str, str], str]] = {}
        for identity, other, theirs in self.contests(key, facts, fqdn):
            if theirs.creation_order < facts.creation_order:
                holder = theirs.creation_order, other.name
                holders[identity] = min(holder, holders.get(identity, holder))
        return {identity: name for identity, (_, name) in holders.items()}


def _shared_path(identity: str, mine: AppFacts, theirs: AppFacts) -> Iterator[str]:
    """The identities of a path at the host names at which both Apps claim it: "path:<path>" is all names."""
    path = identity.removeprefix("path:")
    ours, others = mine.paths[path], theirs.paths[path]
    if ALL_NAMES in others and ALL_NAMES in ours:
        yield identity
    elif ALL_NAMES in others:
        yield from (f"{identity}@{name}" for name in sorted(ours))
    else:
        yield from (f"{identity}@{name}" for name in sorted(others) if name in ours or ALL_NAMES in ours)
