"""Connections out of Spaces: what the caches and the resolver contain for ``desired/outgoing.py``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from decco.api.egress import EgressPolicy
from decco.api.parse import parse_app
from decco.api.types import AppSpec
from decco.desired import names
from decco.desired.endpoints import pod_port_of
from decco.desired.model import EgressPhase, EgressTarget, NamedAddresses, SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.network import may_connect
from decco.desired.outgoing import names_of, parse_record, space_phase
from decco.frozen import frozen
from decco.kube.entry import Entry
from decco.kube.store import Change, Store, subscribed
from decco.objects import (
    ANNOTATION_EGRESS_ADDRESSES,
    NETWORK_POLICIES,
    Key,
    annotations_of,
)
from decco.reconcilers.caches import Caches
from decco.reconcilers.facts import AppFacts
from decco.resolver.model import Known
from decco.resolver.service import Resolver

SWITCH_SECONDS = 60.0
"""How long the egress of a Space stays open for policies of Apps that are not written."""

Addresses = Mapping[str, NamedAddresses]


class Addressing(Protocol):
    """Where a reconciler reads the addresses of an App's names; see ``desired.outgoing.names_of``."""

    def of_app(self, entry: Entry, listed: frozenset[str], former: Mapping[str, tuple[str, ...]], /) -> Addresses: ...


class FormerAddresses:
    """For a simulation, which resolves nothing: what the App's live policy records."""

    def of_app(self, _entry: Entry, listed: frozenset[str], former: Mapping[str, tuple[str, ...]]) -> Addresses:
        return {name: NamedAddresses(former.get(name, ()), pending=name not in former) for name in listed}


class ResolvedAddresses:
    """Declares the names to the resolver."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def following(self, store: Store) -> AbstractContextManager[None]:
        """Forgets objects of this store when they are gone."""
        return subscribed(self._gone, store)

    def _gone(self, change: Change) -> None:
        if change.removed is not None:
            self._resolver.forget(change.removed.uid)

    def of_app(self, entry: Entry, listed: frozenset[str], former: Mapping[str, tuple[str, ...]]) -> Addresses:
        known = self._resolver.ensure(entry.uid, listed, group=entry.key.namespace, former=former)
        return {name: _named(each) for name, each in known.items()}


def _named(known: Known) -> NamedAddresses:
    return NamedAddresses(known.addresses, known.error, known.pending)


# -- App --------------------------------------------------------------------------------------------------------------


@frozen
class AppEgress:
    """What ``AppInputs`` have of an App's egress."""

    phase: EgressPhase
    addresses: Addresses
    recorded: bool
    has_rules: bool
    limited: bool
    """Whether the targets' pods are needed."""


def app_egress(caches: Caches, addressing: Addressing, app: Entry, spec: AppSpec, space: SpaceFacts) -> AppEgress:
    """Declares the App's names, if the egress of its Space is limited, or is about to be."""
    phase = _phase(caches, space) or EgressPhase.UNLIMITED
    limited = bool(spec.tls_egresses) and (
        space.spec.egress_policy is EgressPolicy.DECLARED or phase is not EgressPhase.UNLIMITED
    )
    policy = caches.children[NETWORK_POLICIES].get(Key(app.key.namespace, names.app_policy(app.key.name)))
    record, has_rules = None, False
    if policy is not None and policy.owner_uid == app.uid:
        has_rules = policy.facts is EgressPhase.DECLARED
        record = annotations_of(policy.obj()).get(ANNOTATION_EGRESS_ADDRESSES)
    listed = names_of(spec, caches.settings) if limited else frozenset()
    addresses = addressing.of_app(app, listed, parse_record(record or ""))
    return AppEgress(phase, addresses, record is not None, has_rules, limited)


def target_pods(caches: Caches, space: SpaceFacts, endpoint: str) -> tuple[str, str, int] | None:
    """Space, App and port of the pods behind an endpoint; None if nothing listens there."""
    holder = caches.index.holder(space.name, endpoint)
    facts = caches.index.facts.get(holder) if holder is not None else None
    entry = caches.apps.get(holder) if holder is not None else None
    if holder is None or facts is None or entry is None or not isinstance(entry.facts, AppFacts):
        return None
    taken = caches.index.taken(holder, facts, space.fqdn)
    found = pod_port_of(holder.name, parse_app(entry.obj()), space, taken, endpoint)
    return (space.name, holder.name, found) if found is not None else None


# -- Space ------------------------------------------------------------------------------------------------------------


@frozen
class SpaceEgress:
    """What ``SpaceInputs`` have of a Space's egress; ``seconds``: until an open one is limited in any case."""

    phase: EgressPhase
    waits: tuple[str, ...] = ()
    seconds: float | None = None


class Switches:
    """When the egress of Spaces began to be limited, so that no App keeps one open."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def space_egress(self, caches: Caches, space: SpaceFacts, now: datetime) -> SpaceEgress:
        """What the Space's policy is to say now, and for whom it waits."""
        live, policy = _phase(caches, space), space.spec.egress_policy
        concerned = policy is EgressPolicy.DECLARED or live not in (None, EgressPhase.UNLIMITED)
        limited, waits = _apps(caches, space) if concerned else (False, ())
        left = 0.0
        if policy is EgressPolicy.DECLARED and waits and live not in (None, EgressPhase.DECLARED):
            since = self._since.setdefault(space.uid, now)
            left = max(0.0, SWITCH_SECONDS - (now - since).total_seconds())
        else:
            self._since.pop(space.uid, None)
        phase = space_phase(policy, live, apps_limited=limited, apps_ready=not left)
        if phase is not EgressPhase.PASSING:
            waits = ()
        return SpaceEgress(phase, waits, left or None)


def _apps(caches: Caches, space: SpaceFacts) -> tuple[bool, tuple[str, ...]]:
    """Whether an App's policy limits egress, and the Apps whose policies do not yet have the rules they need."""
    policies, limited, waits = caches.children[NETWORK_POLICIES], False, []
    for app in caches.apps.in_namespace(space.name):
        policy = policies.get(Key(space.name, names.app_policy(app.key.name)))
        has = policy is not None and policy.owner_uid == app.uid and policy.facts is EgressPhase.DECLARED
        limited |= has
        facts = app.facts
        if not has and isinstance(facts, AppFacts) and facts.egresses and not facts.paused and not app.deleting:
            waits.append(app.key.name)
    return limited, tuple(sorted(waits))


def _phase(caches: Caches, space: SpaceFacts) -> EgressPhase | None:
    """That of the Space's live policy; None if it has none."""
    policy = caches.children[NETWORK_POLICIES].get(Key(space.name, SPACE_OBJECT))
    if policy is None or policy.owner_uid != space.uid or not isinstance(policy.facts, EgressPhase):
        return None
    return policy.facts


def egress_targets(
    caches: Caches, client: SpaceFacts, facts: AppFacts, *, with_pods: bool
) -> dict[tuple[str, str], EgressTarget]:
    """The targets of an App's egresses by endpoint, of those that exist and may be reached."""
    found: dict[tuple[str, str], EgressTarget] = {}
    for space_name, name in facts.targets:
        target = caches.space(space_name or client.name)
        endpoint = caches.index.endpoint(space_name or client.name, name)
        if target is None or endpoint is None or not endpoint.tls or not may_connect(client, target[1]):
            continue
        space = target[1]
        found[space.name, name] = EgressTarget(
            host=f"{name}.{space.name}.svc",
            port=endpoint.service_port,
            hostname=names.endpoint_hostname(name, endpoint.hostname, space.fqdn),
            pods=target_pods(caches, space, name) if with_pods else None,
        )
    return found
