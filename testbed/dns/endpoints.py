"""DNSEndpoint objects on a real API server with ExternalDNS's own CRD, and a consumer that treats them by the book.

ExternalDNS itself cannot be built here. What it does with the objects is in its ``source/crd.go`` and in its docs on
the CRD source: take every endpoint that is valid, merge those of one name and type, and write each object's
``status.observedGeneration``. The last is what a writer has to live with: the resourceVersion changes under its hands.
"""

from __future__ import annotations

import threading
from typing import Any

from testbed import assets, manifests
from testbed.api import Api
from testbed.controlplane import ControlPlane
from testbed.dns.server import Records

GROUP_VERSION = "externaldns.k8s.io/v1alpha1"
ALL = f"/apis/{GROUP_VERSION}/dnsendpoints"
OURS, THEIRS = "decco", "theirs"
ROUND_SECONDS = 0.1
TRIES = 20
NO_DOT = frozenset({"A", "AAAA"})
"""Types whose targets must not end in a dot; for names both forms are accepted, and for texts anything."""

Obj = dict[str, Any]


class Endpoints:
    """``with Endpoints() as endpoints``: a control plane with the CRD, and the consumer at work."""

    def __enter__(self) -> Endpoints:
        self.control_plane = ControlPlane(audit=False)
        self.control_plane.start()
        try:
            self.api: Api = self.control_plane.api
            manifests.install_crds(self.api, [assets.external_dns_crd()])
            for namespace in (OURS, THEIRS):
                self.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        except BaseException:
            self.control_plane.stop()
            raise
        self._ended = threading.Event()
        self._consumer = threading.Thread(target=self._consume, name="external-dns", daemon=True)
        self._consumer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._consumer.join()
        self.control_plane.stop()

    # The consumer

    def _consume(self) -> None:
        while not self._ended.wait(ROUND_SECONDS):
            for obj in self.objects():
                self._observe(obj)

    def _observe(self, obj: Obj) -> None:
        generation = obj["metadata"]["generation"]
        if (obj.get("status") or {}).get("observedGeneration") == generation:
            return
        # As ExternalDNS: an object that changed meanwhile is refused here, and met again in the next round.
        self.api.request("PUT", f"{_path(obj)}/status", {**obj, "status": {"observedGeneration": generation}})

    def published(self) -> Records:
        """What ExternalDNS would carry to its provider, now."""
        merged: dict[tuple[str, str], tuple[int, set[str]]] = {}
        for obj in self.objects():
            for endpoint in obj["spec"].get("endpoints") or ():
                rtype, targets = endpoint["recordType"], endpoint.get("targets") or []
                if rtype in NO_DOT and any(target.endswith(".") for target in targets):
                    continue  # "has an illegal target"
                at = (endpoint["dnsName"].lower().removesuffix("."), rtype)
                merged.setdefault(at, (endpoint.get("recordTTL", 0), set()))[1].update(
                    _shown(rtype, target) for target in targets
                )
        return {at: (ttl, frozenset(values)) for at, (ttl, values) in merged.items() if values}

    # Somebody else, with objects in a namespace of his own

    def objects(self) -> list[Obj]:
        answer = self.api.request("GET", ALL).json()
        return [{"apiVersion": GROUP_VERSION, "kind": "DNSEndpoint", **item} for item in answer["items"]]

    def put(self, name: str, ttl: int, rtype: str, *values: str) -> None:
        self.drop(name.lower(), rtype)
        endpoint = {"dnsName": name, "recordType": rtype, "recordTTL": ttl, "targets": list(values)}
        obj = {
            "apiVersion": GROUP_VERSION,
            "kind": "DNSEndpoint",
            "metadata": {"generateName": "n", "namespace": THEIRS},
            "spec": {"endpoints": [endpoint]},
        }
        self.api.create(f"/apis/{GROUP_VERSION}/namespaces/{THEIRS}/dnsendpoints", obj)

    def drop(self, name: str, rtype: str) -> None:
        """Remove the endpoint from every object, decco's as well."""
        for obj in self.objects():
            endpoints = obj["spec"].get("endpoints") or []
            kept = [e for e in endpoints if (e["dnsName"].lower(), e["recordType"]) != (name, rtype)]
            if len(kept) < len(endpoints):
                self._keep(obj, kept)

    def _keep(self, obj: Obj, endpoints: list[Obj]) -> None:
        for _ in range(TRIES):
            if not endpoints:
                answer = self.api.request("DELETE", _path(obj))
            else:
                answer = self.api.request("PUT", _path(obj), {**obj, "spec": {"endpoints": endpoints}})
            if answer.status != 409:
                assert answer.status == 200, answer.body
                return
            obj = self.api.request("GET", _path(obj)).json()  # the consumer wrote its status meanwhile
        raise RuntimeError(f"{_path(obj)} changes all the time")

    def clear(self) -> None:
        for namespace in (OURS, THEIRS):
            self.api.request("DELETE", f"/apis/{GROUP_VERSION}/namespaces/{namespace}/dnsendpoints")


def _path(obj: Obj) -> str:
    meta = obj["metadata"]
    return f"/apis/{GROUP_VERSION}/namespaces/{meta['namespace']}/dnsendpoints/{meta['name']}"


def _shown(rtype: str, value: str) -> str:
    if rtype == "TXT":
        return '"' + value.strip('"') + '"'
    return value.removesuffix(".") + "." if rtype == "CNAME" else value
