"""The DNS changes that the controller would make: the desired records of a simulation and the plan of ``Dns``.

It runs the controller's code (the reconcilers compute the desired records, ``Dns.plan`` compares) with a DNS service
that is not started: it only reads the zones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from decco.desired import reasons
from decco.desired.move import NO_MOVE
from decco.dns.errors import REASON_PENDING, REASONS, DnsError
from decco.dns.plan import Plan
from decco.dns.provider import Change
from decco.dns.records import DesiredRecord, RecordSet
from decco.dns.registry import marked
from decco.dns.service import Dns, DnsProblem
from decco.frozen import frozen
from decco.kube.store import Store
from decco.views.findings import Finding, Findings
from decco.views.simulation import SimulationResult
from decco.views.snapshot import Snapshot


@frozen
class Step:
    """One name's change: ``verb`` is create, update, delete, or conflict, which is not a change and has a reason."""

    provider: str
    zone: str
    verb: str
    name: str
    owner: str
    before: tuple[RecordSet, ...] = ()
    after: tuple[RecordSet, ...] = ()
    reason: str = ""
    message: str = ""


@dataclass(slots=True)
class DnsView:
    """``refused`` are names that cannot be published; ``unreadable`` is (provider, zone, error)."""

    steps: list[Step] = field(default_factory=list)
    refused: list[tuple[str, DnsProblem]] = field(default_factory=list)
    unreadable: list[tuple[str, str, DnsError]] = field(default_factory=list)
    orphans: list[tuple[str, str, str]] = field(default_factory=list)
    """(provider, zone, name) of names with an ownership record of this cluster whose owner does not exist."""


async def read_zones(dns: Dns, snapshot: Snapshot, result: SimulationResult) -> DnsView:
    """Sets the desired records of ``dns``, which is not running, and reads every zone."""
    view = DnsView()
    owners = _desire(dns, snapshot, result, view)
    _add(view, await dns.plan(), owners, snapshot.caches.settings.cluster_id)
    return view


async def hand_over(dns: Dns, snapshot: Snapshot, result: SimulationResult, *, send: bool) -> DnsView:
    """Gives names that carry this cluster's id and an owner that does not exist to the Spaces and Apps that desire
    them, or only plans that; ``dns`` is not running.
    """
    view = DnsView()
    owners = _desire(dns, snapshot, result, view)
    view.refused.clear()
    _add(view, await dns.hand_over(send=send), owners, snapshot.caches.settings.cluster_id)
    return view


def _desire(dns: Dns, snapshot: Snapshot, result: SimulationResult, view: DnsView) -> dict[str, str]:
    """Sets the desired records; returns the owners by UID, as messages name them."""
    owners: dict[str, str] = {}
    stores: dict[str, Store] = {"Space": snapshot.caches.spaces, "App": snapshot.caches.apps}
    for reconciled in result.results:
        entry = stores[reconciled.kind].get(reconciled.key)
        if entry is None or not reconciled.determined_names:
            continue
        owners[entry.uid] = str(reconciled)
        targets = frozenset(reconciled.addresses)
        restored = snapshot.caches.restored_names(entry.key.namespace or entry.key.name, reconciled.names)
        # Nothing is known of what the edge answers, so shared names stay with the clusters that serve them.
        role, names = reconciled.role, reconciled.names or reconciled.leaving
        space = snapshot.caches.space(entry.key.namespace or entry.key.name)
        move = space[1].move if space is not None else NO_MOVE
        records = [
            DesiredRecord(
                name,
                targets,
                standby=None,
                restored=name in restored,
                role=role,
                offer=move.to,
                accept=move.source,
            )
            for name in names
        ]
        state = dns.ensure(entry.uid, records)
        view.refused += [(str(reconciled), problem) for problem in state.problems if problem.reason != REASON_PENDING]
    return owners


def _add(
    view: DnsView, result: Sequence[tuple[str, str, Plan | DnsError]], owners: dict[str, str], cluster: str
) -> None:
    for provider, zone, found in result:
        if isinstance(found, DnsError):
            view.unreadable.append((provider, zone, found))
        else:
            view.steps += _steps(provider, zone, found, owners, cluster)
            view.orphans += [(provider, zone, name) for name in found.orphans]


def remarks_of(view: DnsView) -> Findings:
    for _, _, name in view.orphans:
        text = f"{name} has an ownership record of this cluster and no owner: it is left alone, remove the record and "
        yield Finding("", f"{text}its ownership record if they are left over", "record-without-owner")
    for provider, zone, error in view.unreadable:
        reason = error.reason if error.reason in REASONS else reasons.DNS_FAILED
        yield Finding("", f"zone {zone} of the provider {provider}: {error}", reason)


async def release(dns: Dns, cluster: str, *, send: bool) -> DnsView:
    """Withdraws all names of ``cluster``, or only plans that; ``dns`` is a service of that cluster, not running."""
    view = DnsView()
    _add(view, await dns.release_all(send=send), {}, cluster)
    return view


def _steps(provider: str, zone: str, found: Plan, owners: dict[str, str], cluster: str) -> Iterator[Step]:
    for change in found.changes:
        owner = _owner(change, cluster)
        before, after = (tuple(s for s in sets if s.name == change.name) for sets in (change.before, change.after))
        yield Step(provider, zone, change.verb, change.name, owners.get(owner, owner), before, after)
    for (name, uid), error in found.problems.items():
        yield Step(provider, zone, "conflict", name, owners.get(uid, uid), reason=error.reason, message=str(error))


def _owner(change: Change, cluster: str) -> str:
    """The owner's UID in the ownership record that would be written or removed; of a shared name that of this cluster,
    if it changes.
    """
    for sets in (change.after, change.before):
        now = marked(change.name, change.ownership_name, sets)
        owner = now.owner or now.member_of(cluster)
        if owner is not None:
            return owner.uid
    return ""
