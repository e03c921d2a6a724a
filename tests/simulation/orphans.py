"""What must hold when somebody deletes a Space or an App and keeps its children (``propagationPolicy: Orphan``).

The garbage collector takes the owner references out of the children before the owner itself is gone. A controller whose
watch shows the first and not yet the second wants to repair the children; with their references to an owner that no
longer exists the garbage collector would delete them, a namespace with everything in it.
"""

from __future__ import annotations

from collections.abc import Callable

from decco.objects import LABEL_APP, LABEL_PROJECT, LABEL_SPACE
from tests.simulation.actions import Actions
from tests.simulation.clock import CLOCK
from tests.simulation.model.api import ORPHAN
from tests.simulation.model.etcd import Address, Change
from tests.simulation.model.kinds import BY_NAME, Obj
from tests.simulation.network import Seen
from tests.simulation.world import World, is_managed

OWNERS = ("Space", "App")


def controller(obj: Obj) -> str:
    """The UID of the controller in the owner references, "" if there is none."""
    refs = obj["metadata"].get("ownerReferences") or ()
    return next((str(ref["uid"]) for ref in refs if ref.get("controller")), "")


class Orphans:
    """An oracle: reads, writes and deletions are compared with what was known of the owner."""

    def __init__(self, world: World, actions: Actions, report: Callable[[str], None]) -> None:
        self.world, self.actions, self._report = world, actions, report
        self._read: dict[tuple[str, str], float] = {}
        """Process and UID of an owner -> when it was last served to this process, existing and not in deletion."""
        self._bare: dict[str, float] = {}
        """UID of a child -> since when it has had no controller."""
        self._orphaning: set[str] = set()
        """UIDs of Spaces and Apps that were deleted without their children."""
        self._orphaned: set[str] = set()
        """UIDs of children that lost their controller by such a deletion."""
        self._late: set[str] = set()
        """UIDs of orphaned children whose owner was deleted between decco's read of it and the write."""
        self._added: tuple[Address, int, str, float] | None = None
        """The last write that gave a child a controller: address, revision, UID of the owner, bare since when."""

    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if change.address.kind.kind in OWNERS:
            if after is not None and ORPHAN in (after["metadata"].get("finalizers") or ()):
                self._orphaning.add(after["metadata"]["uid"])
            return
        if before is not None and (after is None or self._ends(before, after)):
            self._deleted(change.address, before)
        if after is None or not is_managed(after):
            return
        uid, owner = after["metadata"]["uid"], controller(after)
        former = "" if before is None else controller(before)
        if not owner and (former or before is None):
            self._bare[uid] = CLOCK.now
        if former in self._orphaning and not owner:
            self._orphaned.add(uid)
        if owner and not former and before is not None:
            self._added = change.address, change.revision, owner, self._bare.get(uid, 0.0)

    @staticmethod
    def _ends(before: Obj, after: Obj) -> bool:
        return "deletionTimestamp" in after["metadata"] and "deletionTimestamp" not in before["metadata"]

    def requested(self, seen: Seen, address: Address) -> None:
        """A request of decco that succeeded."""
        if address.kind.kind in OWNERS and seen.request.method == "GET":
            found = [(address, self.world.etcd.get(address))] if address.name else self.world.etcd.of_kind(address.kind)
            for _, obj in found:
                if obj is not None and "deletionTimestamp" not in obj["metadata"]:
                    self._read[seen.process.name, obj["metadata"]["uid"]] = CLOCK.now
            return
        if self._added is None or self._added[:2] != (address, self.world.etcd.revision):
            return
        _, _, owner, since = self._added
        child = self.world.etcd.objects[address]
        if self._read.get((seen.process.name, owner), -1.0) < max(since, self.actions.restored_at):
            self._report(
                f"{address.kind.kind} {address.namespace}/{address.name} gets an owner reference again, and "
                f"{seen.process.name} has not read since then whether the owner exists"
            )
        elif owner in self._orphaning:
            self._late.add(child["metadata"]["uid"])

    def _deleted(self, address: Address, child: Obj) -> None:
        """An orphaned child is deleted by people, or for a later owner, and by nobody else."""
        uid, owner = child["metadata"]["uid"], controller(child)
        if uid not in self._orphaned or uid in self._late or address in self.world.cluster.deleted_by_others:
            return
        if owner not in self._orphaning and (owner or not is_left(self.world, address, child)):
            return
        namespace = self.world.get("Namespace", address.namespace) if address.namespace else None
        if namespace is not None and "deletionTimestamp" in namespace["metadata"]:
            return
        self._report(f"{address.kind.kind} {address.namespace}/{address.name} was orphaned, and is deleted")


def is_left(world: World, address: Address, obj: Obj) -> bool:
    """Whether the Space or App that the child's labels name does not exist, or is another one."""
    labels = obj["metadata"]["labels"]
    if LABEL_APP in labels and world.get("App", labels[LABEL_APP], address.namespace) is None:
        return True
    is_namespace = address.kind is BY_NAME["Namespace"]
    space = world.get("Space", address.name if is_namespace else labels.get(LABEL_SPACE, address.namespace))
    if space is None:
        return True
    # A Space of another project does not get it: the workloads in the namespace were not made for it.
    return is_namespace and labels.get(LABEL_PROJECT) != space["spec"].get("project")


def leftovers(world: World) -> list[Address]:
    """Children without an owner, which decco reports and leaves: a person deletes them one day."""
    return [
        address
        for address, obj in world.etcd.objects.items()
        if address.kind.kind not in OWNERS and is_managed(obj) and not controller(obj)
    ]
