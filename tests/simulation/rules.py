"""What must hold of single fields in every history: pauses, isolation, addresses of egresses, names of a federation."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from decco.dns import federation
from decco.dns.provider import Change as DnsChange
from decco.dns.records import ADDRESS_TYPES, TXT
from decco.objects import ANNOTATION_EGRESS_ADDRESSES, ANNOTATION_PAUSED, LABEL_ISOLATION
from tests.simulation.clock import CLOCK
from tests.simulation.loops import current_process
from tests.simulation.model.etcd import Change
from tests.simulation.model.kinds import Obj
from tests.simulation.network import Seen
from tests.simulation.plan import FAULTS, Plan
from tests.simulation.specs import SANDBOX
from tests.simulation.world import World, is_managed
from tests.simulation.zone import ADDRESS

SEEN_SECONDS = 5.0
"""After which a controller without any fault has seen an edit, and has ended what it was doing."""
_UNTOUCHED = frozenset({"resolver", "dns", "gateway", "skew", "compact"})
"""Faults that delay no news of objects."""
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "Job"})


class Rules:
    """``report`` takes a line for each thing that must not be."""

    def __init__(self, world: World, plan: Plan, report: Callable[[str], None]) -> None:
        self._world, self._report = world, report
        faults = {step.what for step in plan.steps} & {*FAULTS, "late"}
        self._prompt = faults <= _UNTOUCHED
        self._restored = "restore" in faults
        self._held: dict[str, float] = {}
        """UID of a paused Space or App -> since when."""

    # Pauses: docs/design/2026-11-23-pausing.md

    def follow(self, change: Change) -> None:
        kind = change.address.kind.kind
        if kind in ("Space", "App"):
            self._note_pause(change)
        elif kind in _WORKLOADS and change.after is not None and is_managed(change.after):
            self._check_isolation(change)
        elif kind == "NetworkPolicy":
            self._check_addresses(change)

    def _note_pause(self, change: Change) -> None:
        obj = change.after or change.before
        assert obj is not None
        uid = obj["metadata"]["uid"]
        annotations = obj["metadata"].get("annotations") or {}
        if change.after is None or annotations.get(ANNOTATION_PAUSED) != "true":
            self._held.pop(uid, None)
        else:
            self._held.setdefault(uid, CLOCK.now)

    def requested(self, seen: Seen, kind: str, namespace: str, line: str) -> None:
        """Nothing is created for what is paused."""
        if not self._held or not self._prompt or seen.request.method != "POST" or kind in ("Event", "Lease"):
            return
        space = self._world.get("Space", namespace)
        owners = orjson.loads(seen.request.body)["metadata"].get("ownerReferences") or ()
        uids = {each["uid"] for each in owners} | ({space["metadata"]["uid"]} if space is not None else set())
        for uid in uids & self._held.keys():
            if seen.request.sent > self._held[uid] + SEEN_SECONDS:
                self._report(f"{line}, for {uid}, which is paused since {self._held[uid]:.3f}")

    # isolation

    def _check_isolation(self, change: Change) -> None:
        """Pods have the isolation of their Space, and its namespace says it, so that the policy for pods holds. Of
        Spaces that were never edited: a controller cannot know less of them.
        """
        obj, name = change.after, change.address.namespace
        space, namespace = self._world.get("Space", name), self._world.get("Namespace", name)
        if obj is None or space is None or namespace is None or self._restored or space["metadata"]["generation"] > 1:
            return
        wanted = space["spec"].get("isolation", "Standard")
        if change.before is not None or wanted == "Standard":
            return
        found = (namespace["metadata"].get("labels") or {}).get(LABEL_ISOLATION)
        pod = obj["spec"]["template"]["spec"]
        right = pod.get("runtimeClassName") == SANDBOX or (wanted == "UserNamespace" and pod.get("hostUsers") is False)
        if found != wanted or not right:
            self._report(
                f"{obj['kind']} {name}/{obj['metadata']['name']} in a {wanted} Space: namespace {found}, {pod}"
            )

    # Addresses of egresses

    def _check_addresses(self, change: Change) -> None:
        """What a name had is kept while its resolver fails. Of Spaces and Apps that were never edited."""
        before, after = change.before, change.after
        if before is None or after is None or self._restored or not is_managed(after):
            return
        if ADDRESS not in _recorded(before) or ADDRESS in _recorded(after):
            return
        owners = before["metadata"].get("ownerReferences") or ()
        app = next((self._world.get("App", ref["name"], change.address.namespace) for ref in owners), None)
        space = self._world.get("Space", change.address.namespace)
        if app is None or space is None or {app["metadata"]["generation"], space["metadata"]["generation"]} != {1}:
            return
        self._report(f"{change.address.namespace}/{change.address.name} loses the addresses of a name")

    # Federation

    def published(self, change: DnsChange) -> None:
        """A cluster leaves the others' part of a name alone, and the addresses are those of all parts."""
        prefix = current_process().name.partition("-")[0]
        if prefix != self._world.name:
            return
        before, after = ({m.cluster: m for m in _members(each)} for each in (change.before, change.after))
        own = CLUSTERS[prefix]
        if not before and not after:
            return
        for cluster in (before.keys() | after.keys()) - {own}:
            if before.get(cluster) != after.get(cluster):
                self._report(f"{own} changes the part of {cluster} in {change.name}")
        named = {value for member in after.values() for value in member.values}
        shown = {value for each in change.after if each.type in ADDRESS_TYPES for value in each.values}
        if named != shown:
            self._report(f"{change.name} has {sorted(shown)}, and its parts {sorted(named)}")


CLUSTERS = {"decco": "east", "west": "west"}
"""How the names of controllers begin -> the id of their cluster in a federation."""


def _recorded(policy: Obj) -> str:
    return str((policy["metadata"].get("annotations") or {}).get(ANNOTATION_EGRESS_ADDRESSES, ""))


def _members(sets: tuple[object, ...]) -> tuple[federation.Member, ...]:
    texts = [value for each in sets if getattr(each, "type", "") == TXT for value in each.values]  # type: ignore[attr-defined]
    return federation.members(texts)
