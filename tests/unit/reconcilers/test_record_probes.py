"""Which published records are asked for, and what the answers of the zone's servers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from decco.desired import reasons
from decco.kube.entry import Entry
from decco.probe.model import Observation, Record, Result, Server, State
from decco.probe.service import Prober
from decco.reconcilers.record_probes import RecordProbes, object_uid_of

NAME, ZONE = "db.acme.example", "acme.example"
TARGETS = frozenset({"192.0.2.1", "2001:db8::1"})
NOT_TRUE: list[dict[str, Any]] = []


@dataclass
class Verdicts:
    """In place of a prober: keeps what it is passed, and answers with ``state``."""

    state: State = field(default_factory=State)
    enabled: bool = True
    owner: str = ""
    targets: Mapping[str, Record] = field(default_factory=dict)
    assumed: bool = False
    forgotten: list[str] = field(default_factory=list)

    def ensure(self, owner: str, targets: Mapping[str, Record], *, token: object, assumed: bool) -> State:
        self.owner, self.targets, self.assumed = owner, targets, assumed
        return self.state

    def forget(self, owner: str) -> None:
        self.forgotten.append(owner)


def entry(conditions: list[dict[str, Any]] = NOT_TRUE) -> Entry:
    obj = {"status": {"conditions": conditions}}
    return cast("Entry", SimpleNamespace(uid="uid-db", generation=1, obj=lambda: obj))


def record_probes(verdicts: Verdicts, servers: Mapping[str, tuple[Server, ...]] | None = None) -> RecordProbes:
    return RecordProbes(cast("Prober", verdicts), servers or {})


def test_a_name_with_its_values_and_the_servers_of_the_settings() -> None:
    verdicts, server = Verdicts(), Server("192.0.2.53", 5353)
    assert record_probes(verdicts, {ZONE: (server,)}).problems(entry(), {NAME: ZONE}, TARGETS) == {}
    values = frozenset({("A", "192.0.2.1"), ("AAAA", "2001:db8::1")})
    assert verdicts.targets == {NAME: Record(ZONE, NAME, values, (server,))}
    assert not verdicts.targets[NAME].may_be_other_view
    assert object_uid_of(verdicts.owner) == "uid-db"
    record_probes(verdicts).problems(entry(), {NAME: ZONE}, frozenset({"edge.example"}))
    assert verdicts.targets == {NAME: Record(ZONE, NAME, frozenset({("CNAME", "edge.example")}))}
    assert verdicts.targets[NAME].may_be_other_view


def test_what_is_not_served_and_what_is_not_served_yet() -> None:
    seen = Observation(Result.RECORD, "server 192.0.2.53 answers 192.0.2.9")
    state = State(failed={NAME: seen}, waiting=frozenset({"new.acme.example"}))
    found = record_probes(Verdicts(state)).problems(entry(), {NAME: ZONE, "new.acme.example": ZONE}, TARGETS)
    assert {name: problem.reason for name, problem in found.items()} == {
        NAME: reasons.RECORD_NOT_SERVED,
        "new.acme.example": reasons.WAITING_FOR_DNS,
    }
    assert seen.detail in found[NAME].message


def test_a_record_that_was_ready_before_a_restart_is_assumed() -> None:
    verdicts = Verdicts()
    condition = {
        "type": "DNSReady",
        "status": "True",
        "observedGeneration": 1,
        "reason": "Reconciled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    record_probes(verdicts).problems(entry([condition]), {NAME: ZONE}, TARGETS)
    assert verdicts.assumed


def test_nothing_is_asked_without_records_or_probes() -> None:
    for verdicts, names in ((Verdicts(), {}), (Verdicts(enabled=False), {NAME: ZONE})):
        assert record_probes(verdicts).problems(entry(), names, TARGETS) == {}
        assert verdicts.targets == {}
        assert verdicts.forgotten == [verdicts.owner or "uid-db/records"]
