"""The reconcilers with a dry-run client: what they would write, report and publish.

The simulation runs the controller's code (``reconcilers/space.py``, ``reconcilers/app.py`` and all that they call) with
other dependencies: a ``DryRunClient`` records the writes, the status and the DNS names are recorded instead of written
and published, and a Secret that cannot be read is assumed to exist.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from decco.api.conditions import ConditionType
from decco.desired import reasons
from decco.desired.model import Problem, SecretState, SecretView, SpaceFacts
from decco.dns.records import Role
from decco.kube.apply import Applier
from decco.kube.client import Client
from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.objects import Key, Obj, Resource
from decco.reconcilers.answers import NoAnswers
from decco.reconcilers.app import AppReconciler
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.copies import Copies
from decco.reconcilers.issuing import Causes
from decco.reconcilers.outgoing import FormerAddresses
from decco.reconcilers.reconciler import Dependencies
from decco.reconcilers.records import Published
from decco.reconcilers.requested_secrets import DeletedSources, LocalSecrets
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.space import SpaceReconciler
from decco.views.dry_run_client import DryRunClient, Write
from decco.views.snapshot import Snapshot

_OFFLINE_REASONS = frozenset({reasons.GATEWAY_NOT_FOUND})
"""Reasons that always occur without a cluster."""


MAX_RECONCILES = 5
"""The controller reconciles again if its writes (such as a copied Secret) change the desired state; two or three
reconciles are sufficient."""


@dataclass(slots=True)
class ReconcileResult:
    """The simulated reconcile of one Space or App."""

    kind: str
    key: Key
    writes: list[Write] = field(default_factory=list)
    status: Obj | None = None
    """None if the reconciler did not report a status: the object is being deleted, or waits for its Space."""
    names: tuple[str, ...] = ()
    """DNS names that it would publish."""
    leaving: tuple[str, ...] = ()
    """DNS names of one that is not placed in this cluster, which are withdrawn."""
    role: Role = Role.ACTIVE
    """That of this cluster for the names."""
    addresses: tuple[str, ...] = ()
    """Their targets."""
    determined_names: bool = False
    """Whether the reconcile determined the names; if not, the published records are not changed."""

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def problems(self) -> list[Problem]:
        """What keeps the object from being Ready and does not resolve by itself; Ready only if there is no other."""
        conditions = (self.status or {}).get("conditions") or ()
        if paused := [c for c in conditions if c["type"] == ConditionType.PAUSED and c["status"] == "True"]:
            return [Problem(c["reason"], c["message"]) for c in paused]
        bad = [c for c in conditions if c["status"] == "False" and c["reason"] not in reasons.WAITING]
        causes = [c for c in bad if c["type"] != "Ready"] or bad
        return [Problem(c["reason"], c["message"]) for c in causes]


@dataclass(slots=True)
class SimulationResult:
    """All results, in the order of the reconciles, and their assumptions."""

    results: list[ReconcileResult]
    assumed: dict[Key, set[str]]
    """Secrets that could not be read -> the Spaces that use them; the key's namespace is the controller namespace."""
    secrets: dict[Key, SecretView]
    """(Space, name) -> each Secret that was requested, as its Space sees it."""

    @property
    def writes(self) -> list[Write]:
        return [write for each in self.results for write in each.writes]

    def of(self, kind: str, key: Key) -> ReconcileResult | None:
        return next((each for each in self.results if (each.kind, each.key) == (kind, key)), None)


async def simulate(
    snapshot: Snapshot,
    now: datetime,
    *,
    client: Client | None = None,
    preview: bool = False,
    wanted: Callable[[str, Key], bool] = lambda _kind, _key: True,
) -> SimulationResult:
    """Run the controller's reconcilers for the Spaces and Apps for which ``wanted`` is true; Spaces come first.

    ``client`` reads from the cluster and, with ``preview``, previews each write. Raises MayNotAskError if the user may
    not preview a write, and KubeErrors.
    """
    dry_run = DryRunClient(snapshot, client, preview=preview)
    harness = _Harness(snapshot, dry_run, now, Causes(client, time.monotonic))
    owners = (("Space", snapshot.caches.spaces), ("App", snapshot.caches.apps))
    keys = [(kind, entry.key) for kind, store in owners for entry in sorted(store, key=_creation_order)]
    results = [await harness.reconcile(kind, key) for kind, key in keys if wanted(kind, key)]
    return SimulationResult(results, harness.secrets.assumed, harness.secrets.seen)


def _creation_order(entry: Entry) -> tuple[str, Key]:
    return str(entry.obj()["metadata"].get("creationTimestamp", "")), entry.key


class _Harness:
    """The reconcilers with a dry-run client."""

    def __init__(self, snapshot: Snapshot, dry_run: DryRunClient, now: datetime, causes: Causes) -> None:
        self._offline = snapshot.offline
        self._client = dry_run
        self._reporter = _StatusRecorder()
        self._records = _NameRecorder()
        self.secrets = _AssumedSecrets(snapshot, dry_run)
        dependencies = Dependencies(
            caches=snapshot.caches,
            writer=ChildWriter(Applier(dry_run, snapshot.caches.children), time.monotonic),
            secrets=self.secrets,
            reporter=self._reporter,
            records=self._records,
            now=lambda: now,
            expiries=lambda _space, _expiries: None,
            causes=causes,
            answers=NoAnswers(),
            addressing=FormerAddresses(),
            simulated=True,
            ignores_runs=snapshot.offline,
        )
        self.reconcilers = {"Space": SpaceReconciler(dependencies), "App": AppReconciler(dependencies)}

    async def reconcile(self, kind: str, key: Key) -> ReconcileResult:
        self._client.writes.clear()
        self._reporter.forget()
        self._records.forget()
        known = -1
        for _ in range(MAX_RECONCILES):
            if len(self._client.writes) == known:
                break
            known = len(self._client.writes)
            await self.reconcilers[kind].reconcile(key)
            if not self._client.writes:
                break
        status = self._reporter.status
        if self._offline and status is not None:
            status = _without(status, _OFFLINE_REASONS)
        names, addresses = self._records.published or ((), ())
        return ReconcileResult(
            kind,
            key,
            writes=list(self._client.writes.values()),
            status=status,
            names=names if self._records.role is not Role.LEAVING else (),
            leaving=names if self._records.role is Role.LEAVING else (),
            role=self._records.role,
            addresses=addresses,
            determined_names=self._records.published is not None,
        )


def _without(status: Obj, left_out: Collection[str]) -> Obj:
    conditions = [c for c in status.get("conditions") or () if c["reason"] not in left_out]
    return {**status, "conditions": conditions}


class _StatusRecorder:
    """Records the status that would be written."""

    status: Obj | None = None

    def forget(self) -> None:
        self.status = None

    async def report(self, _store: Store, _entry: Entry, _obj: Obj, status: Obj) -> bool:
        self.status = status
        return False

    def left_over(self, resource: Resource, owner: Obj, left: Iterable[tuple[Resource, Entry]]) -> None:
        """The simulation sends no Events."""


class _NameRecorder:
    """Records the names that would be published."""

    enabled = True
    published: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """Names and addresses; None if the reconcile did not determine them."""
    role = Role.ACTIVE

    def forget(self) -> None:
        self.published, self.role = None, Role.ACTIVE

    async def publish(
        self,
        _store: Store,
        entry: Entry,
        obj: Obj,
        names: Sequence[str],
        addresses: Sequence[str] | None,
        _found: object = None,
        _restored: object = None,
        role: Role = Role.ACTIVE,
        _joins: object = None,
        _move: object = None,
    ) -> Published:
        self.published, self.role = (tuple(names), tuple(addresses or ())), role
        return Published(entry, obj)

    def former(self, _entry: Entry, _names: Collection[str]) -> frozenset[str]:
        return frozenset()

    def leads(self, *_owners: Entry) -> float | None:
        return None

    def pause(self, entry: Entry, lost: Iterable[str] = ()) -> None:
        """The published records are not changed."""

    async def release(
        self, _store: Store, _entry: Entry, _names: Iterable[str], *, abandon: bool = False, **_: object
    ) -> tuple[Problem, ...]:
        if not abandon:
            self.published = (), ()
        return ()


class _AssumedSecrets(Secrets):
    """Assumes that a Secret that could not be read is pending: in this state nothing is removed."""

    def __init__(self, snapshot: Snapshot, dry_run: DryRunClient) -> None:
        local = LocalSecrets(dry_run.find_secret, time.monotonic)
        copies = Copies(snapshot.caches, None)  # the snapshot has them
        super().__init__(snapshot.caches, copies, local, DeletedSources(dry_run.find_secret, time.monotonic))
        self._snapshot = snapshot
        self._client = dry_run
        self.assumed: dict[Key, set[str]] = {}
        self.seen: dict[Key, SecretView] = {}

    async def views(self, space: SpaceFacts, names: Iterable[str]) -> dict[str, SecretView]:
        found = await super().views(space, names)
        for name, view in found.items():
            if view.state is SecretState.ISSUING and self._may_be_issued(space, name):
                found[name] = SecretView(name, SecretState.PENDING)
            if view.state in (SecretState.MISSING, SecretState.DELETED) and self._may_be_there(space, name):
                key = Key(self._snapshot.caches.settings.namespace, name)
                self.assumed.setdefault(key, set()).add(space.name)
                found[name] = SecretView(name, SecretState.PENDING)
            self.seen[Key(space.name, name)] = found[name]
        return found

    def _may_be_issued(self, space: SpaceFacts, name: str) -> bool:
        return self._snapshot.offline or Key(space.name, name) in self._client.unseen_secrets

    def _may_be_there(self, space: SpaceFacts, name: str) -> bool:
        controller_namespace = self._snapshot.caches.settings.namespace
        if self._snapshot.offline:
            return Key(controller_namespace, name) not in self._snapshot.given_secrets
        local = name not in self.own(space) and Key(space.name, name) in self._client.unseen_secrets
        return local or not self._snapshot.may_read(self._snapshot.caches.sources.resource, controller_namespace)
