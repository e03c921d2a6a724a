"""Telling people: one status write if the status changed, and an Event for each change of a condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from decco.desired import reasons
from decco.kube.client import Client
from decco.kube.events import EventType, Recorder
from decco.kube.store import Entry, Store
from decco.objects import Obj

_READY = "Ready"


class Reporter:
    """Writes the status of Spaces and Apps."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def report(self, store: Store, entry: Entry, obj: Obj, status: Obj) -> bool:
        """Writes ``status`` if it differs from what ``obj`` carries; returns whether it did.

        Raises Conflict if the object changed meanwhile: its new version starts another turn anyway.
        """
        before = obj.get("status") or {}
        if before == status:
            return False
        resource = store.resource
        body: Obj = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": entry.key.name,
                "uid": entry.uid,
                "resourceVersion": str(entry.version),
            },
            # Not looked at on the status path, but the schema requires that it is there.
            "spec": obj["spec"],
            "status": status,
        }
        if entry.key.namespace:
            body["metadata"]["namespace"] = entry.key.namespace
        store.put(await self._client.replace_status(resource, body), own=True)
        self._tell(
            {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": body["metadata"]}, before, status
        )
        return True

    def _tell(self, subject: Obj, before: Obj, after: Obj) -> None:
        known = {condition["type"]: condition for condition in before.get("conditions") or ()}
        for condition in after.get("conditions") or ():
            old = known.get(condition["type"])
            if old is not None and (old["status"], old["reason"]) == (condition["status"], condition["reason"]):
                continue
            good = condition["status"] == "True"
            waiting = condition["reason"] in reasons.WAITING
            # Ready repeats the cause that its own condition tells; its news is whether all is well.
            if condition["type"] == _READY and not good and (old is None or old["status"] == condition["status"]):
                continue
            # A condition that appears is news only if it is bad, or if it says that all is well.
            if old is None and (waiting or (good and condition["type"] != _READY)):
                continue
            kind: EventType = "Normal" if good or waiting else "Warning"
            message = condition["message"] or f"{condition['type']} is {condition['status']}"
            self._recorder.event(subject, kind, condition["reason"], f"{condition['type']}: {message}", "Reconcile")


def ready_counts(store: Store) -> Mapping[str, int]:
    """How many objects say of their Ready condition "True", "False" or "Unknown" (not yet judged)."""
    return Counter(entry.ready for entry in store)
