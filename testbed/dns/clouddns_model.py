"""A strict model of Cloud DNS's record API, from the public discovery document (dns v1) and its reference pages.

It is a model: it cannot show behaviour that only the real service has.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.dns.httpmodel import HttpModel, Request, Response

MAX_SETS, MAX_OCTETS = 1000, 100_000
PAGE = 100

Key = tuple[str, str]
Sets = dict[Key, tuple[int, tuple[str, ...]]]


class ApiError(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Managed:
    dns_name: str
    visibility: str = "public"
    records: Sets = field(default_factory=dict)


class CloudDnsModel(HttpModel):
    """``with CloudDnsModel() as model``: serves any project at ``model.url``."""

    def __init__(self) -> None:
        self.zones: dict[str, Managed] = {}
        self.calls: list[str] = []
        self.tokens: set[str] | None = None
        """Access tokens that are good; None takes any."""
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def respond(self, request: Request) -> Response:
        try:
            self.authenticate(request.headers.get("Authorization", ""))
            status, answer = 200, self.handle(request.path, json.loads(request.body) if request.body else None)
        except ApiError as error:
            status = error.status
            details = [{"message": error.message, "domain": "global", "reason": error.reason}]
            answer = {"error": {"code": error.status, "message": error.message, "errors": details}}
        return Response(status, "application/json", json.dumps(answer).encode())

    def create_zone(self, name: str, visibility: str = "public") -> str:
        zone_id = f"zone-{next(self._ids)}"
        zone = Managed(name, visibility)
        zone.records[name, "NS"] = (21600, ("ns-cloud-a1.example.",))
        zone.records[name, "SOA"] = (21600, ("ns-cloud-a1.example. hostmaster.example. 1 21600 3600 259200 300",))
        self.zones[zone_id] = zone
        return zone_id

    def authenticate(self, authorization: str) -> None:
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer":
            raise ApiError(401, "required", "Login Required.")
        if self.tokens is not None and token not in self.tokens:
            raise ApiError(401, "authError", "Request had invalid authentication credentials.")

    def handle(self, target: str, body: Any) -> Any:
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with self._lock:
            match url.path.strip("/").split("/"):
                case ["dns", "v1", "projects", _, "managedZones"]:
                    self.calls.append("managedZones.list")
                    return {
                        "managedZones": [
                            {"name": zone_id, "dnsName": f"{zone.dns_name}.", "visibility": zone.visibility}
                            for zone_id, zone in self.zones.items()
                            if query.get("dnsName", f"{zone.dns_name}.") == f"{zone.dns_name}."
                        ]
                    }
                case ["dns", "v1", "projects", _, "managedZones", zone_id, what]:
                    self.calls.append(what)
                    if zone_id not in self.zones:
                        raise ApiError(
                            404, "notFound", f"The 'parameters.managedZone' resource named '{zone_id}' does not exist."
                        )
                    if what == "rrsets":
                        return self._list(self.zones[zone_id], query)
                    return self._change(self.zones[zone_id], body)
        raise ApiError(404, "notFound", f"no method {url.path}")

    def _list(self, zone: Managed, query: dict[str, str]) -> Any:
        found = sorted(item for item in zone.records.items() if query.get("name", f"{item[0][0]}.") == f"{item[0][0]}.")
        start = int(query.get("pageToken", "0"))
        end = start + min(PAGE, int(query.get("maxResults", PAGE)))
        shown = [
            {"kind": "dns#resourceRecordSet", "name": f"{name}.", "type": rtype, "ttl": ttl, "rrdatas": list(values)}
            for (name, rtype), (ttl, values) in found[start:end]
        ]
        return {"rrsets": shown, **({"nextPageToken": str(end)} if end < len(found) else {})}

    def _change(self, zone: Managed, body: dict[str, Any]) -> Any:
        gone, new = body.get("deletions") or [], body.get("additions") or []
        octets = sum(len(value) for item in (*gone, *new) for value in item["rrdatas"])
        if max(len(gone), len(new)) > MAX_SETS or octets > MAX_OCTETS:
            raise ApiError(403, "quotaExceeded", "The change is larger than the quota allows.")
        trial = dict(zone.records)
        for number, item in enumerate(gone):
            key, value = _parse(item)
            where = f"'entity.change.deletions[{number}]'"
            if key not in trial:
                raise ApiError(404, "notFound", f"The {where} resource named '{key[0]}. ({key[1]})' does not exist.")
            if (trial[key][0], set(trial[key][1])) != (value[0], set(value[1])):
                raise ApiError(
                    412, "conditionNotMet", f"Precondition not met for {where}, named '{key[0]}. ({key[1]})'"
                )
            del trial[key]
        for number, item in enumerate(new):
            key, value = _parse(item)
            where = f"'entity.change.additions[{number}]'"
            if key in trial:
                raise ApiError(
                    409, "alreadyExists", f"The {where} resource named '{key[0]}. ({key[1]})' already exists"
                )
            trial[key] = value
        for number, item in enumerate(new):
            _check(trial, zone.dns_name, _parse(item)[0], f"'entity.change.additions[{number}]'")
        zone.records = trial
        return {"kind": "dns#change", "id": "1", "status": "pending"}


def _parse(item: dict[str, Any]) -> tuple[Key, tuple[int, tuple[str, ...]]]:
    if not item["name"].endswith("."):
        raise ApiError(400, "invalid", f"Invalid value for 'entity.change': '{item['name']}'")
    return (item["name"].removesuffix(".").lower(), item["type"]), (int(item["ttl"]), tuple(item["rrdatas"]))


def _check(trial: Sets, zone: str, key: Key, where: str) -> None:
    name, rtype = key
    types = {kind for other, kind in trial if other == name}
    ill = name != zone and not name.endswith("." + zone)
    ill = ill or len(name) > 253 or any(not 0 < len(label) <= 63 for label in name.split("."))
    ill = ill or (rtype == "CNAME" and (name == zone or len(trial[key][1]) != 1))
    if ill:
        raise ApiError(400, "invalid", f"Invalid value for {where}, named '{name}. ({rtype})'")
    if "CNAME" in types and len(types) > 1:
        raise ApiError(
            400,
            "cnameResourceRecordSetConflict",
            f"The resource record set {where}, named '{name}. ({rtype})', is invalid because the DNS name may have "
            "either one CNAME resource record set or resource record sets of other types, but not both.",
        )
