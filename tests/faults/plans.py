"""Which faults there are, and which plans a record of a run without faults gives.

A plan is a scenario and its faults; its id says both, so that any plan can be run alone:
``app-create:crash-after@POST core:namespaces/PLAN/services/web#1``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from tests.faults.addresses import is_event

CODES = (400, 403, 404, 409, 410, 422, 429, 500, 503, 504)
CALL_KINDS = ("crash-before", "crash-after", "lost-request", "lost-reply", "cut-reply")
ONCE = (*(f"once-{code}" for code in CODES), "once-garbage")
LONG = (*(f"long-{code}" for code in CODES), "long-garbage", "long-reset")
STALE = ("freeze", "stale-restart", "travel")
"""All watches stand still after a call; a crash then, and a start whose lists are as old as that call; the same at the
end of the scenario."""
WATCH_KINDS = ("event-expired", "event-reset", "event-silent", "event-doubled", "event-late", "event-garbled")
DNS_KINDS = ("crash-before", "crash-after", "lost-request", "lost-reply")
READ_KINDS = ("crash-before", "lost-request", "once-403", "once-429", "once-500", "once-garbage")
DNS = "DNS apply"
PAIR_SHARE = 0.1
"""Pairs of faults, as a share of all other plans."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind`` at the ``number``-th occurrence of ``address``."""

    kind: str
    address: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}@{self.address}#{self.number}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        kind, _, rest = text.partition("@")
        address, _, number = rest.rpartition("#")
        return cls(kind, address, int(number))


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario, and what goes wrong in it."""

    scenario: str
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return f"{self.scenario}:{'+'.join(map(str, self.faults))}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        scenario, _, faults = text.partition(":")
        return cls(scenario, tuple(Fault.parse(each) for each in faults.split("+") if each))

    @property
    def kind(self) -> str:
        """The class of faults that it belongs to."""
        return "pair" if len(self.faults) > 1 else self.faults[0].kind if self.faults else "none"


def enumerate_plans(scenario: str, record: Mapping[str, int], seed: int = 1) -> Iterator[Plan]:
    """All plans of a scenario. ``record``: address -> how often it occurred in the run without faults."""
    single = [Plan(scenario, (fault,)) for fault in _faults(record)]
    if scenario.endswith("~process"):
        yield from (plan for plan in single if plan.kind.startswith("crash-"))
        return
    yield from single
    dice = random.Random(f"{seed} {scenario}")
    movable = [plan.faults[0] for plan in single if plan.kind not in STALE]
    for _ in range(int(len(single) * PAIR_SHARE)):
        first, second = dice.sample(movable, 2)
        if first.address != second.address:
            yield Plan(scenario, (first, second))


def _faults(record: Mapping[str, int]) -> Iterator[Fault]:
    for address, count in sorted(record.items()):
        for number in range(1, count + 1):
            for kind in kinds_at(address):
                yield Fault(kind, address, number)


def kinds_at(address: str) -> Sequence[str]:
    """What can go wrong there."""
    method = address.partition(" ")[0]
    if method == "WATCH":
        return WATCH_KINDS
    if method == "DNS":
        return DNS_KINDS
    if method == "GET" or "authorization:" in address or "?dryRun" in address:
        return READ_KINDS
    if is_event(address):
        return (*CALL_KINDS, "once-403", "once-500")
    if method == "DELETE":
        # A deletion that was not carried out and gets 404 looks the same as one of an object that is gone.
        return tuple(kind for kind in (*CALL_KINDS, *ONCE, *LONG, *STALE) if not kind.endswith("-404"))
    return (*CALL_KINDS, *ONCE, *LONG, *STALE)


def sample(plans: Iterable[Plan], count: int) -> list[Plan]:
    """So many of them, each kind of fault in turn, the same ones each time."""
    by_kind: dict[str, list[Plan]] = {}
    for plan in sorted(plans, key=lambda plan: crc32(str(plan).encode())):
        by_kind.setdefault(plan.kind, []).append(plan)
    chosen: list[Plan] = []
    while len(chosen) < count and any(by_kind.values()):
        chosen += [found.pop() for found in by_kind.values() if found]
    return chosen[:count]
