"""DNSEndpoint objects as an API server keeps them: names, UIDs, resourceVersions and preconditions, in memory.

A model for the contract suite, which needs no control plane; the real API server with ExternalDNS's own CRD is met in
the integration suite.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

Obj = dict[str, Any]


class EndpointsModel:
    """Serves what the provider asks of a client; ``objects`` is keyed by (namespace, name)."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Obj] = {}
        self._versions = itertools.count(1)

    async def list(self) -> list[Obj]:
        return copy.deepcopy(list(self.objects.values()))

    async def create(self, obj: Obj) -> Obj | None:
        meta = obj["metadata"]
        key = (meta["namespace"], meta["name"])
        if key in self.objects:
            return None
        made = copy.deepcopy(obj)
        made["metadata"] |= {"uid": f"uid-{next(self._versions)}", "resourceVersion": str(next(self._versions))}
        self.objects[key] = made
        return copy.deepcopy(made)

    async def replace(self, obj: Obj) -> Obj | None:
        meta = obj["metadata"]
        now = self.objects.get((meta["namespace"], meta["name"]))
        if now is None or now["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            return None
        made = copy.deepcopy(obj)
        made["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[meta["namespace"], meta["name"]] = made
        return copy.deepcopy(made)

    async def delete(self, namespace: str, name: str, uid: str, resource_version: str) -> bool:
        now = self.objects.get((namespace, name))
        if now is None or (now["metadata"]["uid"], now["metadata"]["resourceVersion"]) != (uid, resource_version):
            return False
        del self.objects[namespace, name]
        return True

    # Somebody else, with objects in a namespace of his own

    def put(self, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.drop(name.lower(), rtype)
        endpoint = {"dnsName": name, "recordType": rtype, "recordTTL": ttl, "targets": list(values)}
        key = ("theirs", f"n{next(self._versions)}")
        self.objects[key] = {
            "metadata": {"namespace": key[0], "name": key[1], "uid": key[1], "resourceVersion": "1"},
            "spec": {"endpoints": [endpoint]},
        }

    def drop(self, name: str, rtype: str) -> None:
        for key, obj in list(self.objects.items()):
            kept = [e for e in obj["spec"]["endpoints"] if (e["dnsName"].lower(), e["recordType"]) != (name, rtype)]
            if len(kept) == len(obj["spec"]["endpoints"]):
                continue
            obj["spec"]["endpoints"] = kept
            obj["metadata"]["resourceVersion"] = str(next(self._versions))
            if not kept:
                del self.objects[key]

    def read(self, zone: str) -> dict[tuple[str, str], tuple[int, frozenset[str]]]:
        found: dict[tuple[str, str], tuple[int, frozenset[str]]] = {}
        for obj in self.objects.values():
            for endpoint in obj["spec"]["endpoints"]:
                name, rtype = endpoint["dnsName"].lower(), endpoint["recordType"]
                if name == zone or name.endswith("." + zone):
                    found[name, rtype] = (
                        endpoint["recordTTL"],
                        frozenset(_shown(rtype, v) for v in endpoint["targets"]),
                    )
        return found


def _shown(rtype: str, value: str) -> str:
    if rtype == "TXT":
        return '"' + value.strip('"') + '"'
    return value.removesuffix(".") + "." if rtype == "CNAME" else value
