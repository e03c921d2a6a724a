"""What must hold in every history: checked at each change, and at the end."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from decco.desired.grants import parse_record
from decco.dns.provider import Change as DnsChange
from decco.hostnames import in_zone
from decco.objects import ANNOTATION_FQDN, ANNOTATION_HOSTNAMES, LABEL_SHARE
from tests.simulation import world as world_module
from tests.simulation.actions import Actions
from tests.simulation.clock import CLOCK, START
from tests.simulation.material import confidential
from tests.simulation.model.etcd import Address, Change
from tests.simulation.model.kinds import BY_NAME, Obj
from tests.simulation.network import Seen
from tests.simulation.orphans import Orphans
from tests.simulation.rules import Rules
from tests.simulation.world import World, is_managed

OWN = frozenset({"Space", "App", "Lease", "Event", "Namespace"})
"""Kinds that decco writes outside of the namespaces of Spaces."""
LEASE_SECONDS = 15.0
SILENT_SECONDS = 80.0
"""After which a silent watch is replaced by a list: 75 s, a pause, and the list."""


class Oracles:
    """``found`` has a line for each thing that must not be."""

    def __init__(self, world: World, actions: Actions) -> None:
        self.world, self.actions = world, actions
        self.found: list[str] = []
        self.writes = 0
        self.last_write = 0.0
        self.written: list[str] = []
        """The last writes that decco sent, for reports."""
        self._spaces: set[str] = set()
        """Names of all Spaces that have existed."""
        self._holders: list[tuple[float, str]] = []
        self._unprotected: dict[str, float] = {}
        """Space -> when somebody else deleted one of its NetworkPolicies."""
        self._sources: dict[str, float] = {}
        """Secret of decco's namespace -> when it changed last."""
        self._orphans = Orphans(world, actions, self._report)
        self._rules = Rules(world, actions.plan, self._report)
        world.zone.on_change.append(self._published)
        world.zone.on_change.append(self._rules.published)
        world.network.on_request.append(self._request)
        world.etcd.followers.append(self._change)

    def _report(self, text: str) -> None:
        if len(self.found) < 20:
            self.found.append(f"{CLOCK.now - START:.3f}: {text}")

    # Requests of decco

    def _request(self, seen: Seen) -> None:
        request = seen.request
        target = self.world.api.target(request.path) if seen.status < 300 else None
        if target is None:
            return
        self._orphans.requested(seen, target.address)
        if not request.changes:
            return
        kind = target.kind.kind
        if kind == "Lease":
            return
        if kind != "Event":  # the count of a repeated Event is written some time later
            self.writes += 1
            self.last_write = CLOCK.now
        line = f"{CLOCK.now - START:.3f} {seen.process.name} {request.method} {request.path}"
        self.written = [*self.written[-30:], line]
        self._check_leader(seen, line)
        self._rules.requested(seen, kind, target.namespace, line)
        if kind != "Secret" and any(part in request.body for part in confidential()):
            self._report(f"confidential content in {line}")
        if request.method == "DELETE":
            options = orjson.loads(request.body or b"{}")
            if not (options.get("preconditions") or {}).get("uid"):
                self._report(f"a delete without UID: {line}")
        if kind not in OWN and target.namespace not in self._spaces:
            self._report(f"a write outside of Spaces: {line}")
        if kind == "Namespace" and (target.name or orjson.loads(request.body)["metadata"]["name"]) not in self._spaces:
            self._report(f"a namespace that is no Space's: {line}")
        if kind in ("Space", "App") and request.method == "DELETE":
            self._report(f"an object of a user is deleted: {line}")

    def _check_leader(self, seen: Seen, line: str) -> None:
        """No write is sent by a process after another one has the Lease."""
        sent = seen.request.sent
        if self._is_restored:
            return  # the restored Lease names a former holder
        holder = ""
        for when, name in self._holders:
            if when > sent:
                break
            holder = name
        if holder and holder != seen.process.name:
            self._report(f"{line}, sent at {sent - START:.3f}, when {holder} had the Lease")

    @property
    def _is_restored(self) -> bool:
        """Whether etcd was restored a moment ago: until its lists, a controller acts on what it knew before."""
        return CLOCK.now - self.actions.restored_at < 3 * LEASE_SECONDS

    @property
    def _was_restored(self) -> bool:
        """Whether etcd was restored: then objects of old generations may be of later knowledge."""
        return self.actions.restored_at > 0

    # Changes, by anybody

    def _change(self, change: Change) -> None:
        kind = change.address.kind.kind
        self._orphans.changed(change)
        self._rules.follow(change)
        if world_module.trace is not None and kind != "Lease":
            world_module.trace(_described(change))
        check: Callable[[Change], None] | None = getattr(self, f"_on_{kind.lower()}", None)
        if check is not None:
            check(change)

    def _on_space(self, change: Change) -> None:
        self._spaces.add(change.address.name)

    def _on_lease(self, change: Change) -> None:
        if change.after is not None:
            identity = str((change.after.get("spec") or {}).get("holderIdentity") or "")
            name = identity.partition("_")[0]
            if not self._holders or self._holders[-1][1] != name:
                self._holders.append((CLOCK.now, name))

    def _on_namespace(self, change: Change) -> None:
        """No name in two hands."""
        if change.after is None:
            return
        mine = self._grants(change.after)
        for address, other in self.world.etcd.of_kind(change.address.kind):
            if address == change.address:
                continue
            for claim in mine & self._grants(other):
                self._report(f"{claim} is granted to {address.name} and to {change.address.name}")

    @staticmethod
    def _grants(namespace: Obj) -> set[str]:
        text = (namespace["metadata"].get("annotations") or {}).get(ANNOTATION_HOSTNAMES, "")
        return set(parse_record(text))

    def _granted(self, space: str, hostname: str) -> bool:
        namespace = self.world.get("Namespace", space)
        if namespace is None:
            return False
        plain = hostname.removeprefix("*.")
        if plain == (namespace["metadata"].get("annotations") or {}).get(ANNOTATION_FQDN):
            return True
        for claim in self._grants(namespace):
            if claim == hostname or (claim.startswith(".") and in_zone(plain, claim[1:])):
                return True
            if claim.startswith("*.") and hostname.partition(".")[2] == claim[2:]:
                return True
        return False

    def _on_route(self, change: Change) -> None:
        """No route or listener without a grant."""
        obj = change.after
        if obj is None or not is_managed(obj) or "deletionTimestamp" in obj["metadata"] or self._is_restored:
            return
        if change.before is not None and change.before.get("spec") == obj.get("spec"):
            return
        spec = obj.get("spec") or {}
        names = list(spec.get("hostnames") or ())
        names += [each["hostname"] for each in spec.get("listeners") or () if each.get("hostname")]
        for name in names:
            if not self._granted(change.address.namespace, name):
                self._report(
                    f"{change.address.kind.kind} of {change.address.namespace} for {name}, which it does not have"
                )

    _on_httproute = _on_tlsroute = _on_route

    def _on_listeners(self, change: Change) -> None:
        self._on_route(change)
        self._check_limited(change)

    _on_gateway = _on_listenerset = _on_listeners

    def _check_limited(self, change: Change) -> None:
        """Nothing is open before the policy with the permitted clients; where there is none, nothing is open. Of
        Spaces that were never edited: a controller cannot know less of them.
        """
        space, obj = change.address.namespace, change.after
        owner = self.world.get("Space", space)
        if change.before is not None or obj is None or owner is None or self._was_restored:
            return
        limits = owner["spec"].get("limits") or {}
        if not is_managed(obj) or owner["metadata"]["generation"] > 1 or not limits.get("clientCidrs"):
            return
        if not any(address.namespace == space for address, _ in self.world.etcd.of_kind(BY_NAME["SecurityPolicy"])):
            self._report(f"{change.address.kind.kind} of {space} without the policy with its clientCidrs")

    def _published(self, change: DnsChange) -> None:
        """No record without a grant."""
        text = " ".join(str(value) for each in change.after for value in each.values)
        for obj in self.world.owned() if text and not self._was_restored else ():
            meta = obj["metadata"]
            space = meta.get("namespace") or meta["name"]
            if meta["uid"] in text and not self._granted(space, change.name):
                self._report(f"{space} publishes {change.name}, which it does not have")

    def _on_secret(self, change: Change) -> None:
        if change.address.namespace == "decco":
            self._sources[change.address.name] = CLOCK.now

    def _on_deployment(self, change: Change) -> None:
        before, after = change.before, change.after
        space = change.address.namespace
        if before is None and after is not None and is_managed(after):
            self._check_isolated(space, change)
            self._check_secrets(space, after)
        taken = after is None or (
            "deletionTimestamp" in after["metadata"]
            and before is not None
            and "deletionTimestamp" not in before["metadata"]
        )
        if taken and before is not None and "deletionTimestamp" not in before["metadata"]:
            self._check_taken(change)

    _on_job = _on_statefulset = _on_deployment

    def _check_isolated(self, space: str, change: Change) -> None:
        """Nothing is reachable before its policy."""
        owner = self.world.get("Space", space)
        if owner is None or not owner["spec"].get("project"):
            return
        policies = self.world.etcd.of_kind(BY_NAME["NetworkPolicy"], space)
        if not any(is_managed(policy) for _, policy in policies) and not self._is_unseen(space):
            self._report(f"{change.address.kind.kind} {space}/{change.address.name} without a NetworkPolicy")

    def _check_secrets(self, namespace: str, workload: Obj) -> None:
        """No pod before the copies of its Secrets, if these were shared from the beginning and the Space was never
        edited.
        """
        space = self.world.get("Space", namespace)
        if space is None or space["metadata"]["generation"] > 1 or self._was_restored:
            return
        pod = workload["spec"]["template"]["spec"]
        named = {each["name"] for each in pod.get("imagePullSecrets") or ()} | _in_environment(pod)
        for name in sorted(named & {*(space["spec"].get("secrets") or ())}):
            source = self.world.get("Secret", name, "decco")
            shared = source is not None and LABEL_SHARE in (source["metadata"].get("labels") or {})
            if shared and self._sources[name] == START and self.world.get("Secret", name, namespace) is None:
                self._report(f"{workload['kind']} {namespace}/{workload['metadata']['name']} without Secret {name}")

    def _on_networkpolicy(self, change: Change) -> None:
        if change.after is None and change.address in self.deleted_by_others:
            self._unprotected[change.address.namespace] = CLOCK.now

    def _is_unseen(self, space: str) -> bool:
        """Whether a policy was deleted by somebody while the watch of policies was silent, and still is: a controller
        that acts on its cache cannot know it until the silence is noticed.
        """
        deleted = self._unprotected.get(space)
        return deleted is not None and any(
            process.alive
            and stream.kind.kind == "NetworkPolicy"
            and since <= deleted <= CLOCK.now < since + SILENT_SECONDS
            for process, stream, since in self.world.network.silent
        )

    def _check_taken(self, change: Change) -> None:
        """A workload goes with its App, or when the App wants another kind of workload."""
        assert change.before is not None
        owner = next(
            (ref for ref in change.before["metadata"].get("ownerReferences") or () if ref.get("controller")), None
        )
        if owner is None or change.address in self.deleted_by_others:
            return
        app = self.world.get("App", owner["name"], change.address.namespace)
        if app is None or app["metadata"]["uid"] != owner["uid"] or "deletionTimestamp" in app["metadata"]:
            return
        namespace = self.world.get("Namespace", change.address.namespace)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return
        spec, kind = app["spec"], change.address.kind.kind
        wants = (
            "StatefulSet" if "statefulSet" in spec else "Job" if spec.get("runAsJob") or "job" in spec else "Deployment"
        )
        if wants == kind != "Job":
            self._report(f"the {kind} of {change.address.namespace}/{app['metadata']['name']} is taken away")

    @property
    def deleted_by_others(self) -> set[Address]:
        return self.world.cluster.deleted_by_others

    # The end

    def finish(self) -> None:
        self.found += self.world.errors
        for daemon in self.world.daemons:
            self.found += [f"{daemon.name}: {each}" for each in daemon.process.errors]


def _in_environment(pod: Obj) -> set[str]:
    """Names of the Secrets that environment variables of a pod need."""
    found = (each.get("valueFrom") for container in pod["containers"] for each in container.get("env") or ())
    return {each["secretKeyRef"]["name"] for each in found if each and "secretKeyRef" in each}


def _described(change: Change) -> str:
    """One line of a trace."""
    address = change.address
    where = f"{address.kind.kind} {address.namespace}/{address.name}"
    if change.before is None:
        return f"    etcd {change.revision}: + {where}"
    if change.after is None:
        return f"    etcd {change.revision}: - {where}"
    parts = [name for name in {**change.before, **change.after} if change.before.get(name) != change.after.get(name)]
    before, after = change.before["metadata"], change.after["metadata"]
    inner = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    shown = [name for name in parts if name != "metadata"]
    shown += [f"metadata.{name}" for name in inner if name not in ("resourceVersion", "managedFields")]
    return f"    etcd {change.revision}: ~ {where}: {', '.join(shown)}"
