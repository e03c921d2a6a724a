"""The daemon's reconcilers at work on a stage: what they would write, say and publish.

Not a second telling of what the daemon does but the same code (``reconcilers/space.py``, ``reconcilers/app.py`` and
all that they call), with other surroundings: a ``Stage`` takes the writes, the status is noted instead of written, DNS
names are noted instead of published, and a Secret that cannot be seen is taken to be there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from decco.api.conditions import ConditionType
from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.model import Problem, SecretState, SecretView, SpaceFacts
from decco.kube.apply import Applier
from decco.kube.client import Client
from decco.kube.controller import Action
from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.objects import Key, Obj, Resource
from decco.reconcilers.app import AppReconciler
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.deleted_sources import DeletedSources
from decco.reconcilers.local_secrets import LocalSecrets
from decco.reconcilers.records import Published, Records
from decco.reconcilers.report import Reporter
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.space import SpaceReconciler
from decco.settings import Settings
from decco.views.snapshot import Snapshot
from decco.views.stage import Stage, Write

_NOBODY_TO_ASK = frozenset({reasons.GATEWAY_NOT_FOUND})
"""What is always so where no cluster was asked."""


MOST_LOOKS = 5
"""The daemon looks again when what it wrote (a copied Secret, say) changes what it wants; two or three looks do."""


@dataclass(slots=True)
class Turn:
    """One Space's or App's reconcile, as it would be."""

    kind: str
    key: Key
    writes: list[Write] = field(default_factory=list)
    status: Obj | None = None
    """None if the reconciler had nothing to say: the object is being deleted, or waits for its Space."""
    names: tuple[str, ...] = ()
    """DNS names that it would have published."""
    addresses: tuple[str, ...] = ()
    """Where they would lead."""
    judged: bool = False
    """Whether it came so far as to say which names there are; if not, what is published stays as it is."""

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def problems(self) -> list[Problem]:
        """What keeps the object from being Ready, and does not end by itself: its conditions, Ready last or alone."""
        conditions = (self.status or {}).get("conditions") or ()
        if paused := [c for c in conditions if c["type"] == ConditionType.PAUSED and c["status"] == "True"]:
            return [Problem(c["reason"], c["message"]) for c in paused]
        bad = [c for c in conditions if c["status"] == "False" and c["reason"] not in reasons.WAITING]
        causes = [c for c in bad if c["type"] != "Ready"] or bad
        return [Problem(c["reason"], c["message"]) for c in causes]


@dataclass(slots=True)
class Play:
    """All turns, in the order in which the daemon would have to take them, and what was assumed for them."""

    turns: list[Turn]
    assumed: dict[Key, set[str]]
    """Secrets that nobody could show -> the Spaces that use them; the key's namespace is decco's own."""
    unseen: set[Key]
    """Secrets of a Space's namespace that the user may not read."""
    secrets: dict[Key, SecretView]
    """(Space, name) -> each Secret that was asked for, as its Space sees it."""

    @property
    def writes(self) -> list[Write]:
        return [write for turn in self.turns for write in turn.writes]

    def turn(self, kind: str, key: Key) -> Turn | None:
        return next((turn for turn in self.turns if (turn.kind, turn.key) == (kind, key)), None)


async def rehearse(
    snapshot: Snapshot,
    now: datetime,
    *,
    client: Client | None = None,
    preview: bool = False,
    wanted: Callable[[str, Key], bool] = lambda _kind, _key: True,
) -> Play:
    """Lets the daemon's code play the turns of the Spaces and Apps for which ``wanted`` is true; Spaces come first.

    ``client`` is asked what only a cluster knows, with ``preview`` also what it would make of each write. Raises
    MayNotAskError if the user may not ask for that, and KubeErrors.
    """
    stage = Stage(snapshot, client, preview=preview)
    cast = _Cast(snapshot, stage, now)
    program = [("Space", entry.key, cast.space.reconcile) for entry in sorted(snapshot.caches.spaces, key=_seniority)]
    program += [("App", entry.key, cast.app.reconcile) for entry in sorted(snapshot.caches.apps, key=_seniority)]
    turns = [await cast.turn(kind, key, play) for kind, key, play in program if wanted(kind, key)]
    return Play(turns, cast.secrets.assumed, stage.unseen_secrets, cast.secrets.seen)


def _seniority(entry: Entry) -> tuple[str, Key]:
    return str(entry.obj()["metadata"].get("creationTimestamp", "")), entry.key


class _Cast:
    """The reconcilers and their surroundings."""

    def __init__(self, snapshot: Snapshot, stage: Stage, now: datetime) -> None:
        caches = snapshot.caches
        self._offline = snapshot.offline
        self._stage = stage
        self._reporter = _Notes()
        self._records = _Names(caches.settings)
        self.secrets = _Assuming(snapshot, stage)
        writer = ChildWriter(Applier(stage, caches.children), time.monotonic)

        def certificates(_space: str, _expiries: Mapping[str, float]) -> None:
            """Metrics, of which there are none."""

        shared = (caches, writer, self.secrets, self._reporter, self._records, lambda: now, certificates)
        self.space = SpaceReconciler(*shared)
        self.app = AppReconciler(*shared, rehearsed=True, ignores_runs=snapshot.offline)

    async def turn(self, kind: str, key: Key, reconcile: Callable[[Key], Awaitable[Action]]) -> Turn:
        self._stage.writes.clear()
        self._reporter.status = None
        self._records.names, self._records.addresses, self._records.judged = (), (), False
        known = -1
        for _ in range(MOST_LOOKS):
            if len(self._stage.writes) == known:
                break
            known = len(self._stage.writes)
            await reconcile(key)
            if not self._stage.writes:
                break
        turn = Turn(kind, key, list(self._stage.writes.values()), self._reporter.status)
        turn.names, turn.addresses = self._records.names, self._records.addresses
        turn.judged = self._records.judged
        if self._offline and turn.status is not None:
            turn.status = _without(turn.status, _NOBODY_TO_ASK)
        return turn


def _without(status: Obj, left_out: Collection[str]) -> Obj:
    conditions = [c for c in status.get("conditions") or () if c["reason"] not in left_out]
    return {**status, "conditions": conditions}


class _Notes(Reporter):
    """Takes down the status that would be written."""

    def __init__(self) -> None:
        self.status: Obj | None = None

    async def report(self, store: Store, entry: Entry, obj: Obj, status: Obj) -> bool:
        del store, entry, obj
        self.status = status
        return False

    def left_over(self, resource: Resource, owner: Obj, left: Iterable[tuple[Resource, Entry]]) -> None:
        del resource, owner, left


class _Names(Records):
    """Takes down the names that would be published."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.names: tuple[str, ...] = ()
        self.addresses: tuple[str, ...] = ()
        self.judged = False

    @property
    def enabled(self) -> bool:
        return True

    def pause(self, entry: Entry) -> None:
        pass

    async def publish(
        self, store: Store, entry: Entry, obj: Obj, names: Sequence[str], addresses: Sequence[str] | None
    ) -> Published:
        del store
        self.names, self.addresses, self.judged = tuple(names), tuple(addresses or ()), True
        return Published(entry, obj)

    async def release(
        self, store: Store, entry: Entry, names: Iterable[str], *, abandon: bool = False, wait_for: Iterable[Entry] = ()
    ) -> tuple[Problem, ...]:
        del store, entry, names, wait_for
        self.judged = not abandon
        return ()


class _Asking(LocalSecrets):
    """Asks the stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, time.monotonic)  # type: ignore[arg-type]


class _Assuming(Secrets):
    """A Secret that could not be seen is taken to be on its way: the state in which nothing is made worse."""

    def __init__(self, snapshot: Snapshot, stage: Stage) -> None:
        asked = _Asking(stage)
        super().__init__(snapshot.caches, asked, DeletedSources(stage, time.monotonic))  # type: ignore[arg-type]
        self._snapshot = snapshot
        self._stage = stage
        self.assumed: dict[Key, set[str]] = {}
        self.seen: dict[Key, SecretView] = {}

    async def views(self, space: SpaceFacts, names: Iterable[str]) -> dict[str, SecretView]:
        found = await super().views(space, names)
        for name, view in found.items():
            if view.state in (SecretState.MISSING, SecretState.DELETED) and self._may_be_there(space, name):
                key = Key(self._snapshot.caches.settings.namespace, name)
                self.assumed.setdefault(key, set()).add(space.name)
                found[name] = SecretView(name, SecretState.PENDING)
            self.seen[Key(space.name, name)] = found[name]
        return found

    def _may_be_there(self, space: SpaceFacts, name: str) -> bool:
        home = self._snapshot.caches.settings.namespace
        if self._snapshot.offline:
            return Key(home, name) not in self._snapshot.given_secrets
        local = (
            name not in secret_rules.named_by_space(space.spec) and Key(space.name, name) in self._stage.unseen_secrets
        )
        return local or not self._snapshot.may_read(self._snapshot.caches.sources.resource, home)
