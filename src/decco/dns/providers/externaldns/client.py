"""ExternalDNS's DNSEndpoint objects: one object per name, which ExternalDNS publishes with its own provider.

The object is the unit of a change, so a name and its ownership record change together: it is created (its name is
derived from the DNS name, so a second claim fails), replaced at the resourceVersion that was read, or deleted with that
precondition. Only the DNSEndpoint objects of all namespaces are visible; ExternalDNS's own registry protects all other
records of the zone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from decco.dns.errors import ProviderUnreachable, RecordConflict
from decco.dns.provider import Change, Context, Objects, Outcome, ProviderBase, Zone
from decco.dns.providers.externaldns.settings import Settings
from decco.dns.records import TXT, RecordSet, record_set
from decco.dns.registry import PREFIX
from decco.errors import ConfigError
from decco.hostnames import in_zone
from decco.objects import FIELD_MANAGER, LABEL_MANAGED_BY, Obj

_NAME_PART = 40
TRIES = 3
"""ExternalDNS writes the status of an object after each change, so the resourceVersion in decco's cache is soon stale.
An object whose records are still as expected is therefore read again and the call is repeated."""


class ExternalDnsProvider(ProviderBase):
    """Writes into ``namespace``; each change of a batch is one independent request.

    The objects are those of this cluster alone, so names are not shared with other clusters.
    """

    shared = False

    def __init__(self, name: str, zones: tuple[str, ...], objects: Objects, namespace: str) -> None:
        super().__init__(name, zones)
        self._client = objects
        self._namespace = namespace
        self._objects: dict[str, Obj] = {}
        """DNS name -> our object, as last read or written."""

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        self._objects = {name: obj for name, obj in self._objects.items() if not in_zone(name, zone.name)}
        found: dict[tuple[str, str], tuple[int, list[str]]] = {}
        for obj in await self._client.list():
            namespace = obj["metadata"].get("namespace")
            for one in _sets(obj):
                if not in_zone(one.name, zone.name):
                    continue
                rtype = one.type
                if namespace != self._namespace:
                    # Users who may write DNSEndpoints in other namespaces must not be able to forge ownership records.
                    rtype = f"{rtype} of {namespace}" if one.name.startswith(PREFIX) else rtype
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
            made = await self._client.create(self._object(change)) if obj is None else None
            return self._outcome(change, made)
        for _ in range(TRIES):
            if obj is None or set(_sets(obj)) != set(change.before):
                break
            meta = obj["metadata"]
            if not change.after:
                if await self._client.delete(self._namespace, meta["name"], meta["uid"], meta["resourceVersion"]):
                    del self._objects[change.name]
                    return None
            else:
                made = await self._client.replace({**obj, "spec": self._object(change)["spec"]})
                if made is not None:
                    return self._outcome(change, made)
            obj = await self._client.get(self._namespace, meta["name"])
            if obj is not None and obj["metadata"].get("uid") != meta["uid"]:
                break
        return self._outcome(change, None)

    def _outcome(self, change: Change, made: Obj | None) -> Outcome:
        if made is None:
            return RecordConflict(
                f"the DNSEndpoint {self._namespace}/{object_name(change.name)} of {change.name} is not as decco "
                "left it: decco reads it again, see who else writes to it"
            )
        if "resourceVersion" not in made.get("metadata", {}):
            raise ProviderUnreachable("the API server sent no DNSEndpoint back", uncertain=True)
        self._objects[change.name] = made
        return None

    def _object(self, change: Change) -> Obj:
        return {
            "apiVersion": Settings.kind.api_version,
            "kind": Settings.kind.kind,
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
        found.append(record_set(str(endpoint.get("dnsName") or ""), rtype, int(endpoint.get("recordTTL") or 0), values))
    return found


def make(settings: Settings, context: Context) -> ExternalDnsProvider:
    if context.objects is None:
        raise ConfigError(
            f"dns.providers: {settings.label} needs the CRD of DNSEndpoint, which this cluster does not serve: "
            "install ExternalDNS with its CRD, or choose another provider"
        )
    return ExternalDnsProvider(settings.label, settings.zones, context.objects, context.namespace)
