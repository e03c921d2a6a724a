"""ExternalDNS's DNSEndpoint objects: one object per name, which ExternalDNS publishes with its own provider.

The object is the unit of a change, so a name and its ownership record change together: it is created (its name is
derived from the DNS name, so a second claim fails), replaced at the resourceVersion that was read, or deleted with that
precondition. Only the DNSEndpoint objects of all namespaces are visible; ExternalDNS's own registry protects all other
records of the zone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from decco.dns.errors import ProviderUnreachable, RecordConflict
from decco.dns.names import in_zone
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.records import CNAME, TXT, RecordSet, record_set
from decco.dns.registry import PREFIX
from decco.objects import FIELD_MANAGER, LABEL_MANAGED_BY, Obj

API_VERSION, KIND = "externaldns.k8s.io/v1alpha1", "DNSEndpoint"
_NAME_PART = 40
TRIES = 3
"""ExternalDNS writes the status of an object after each change, so the resourceVersion in decco's cache is soon stale.
An object whose records are still as expected is therefore read again and the call is repeated."""


class Endpoints(Protocol):
    """Client for the objects; implemented outside this package.

    The writing calls return None or False if the object is not as expected (409 Conflict or AlreadyExists, 404), and
    raise a DnsError of this package for any other failure.
    """

    async def list(self) -> Sequence[Obj]:
        """All DNSEndpoint objects of all namespaces."""
        ...

    async def get(self, namespace: str, name: str) -> Obj | None:
        """One object as it is now; None if it does not exist."""
        ...

    async def create(self, obj: Obj) -> Obj | None:
        """Create in the object's namespace; None if the name is taken."""
        ...

    async def replace(self, obj: Obj) -> Obj | None:
        """Replace at ``metadata.resourceVersion``; None if the object has changed or is gone."""
        ...

    async def delete(self, namespace: str, name: str, uid: str, resource_version: str) -> bool:
        """Delete exactly this version of the object; False if it has changed or is gone."""
        ...


class ExternalDnsProvider:
    """Writes into ``namespace``; each change of a batch is one independent request."""

    def __init__(self, name: str, zones: tuple[str, ...], endpoints: Endpoints, namespace: str) -> None:
        self.name = name
        self.zone_names = zones
        self._endpoints = endpoints
        self._namespace = namespace
        self._objects: dict[str, Obj] = {}
        """DNS name -> our object, as last read or written."""

    async def zones(self) -> tuple[Zone, ...]:
        return tuple(Zone(name) for name in self.zone_names)

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        self._objects = {name: obj for name, obj in self._objects.items() if not in_zone(name, zone.name)}
        found: dict[tuple[str, str], tuple[int, list[str]]] = {}
        for obj in await self._endpoints.list():
            for one in _sets(obj):
                if not in_zone(one.name, zone.name):
                    continue
                rtype = one.type
                if obj["metadata"].get("namespace") != self._namespace:
                    # Users who may write DNSEndpoints in other namespaces must not be able to forge ownership records.
                    rtype = f"{rtype} of {obj['metadata'].get('namespace')}" if one.name.startswith(PREFIX) else rtype
                elif obj["metadata"]["name"] == object_name(one.name):
                    self._objects[one.name] = obj
                found.setdefault((one.name, rtype), (one.ttl, []))[1].extend(one.values)
        sets = [record_set(name, rtype, ttl, values) for (name, rtype), (ttl, values) in found.items()]
        return sets if names is None else [s for s in sets if s.name in names]

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        """One: a call is one request to the API server."""
        return 1

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [await self._apply_one(change) for change in changes]

    async def _apply_one(self, change: Change) -> Outcome:
        obj = self._objects.get(change.name)
        if not change.before:
            made = await self._endpoints.create(self._object(change)) if obj is None else None
            return self._outcome(change, made)
        for _ in range(TRIES):
            if obj is None or set(_sets(obj)) != set(change.before):
                break
            meta = obj["metadata"]
            if not change.after:
                if await self._endpoints.delete(self._namespace, meta["name"], meta["uid"], meta["resourceVersion"]):
                    del self._objects[change.name]
                    return None
            else:
                made = await self._endpoints.replace({**obj, "spec": self._object(change)["spec"]})
                if made is not None:
                    return self._outcome(change, made)
            obj = await self._endpoints.get(self._namespace, meta["name"])
            if obj is not None and obj["metadata"].get("uid") != meta["uid"]:
                break
        return self._outcome(change, None)

    def _outcome(self, change: Change, made: Obj | None) -> Outcome:
        if made is None:
            return RecordConflict(
                f"the {KIND} {self._namespace}/{object_name(change.name)} of {change.name} is not as decco "
                "left it: decco reads it again, see who else writes to it"
            )
        if "resourceVersion" not in made.get("metadata", {}):
            raise ProviderUnreachable(f"the API server sent no {KIND} back", uncertain=True)
        self._objects[change.name] = made
        return None

    def _object(self, change: Change) -> Obj:
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": object_name(change.name),
                "namespace": self._namespace,
                "labels": {LABEL_MANAGED_BY: FIELD_MANAGER},
            },
            "spec": {
                "endpoints": [
                    {"dnsName": s.name, "recordType": s.type, "recordTTL": s.ttl, "targets": list(s.values)}
                    for s in change.after
                ]
            },
        }

    async def close(self) -> None:
        return


def object_name(name: str) -> str:
    """Name of the object of a DNS name: a readable prefix and a digest."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    readable = name.replace("*", "any").replace("_", "-")[:_NAME_PART].strip(".-").replace("..", ".")
    return f"{readable}-{digest}".replace(".-", "-")


def _sets(obj: Mapping[str, Any]) -> list[RecordSet]:
    found = []
    for endpoint in (obj.get("spec") or {}).get("endpoints") or ():
        rtype = str(endpoint.get("recordType") or "A")
        if endpoint.get("setIdentifier"):
            rtype = f"{rtype} with a routing policy"
        values = [str(value) for value in endpoint.get("targets") or ()]
        if rtype == TXT:
            values = [value.strip('"') for value in values]
        elif rtype == CNAME:
            values = [value.removesuffix(".") for value in values]
        found.append(record_set(str(endpoint.get("dnsName") or ""), rtype, int(endpoint.get("recordTTL") or 0), values))
    return found
