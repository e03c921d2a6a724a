"""A strict model of Route 53's record API: its documented limits and refusals, and nothing lenient.

Written from the API reference ("ChangeResourceRecordSets", "ListResourceRecordSets", "ListHostedZonesByName") and the
Developer Guide's "Quotas" and "DNS domain name format". It is a model: it cannot show behaviour
that only the real service has.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from testbed.dns.httpmodel import HttpModel, Request, Response

NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
MAX_RECORDS, MAX_CHARACTERS = 1000, 32_000
MAX_VALUES = 400
PAGE = 300
REQUESTS_PER_SECOND = 5.0
SKEW_SECONDS = 15 * 60
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_ALLOWED = re.compile(r"[a-z0-9_*.-]*")
_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"')

Key = tuple[str, str]
RrSet = tuple[int, tuple[str, ...]]


class ApiError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Hosted:
    name: str
    private: bool = False
    records: dict[Key, RrSet] = field(default_factory=dict)


class Route53Model(HttpModel):
    """``with Route53Model() as model``: serves at ``model.url``. ``calls`` are the operations that were asked for."""

    def __init__(self) -> None:
        self.zones: dict[str, Hosted] = {}
        self.calls: list[str] = []
        self.largest = (0, 0)
        """Most records, and most characters, that one request ever held."""
        self.limit_rate = False
        self.pending: set[str] = set()
        """Zones whose earlier request is said to be not complete."""
        self.keys: frozenset[str] | None = None
        """Access key IDs that are known; None takes any. Signatures themselves are not checked."""
        self.clock_ahead = 0.0
        """Seconds by which the service's clock is before that of its callers."""
        self._tokens, self._filled = REQUESTS_PER_SECOND, time.monotonic()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def respond(self, request: Request) -> Response:
        try:
            self.authenticate(request.headers.get("Authorization", ""), request.headers.get("X-Amz-Date", ""))
            status, text = 200, self.handle(request.method, request.path, request.body)
        except ApiError as error:
            status = error.status
            text = (
                f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{error.code}</Code>'
                f"<Message>{escape(error.message)}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            )
        return Response(status, "text/xml", text.encode())

    def create_zone(self, name: str, *, private: bool = False) -> str:
        zone_id = f"Z{next(self._ids):013d}"
        zone = Hosted(name, private)
        zone.records[name, "NS"] = (172800, ("ns-1.example.",))
        zone.records[name, "SOA"] = (900, ("ns-1.example. hostmaster.example. 1 7200 900 1209600 86400",))
        self.zones[zone_id] = zone
        return zone_id

    def authenticate(self, authorization: str, date: str) -> None:
        """Check what a request says of its key and its time ("Signature Version 4": at most 15 minutes apart)."""
        key = _CREDENTIAL.search(authorization)
        if key is None:
            raise ApiError(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        if self.keys is not None and key[1] not in self.keys:
            raise ApiError(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(time.time() + self.clock_ahead - sent.timestamp()) > SKEW_SECONDS:
            raise ApiError(403, "SignatureDoesNotMatch", f"Signature expired: {date} is now earlier than allowed.")

    def handle(self, method: str, target: str, body: bytes) -> str:
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with self._lock:
            self._throttle()
            match url.path.strip("/").split("/"):
                case ["2013-04-01", "hostedzonesbyname"]:
                    self.calls.append("ListHostedZonesByName")
                    return self._zones_by_name(query)
                case ["2013-04-01", "hostedzone", zone_id, "rrset"]:
                    self.calls.append("ListResourceRecordSets" if method == "GET" else "ChangeResourceRecordSets")
                    if zone_id not in self.zones:
                        raise ApiError(404, "NoSuchHostedZone", f"No hosted zone found with ID: {zone_id}")
                    if method == "GET":
                        return self._list(self.zones[zone_id], query)
                    return self._change(zone_id, body)
        raise ApiError(404, "InvalidInput", f"no operation {method} {url.path}")

    def _throttle(self) -> None:
        now = time.monotonic()
        self._tokens = min(REQUESTS_PER_SECOND, self._tokens + (now - self._filled) * REQUESTS_PER_SECOND)
        self._filled = now
        if self._tokens < 1 and self.limit_rate:
            raise ApiError(400, "Throttling", "Rate exceeded")
        self._tokens = max(0.0, self._tokens - 1)

    def _zones_by_name(self, query: dict[str, str]) -> str:
        start = _order(query.get("dnsname", "").rstrip("."))
        found = sorted((z for z in self.zones.items() if _order(z[1].name) >= start), key=lambda z: _order(z[1].name))
        shown = "".join(
            f"<HostedZone><Id>/hostedzone/{zone_id}</Id><Name>{zone.name}.</Name><CallerReference>c</CallerReference>"
            f"<Config><PrivateZone>{str(zone.private).lower()}</PrivateZone></Config></HostedZone>"
            for zone_id, zone in found[: int(query.get("maxitems", "100"))]
        )
        return (
            f'<ListHostedZonesByNameResponse xmlns="{NAMESPACE}"><HostedZones>{shown}</HostedZones>'
            "<IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesByNameResponse>"
        )

    def _list(self, zone: Hosted, query: dict[str, str]) -> str:
        start = (_order(_plain(query.get("name", ""))), query.get("type", ""))
        ordered = sorted(zone.records.items(), key=lambda item: (_order(item[0][0]), item[0][1]))
        found = [item for item in ordered if (_order(item[0][0]), item[0][1]) >= start]
        size = min(PAGE, int(query.get("maxitems", PAGE)))
        shown = "".join(
            f"<ResourceRecordSet><Name>{_shown(name)}</Name><Type>{rtype}</Type><TTL>{ttl}</TTL><ResourceRecords>"
            + "".join(f"<ResourceRecord><Value>{escape(v)}</Value></ResourceRecord>" for v in values)
            + "</ResourceRecords></ResourceRecordSet>"
            for (name, rtype), (ttl, values) in found[:size]
        )
        more = ""
        if len(found) > size:
            name, rtype = found[size][0]
            more = f"<NextRecordName>{_shown(name)}</NextRecordName><NextRecordType>{rtype}</NextRecordType>"
        return (
            f'<ListResourceRecordSetsResponse xmlns="{NAMESPACE}"><ResourceRecordSets>{shown}</ResourceRecordSets>'
            f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}<MaxItems>{size}</MaxItems>"
            "</ListResourceRecordSetsResponse>"
        )

    def _change(self, zone_id: str, body: bytes) -> str:
        if zone_id in self.pending:
            raise ApiError(
                400, "PriorRequestNotComplete", "The request was rejected because a prior request is pending."
            )
        zone = self.zones[zone_id]
        changes = [_parse(element) for element in ET.fromstring(body).iter(f"{{{NAMESPACE}}}Change")]
        count = characters = 0
        for action, _, _, (_, values) in changes:
            times = 2 if action == "UPSERT" else 1
            count += times * len(values)
            characters += times * sum(map(len, values))
        self.largest = (max(self.largest[0], count), max(self.largest[1], characters))
        if count > MAX_RECORDS:
            raise ApiError(400, "InvalidChangeBatch", f"Number of records limit of {MAX_RECORDS} exceeded.")
        if characters > MAX_CHARACTERS:
            raise ApiError(400, "InvalidChangeBatch", f"Number of characters limit of {MAX_CHARACTERS} exceeded.")
        trial = dict(zone.records)
        errors = [error for change in changes if (error := _carry_out(trial, zone.name, *change))]
        errors += [error for _, name, rtype, _ in changes if (error := _check(trial, zone.name, name, rtype))]
        if errors:
            raise ApiError(400, "InvalidChangeBatch", f"[{', '.join(errors)}]")
        zone.records = trial
        return (
            f'<ChangeResourceRecordSetsResponse xmlns="{NAMESPACE}"><ChangeInfo><Id>/change/C1</Id>'
            "<Status>INSYNC</Status><SubmittedAt>2024-01-01T00:00:00Z</SubmittedAt></ChangeInfo>"
            "</ChangeResourceRecordSetsResponse>"
        )


def _order(name: str) -> list[str]:
    return name.lower().split(".")[::-1]


def _shown(name: str) -> str:
    return name.replace("*", "\\052") + "."


def _plain(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), text).lower().removesuffix(".")


def _parse(element: ET.Element) -> tuple[str, str, str, RrSet]:
    def text(path: str) -> str:
        found = element.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
        if found is None or found.text is None:
            raise ApiError(400, "InvalidInput", f"{path} is missing")
        return found.text

    values = tuple(sorted(v.text or "" for v in element.iter(f"{{{NAMESPACE}}}Value")))
    name = _plain(text("ResourceRecordSet/Name"))
    return text("Action"), name, text("ResourceRecordSet/Type"), (int(text("ResourceRecordSet/TTL")), values)


def _carry_out(trial: dict[Key, RrSet], zone: str, action: str, name: str, rtype: str, new: RrSet) -> str:
    what = f"resource record set [name='{_shown(name)}', type='{rtype}']"
    now = trial.get((name, rtype))
    if action == "CREATE" and now is not None:
        return f"Tried to create {what} but it already exists"
    if action == "DELETE":
        if now is None:
            return f"Tried to delete {what} but it was not found"
        if now != new:
            return f"Tried to delete {what} but the values provided do not match the current values"
        if name == zone and rtype in ("NS", "SOA"):
            return f"A HostedZone must contain at least one {rtype} record for the zone itself."
        del trial[name, rtype]
        return ""
    trial[name, rtype] = new
    return ""


def _check(trial: dict[Key, RrSet], zone: str, name: str, rtype: str) -> str:
    if (name, rtype) not in trial:
        return ""
    ttl, values = trial[name, rtype]
    problem = ""
    if name != zone and not name.endswith("." + zone):
        problem = f"RRSet with DNS name {_shown(name)} is not permitted in zone {zone}."
    elif len(name) > 253 or any(not 0 < len(label) <= 63 for label in name.split(".")):
        problem = f"FATAL problem: DomainLabelTooLong (Domain label is too long) encountered with '{_shown(name)}'"
    elif not _ALLOWED.fullmatch(name):
        problem = f"FATAL problem: UnsupportedCharacter encountered with '{_shown(name)}'"
    elif not 0 < len(values) <= MAX_VALUES or len(set(values)) != len(values) or not 0 <= ttl < 2**31:
        problem = f"Invalid Resource Record: FATAL problem: values or TTL of {_shown(name)}"
    elif rtype == "CNAME" and (name == zone or len(values) != 1):
        problem = f"RRSet of type CNAME with DNS name {_shown(name)} is not permitted at apex in zone {zone}."
    elif rtype == "CNAME" and any(other == name and kind != "CNAME" for other, kind in trial):
        problem = (
            f"RRSet of type CNAME with DNS name {_shown(name)} is not permitted as it conflicts with other records "
            f"with the same DNS name in zone {zone}."
        )
    elif rtype != "CNAME" and (name, "CNAME") in trial:
        problem = (
            f"RRSet of type {rtype} with DNS name {_shown(name)} is not permitted because a conflicting RRSet of type "
            f"CNAME with the same DNS name already exists in zone {zone}."
        )
    elif rtype == "TXT":
        problem = next((p for p in map(_check_text, values) if p), "")
    return problem


def _check_text(value: str) -> str:
    rest = value
    while rest.strip():
        match = _QUOTED.match(rest)
        if match is None:
            why = "InvalidCharacterString (Value should be enclosed in quotation marks)"
            return f"Invalid Resource Record: {why} encountered with '{value}'"
        if len(match[1]) > 255:
            return (
                f"Invalid Resource Record: CharacterStringTooLong (Value is too long) encountered with '{value[:20]}'"
            )
        rest = rest[match.end() :]
    return ""
