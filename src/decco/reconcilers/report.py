"""Reports to users: one status write if the status changed, and an Event for each change of a condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from decco.api.conditions import ConditionType
from decco.desired import reasons
from decco.desired.ownership import holders_of
from decco.kube.bounded_map import BoundedMap
from decco.kube.client import Client
from decco.kube.controller import Postponed
from decco.kube.entry import Entry
from decco.kube.errors import ApiError, Conflict, Invalid, KubeError, NotFound, ServerError
from decco.kube.events import EventType, Recorder
from decco.kube.identity import is_there
from decco.kube.store import Store
from decco.kube.token_bucket import TokenBucket
from decco.log import get_logger
from decco.objects import Obj, Resource
from decco.reconcilers.outcomes import is_by_policy, left_over

log = get_logger(__name__)

V = TypeVar("V")

STATUS_BURST = 1000
"""Status writes of one Space and its Apps at once."""
STATUS_SECONDS = 0.01
"""After the burst, one more in this interval: what is edited without pause waits, others do not."""

_OF_A_CONDITION = frozenset({"type", "status", "reason", "message"})


@dataclass(slots=True)
class _Share:
    """The status writes of one Space and its Apps."""

    budget: TokenBucket
    waiting: set[str] = field(default_factory=set)
    """UIDs of the objects whose status was postponed."""


class Reporter:
    """Writes the status of Spaces and Apps."""

    def __init__(self, client: Client, recorder: Recorder, clock: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._shares: BoundedMap[str, _Share] = BoundedMap()
        self._unwritable: BoundedMap[str, int] = BoundedMap()
        """UID -> version of objects whose status the API server refused."""
        self._left: BoundedMap[str, bool] = BoundedMap()
        """UID -> whether it was being deleted, of objects that were reported as left over."""

    async def report(self, store: Store, entry: Entry, obj: Obj, status: Obj) -> bool:
        """Writes ``status`` if it differs from what ``obj`` carries; returns whether it did.

        Raises Conflict if the object changed meanwhile, without a request if the cache shows it: its new version starts
        another reconcile anyway. A status that the API server refuses while the object is as it is (it violates newer
        rules, or exceeds the storage's limit) is reported as Events and in the log.
        """
        before = status_of(obj)
        if before == status:
            return False
        known = store.get(entry.key)
        if known is not None and known.uid == entry.uid and known.version > entry.version:
            # Where an object is edited without pause, every second write would be one that the API server refuses.
            raise Conflict(409, "Conflict", "the cache has a newer version of the object")
        self._take_status_token(entry)
        resource, meta = store.resource, {"name": entry.key.name, "uid": entry.uid}
        if entry.key.namespace:
            meta["namespace"] = entry.key.namespace
        subject = _reference(resource, {**meta, "resourceVersion": str(entry.version)})
        body = {**subject, "status": status}
        if "spec" in obj:  # ignored on the status path, but required by the schema
            body["spec"] = obj["spec"]
        try:
            written = await self._client.replace_status(resource, body)
        except NotFound:
            if await is_there(self._client, resource, entry.key, entry.uid):
                raise
            return False  # it has just been deleted
        except KubeError as error:
            stands = isinstance(error, Invalid) or (isinstance(error, ServerError) and error.too_large)
            if not stands or (isinstance(error, ApiError) and is_by_policy(error)):
                error.add_note("while writing the status")
                raise
            if _is_new(self._unwritable, entry.uid, entry.version):
                log.warning(
                    "status cannot be written: correct the object or delete it",
                    kind=resource.kind,
                    key=str(entry.key),
                    error=str(error),
                )
                self._send_events(subject, before, status)
            return False
        store.put(written, own=True)
        self._send_events(subject, before, status)
        return True

    def _take_status_token(self, entry: Entry) -> None:
        """Raises Postponed if the objects of this Space have used up their budget of status writes."""
        now, space = self._clock(), entry.key.namespace or entry.key.name
        share = self._shares[space] = self._shares.get(space) or _Share(TokenBucket(STATUS_BURST, STATUS_SECONDS, now))
        if share.budget.full_again(now):
            share.waiting.clear()
        if not share.budget.take(now):
            share.waiting.add(entry.uid)
            raise Postponed((1 + len(share.waiting)) * STATUS_SECONDS)
        share.waiting.discard(entry.uid)

    def left_over(self, resource: Resource, owner: Obj, left: Iterable[tuple[Resource, Entry]]) -> None:
        """Reports once, as a Warning Event of ``owner`` and in the log, which objects decco cannot remove, and what to
        do.

        ``owner`` is of the kind ``resource``.
        """
        for kind, entry in left:
            live = entry.obj()
            about_to_be_deleted = entry.deleting and not holders_of(live)
            if about_to_be_deleted or not _is_new(self._left, entry.uid, entry.deleting):
                continue
            message = left_over(kind, entry.key, live)
            log.warning("an object that is no longer desired is left", kind=kind.kind, key=str(entry.key), what=message)
            subject = _reference(resource, owner["metadata"])
            self._recorder.event(subject, "Warning", reasons.LEFT_OVER, message, "Reconcile")

    def _send_events(self, subject: Obj, before: Obj, after: Obj) -> None:
        """An Event for each condition that changed; Ready last, after its cause."""
        known = {condition["type"]: condition for condition in before.get("conditions") or ()}
        conditions = after.get("conditions") or ()
        if ConditionType.PAUSED in known and all(each["type"] != ConditionType.PAUSED for each in conditions):
            message = "no longer paused: decco reconciles all changes made meanwhile"
            self._recorder.event(subject, "Normal", reasons.RESUMED, message, "Reconcile")
        causes = {condition["reason"] for condition in conditions if condition["type"] != ConditionType.READY}
        for condition in sorted(conditions, key=lambda condition: bool(condition["type"] == ConditionType.READY)):
            type_, status, reason = (condition[name] for name in ("type", "status", "reason"))
            old, well = known.get(type_), status == "True" or reason in reasons.WAITING
            if not _is_news(condition, old):
                continue
            status_changed = old is not None and old["status"] != status
            if type_ == ConditionType.READY and status != "True" and not status_changed and reason in causes:
                continue  # Ready repeats the cause of another condition; only a change of its status is reported
            if old is None and well and type_ != ConditionType.PAUSED and not self._recorder.may_send_minor_event():
                continue  # the normal start of each object, and many start at once
            normal = (well and reason != reasons.NOT_PROBED) or reason == reasons.PAUSED
            severity: EventType = "Normal" if normal else "Warning"
            message = f"{type_}: {condition['message'] or f'{type_} is {status}'}"
            self._recorder.event(subject, severity, reason, message, "Reconcile")


def _reference(resource: Resource, meta: Obj) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}


def _is_new(reported: BoundedMap[str, V], uid: str, state: V) -> bool:
    if reported.get(uid) == state:
        return False
    reported[uid] = state
    return True


def _is_news(condition: Obj, old: Obj | None) -> bool:
    """Whether the change of the condition is reported. While it waits, a change of what it waits for is not."""
    if old is None or (old["status"], old["reason"]) != (condition["status"], condition["reason"]):
        return True
    settled = condition["status"] == "True" or condition["reason"] in reasons.WAITING
    return not settled and bool(old["message"] != condition["message"])


def status_of(obj: Obj) -> Obj:
    """The status of a Space or App, or {} if decco did not write it: other clients can write anything, and the CRD may
    have been less strict then.
    """
    status = obj.get("status")
    if not isinstance(status, dict):
        return {}
    conditions = status.get("conditions") or []
    if not isinstance(conditions, list) or not all(
        isinstance(condition, dict) and condition.keys() >= _OF_A_CONDITION for condition in conditions
    ):
        return {}
    return status


def ready_counts(store: Store) -> Mapping[str, int]:
    """Number of objects by the status of their Ready condition: "True", "False" or "Unknown" (not yet judged)."""
    return Counter(entry.ready for entry in store)
