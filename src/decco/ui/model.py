"""The data of each page, from the views: plain JSON, with the code, cause and cure of each finding.

All text is passed on as it is, of tenants too: the page sets it as text and never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from decco.api.conditions import ConditionType
from decco.desired.model import SecretFacts, SpaceFacts
from decco.kube.entry import Entry
from decco.messages import Category, Severity, messages
from decco.objects import APPS, SECRETS, SPACES, Key, Obj
from decco.reconcilers.report import status_of
from decco.views.connectivity import ConnectivityGraph, as_data
from decco.views.drawing import drawing_data
from decco.views.explanation.chain import Chain, chains
from decco.views.explanation.explain import explain
from decco.views.explanation.parts import World, validity
from decco.views.findings import Finding
from decco.views.simulation import SimulationResult
from decco.views.snapshot import Snapshot
from decco.views.targets import ExplainTarget

_ORDER = (Severity.FAILURE, Severity.WARNING, Severity.UNKNOWN, Severity.OK)
REMARKS_SHOWN = 6
NOT_REPORTED = "decco has not reported on it: is the controller running? (decco doctor)"


def finding_data(finding: Finding) -> Obj:
    """``cause`` and ``action`` are those of the catalogue; they are absent if all is well."""
    data: Obj = {"about": finding.about, "state": finding.severity.value, "text": finding.text}
    if finding.name:
        entry = messages(Category.FINDING).get(finding.name) or messages(Category.CONDITION).get(finding.name)
        if entry is not None:
            data |= {"code": entry.code, "summary": entry.summary, "cause": entry.cause, "action": entry.action}
    return data


def remarks(findings: Iterable[Finding]) -> list[Obj]:
    """What could not be read, the first few."""
    found = list(findings)
    shown = [finding_data(each) for each in found[:REMARKS_SHOWN]]
    if len(found) > REMARKS_SHOWN:
        text = f"and {len(found) - REMARKS_SHOWN} more like these"
        shown.append({"about": "", "state": Severity.UNKNOWN.value, "text": text})
    return shown


def _worst(states: Iterable[Severity]) -> Severity:
    found = set(states)
    return next((each for each in _ORDER if each in found), Severity.OK)


# -- all Spaces -------------------------------------------------------------------------------------------------------


class Rows:
    """The rows of Spaces and Apps, kept while their objects do not change: a page of thousands is drawn often."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Entry, Obj]] = {}

    def overview(self, snapshot: Snapshot, space_names: Iterable[str]) -> Obj:
        """All Spaces with their state as decco reported it, and the number of their Apps that are not ready."""
        known, self._known = self._known, {}
        spaces = [self._space(snapshot, place, known) for place in space_names]
        return {"spaces": spaces, "remarks": remarks(snapshot.gaps)}

    def _space(self, snapshot: Snapshot, place: str, known: dict[Key, tuple[Entry, Obj]]) -> Obj:
        caches = snapshot.caches
        entry = caches.spaces.get(Key("", place))
        apps = [self._row(each, known) for each in caches.apps.in_namespace(place)]
        if entry is not None:
            row: Obj = {**self._row(entry, known), "name": place}
            if isinstance(entry.facts, SpaceFacts):
                row |= {"fqdn": entry.facts.fqdn, "project": entry.facts.spec.project}
        else:
            hidden = not snapshot.may_read(SPACES) or SPACES in snapshot.narrowed
            name = "space-hidden" if hidden else "SpaceNotFound"
            text = f"you may not read Space {place}" if hidden else f"there is no Space {place}"
            row = {"name": place, "state": _state(name).value, "finding": finding_data(Finding("space", text, name))}
        if not snapshot.may_read(APPS, place):
            return row
        states = [Severity(each["state"]) for each in apps]
        return {**row, "apps": len(apps), "apps_state": _worst(states).value, "bad": _count_bad(states)}

    def _row(self, entry: Entry, known: dict[Key, tuple[Entry, Obj]]) -> Obj:
        before = known.get(entry.key)
        row = before[1] if before is not None and before[0] is entry else reported(entry)
        self._known[entry.key] = entry, row
        return row


def _state(name: str) -> Severity:
    return Finding("", "", name).severity


def _count_bad(states: Iterable[Severity]) -> int:
    return sum(each in (Severity.FAILURE, Severity.WARNING) for each in states)


def reported(entry: Entry) -> Obj:
    """The state of a Space or App by the conditions that decco has written."""
    obj = entry.obj()
    status = status_of(obj)
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    ready = conditions.get(ConditionType.READY)
    if isinstance(entry.facts, Exception):
        finding = Finding("spec", str(entry.facts), "spec-invalid")
    elif ready is None or (status.get("observedGeneration") or 0) < entry.generation:
        finding = Finding("life", NOT_REPORTED, "object-not-reconciled")
    elif ready["status"] == "True":
        return {"state": Severity.OK.value}
    else:
        finding = Finding("Ready", f"{ready['reason']}: {ready['message']}", ready["reason"])
    return {"state": finding.severity.value, "finding": finding_data(finding)}


# -- one Space --------------------------------------------------------------------------------------------------------


def space_data(world: World, name: str) -> Obj:
    """A Space with its Apps, the way to each endpoint, and all that ``decco explain`` finds."""
    caches = world.snapshot.caches
    entry = caches.spaces.get(Key("", name))
    data: Obj = {"name": name, "remarks": remarks(world.snapshot.gaps)}
    if entry is not None:
        data["findings"] = [finding_data(each) for each in explain(world, ExplainTarget(space=name))]
        if isinstance(entry.facts, SpaceFacts):
            data |= {"fqdn": entry.facts.fqdn, "project": entry.facts.spec.project}
    elif world.snapshot.may_read(SPACES) and SPACES not in world.snapshot.narrowed:
        text = f"there is no Space {name}"
        data["findings"] = [finding_data(Finding("space", text, "SpaceNotFound"))]
    else:
        text = f"you may not read Space {name}; what follows is from the status that decco reported"
        data["findings"] = [finding_data(Finding("space", text, "space-hidden"))]
    if not world.snapshot.may_read(APPS, name):
        text = f"you may not list Apps in namespace {name}"
        data["apps_hidden"] = finding_data(Finding("apps", text, "apps-hidden"))
    apps = sorted(caches.apps.in_namespace(name), key=lambda each: each.key)
    data["apps"] = [_app(world, app) for app in apps]
    return data


def _app(world: World, app: Entry) -> Obj:
    ways = chains(world, app)
    findings = list(explain(world, ExplainTarget(app=app.key)))
    states = [*(link.severity for way in ways for link in way.links), *(each.severity for each in findings)]
    return {
        "name": app.key.name,
        "state": _worst(each for each in states if each is not Severity.UNKNOWN).value,
        "chains": [_chain(way) for way in ways],
        "findings": [finding_data(each) for each in findings],
    }


def _chain(way: Chain) -> Obj:
    broken = way.broken
    return {
        "endpoint": way.endpoint,
        "where": way.where,
        "broken": broken.part.value if broken is not None else None,
        "links": [
            {
                "part": link.part.value,
                "state": link.severity.value,
                "findings": [finding_data(each) for each in link.findings],
            }
            for link in way.links
        ],
    }


# -- the graph --------------------------------------------------------------------------------------------------------


def graph_data(graph: ConnectivityGraph, gaps: Iterable[Finding]) -> Obj:
    """The drawing, and the same as data for a list beside it."""
    return {**as_data(graph), "drawing": drawing_data(graph), "remarks": remarks(gaps)}


# -- certificates -----------------------------------------------------------------------------------------------------


def certificates_data(snapshot: Snapshot, space_names: Iterable[str], now: datetime) -> Obj:
    """The certificates in the namespaces of Spaces that decco has copied or cert-manager has issued for it, the first
    to expire first.
    """
    world = World(snapshot, SimulationResult([], {}, {}), now, None)
    shown = set(space_names)
    entries = [entry for entry in snapshot.caches.children[SECRETS] if entry.key.namespace in shown]
    rows = [row for entry in entries if (row := _certificate(world, entry)) is not None]
    hidden = sorted(place for place in shown if not snapshot.may_read(SECRETS, place))
    texts = [
        Finding(each, f"you may not read the Secrets of namespace {each}", "certificates-hidden") for each in hidden
    ]
    return {"certificates": sorted(rows, key=_by_expiry), "remarks": remarks(texts)}


def _by_expiry(row: Obj) -> tuple[bool, str, str, str]:
    return row["until"] is None, row["until"] or "", row["namespace"], row["name"]


def _certificate(world: World, entry: Entry) -> Obj | None:
    facts = entry.facts
    if not isinstance(facts, SecretFacts) or (facts.not_after is None and facts.problem is None):
        return None
    if facts.problem is not None:
        finding = Finding("certificate", f"{facts.problem.reason}: {facts.problem.message}", facts.problem.reason)
    elif facts.not_after is not None and facts.not_after <= world.now:
        finding = Finding("certificate", f"expired on {facts.not_after:%Y-%m-%d}: renew it", "CertificateExpired")
    else:
        finding = validity(world, "certificate", "in the Space", facts, None)
    return {
        "namespace": entry.key.namespace,
        "name": entry.key.name,
        "names": list(facts.dns_names or ()),
        "until": facts.not_after.isoformat() if facts.not_after is not None else None,
        "days": (facts.not_after - world.now).days if facts.not_after is not None else None,
        "state": finding.severity.value,
        "finding": finding_data(finding),
    }
