"""Carries out the steps of a plan on a world."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from decco.objects import ANNOTATION_PAUSED, ANNOTATION_TRANSFER
from decco.resolver.model import LookupResult
from tests.simulation import material
from tests.simulation.clock import CLOCK
from tests.simulation.http import CONTROLLER
from tests.simulation.loops import Process
from tests.simulation.model import answers
from tests.simulation.model.etcd import Address
from tests.simulation.model.kinds import BY_NAME, KINDS, Kind, Obj
from tests.simulation.model.requests import Request, Target
from tests.simulation.network import Fate, Loss, Pipe
from tests.simulation.plan import Plan, Step
from tests.simulation.world import Taken, World, is_managed
from tests.simulation.zone import Trouble

RETRY_SECONDS = 1.0
RESTORE_SECONDS = (2.0, 8.0)
"""How long no API server runs while etcd is restored."""
USERS = frozenset({"space", "delete_space", "app", "delete_app", "transfer", "orphan_space", "orphan_app"})
"""Steps that are over when the user has succeeded."""
_ALL_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
TRIES = 90
"""A user tries again until the namespace is there, or the deleted object gone."""


class Actions:
    """``ended`` counts the steps that are over."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan = world, plan
        self.random = random.Random(f"faults {plan.seed}")
        self.ended = 0
        self.waiting = 0
        self.restored_at = -1e9
        self._active: dict[int, Step] = {}
        self._crashes: dict[str, int] = {}
        self.damaged_jobs = False
        self._uninstalling: list[list[Kind]] = []
        self._others: list[Obj] = []
        """Objects of others that were deleted with their kind, and are made again with it."""
        world.network.fate = self._fate
        world.network.mangle = self._mangle
        world.network.late = self._late
        world.api.admit.append(self._admit)
        if world.beside is None:
            world.zone.trouble = self._dns_trouble
            world.zone.lookup = self._lookup
            world.scheduler.between = self._between
        for number, step in enumerate(plan.steps):
            world.loop.call_at(CLOCK.now + step.at, self._begin, number, step)

    def done(self) -> bool:
        """Whether all steps have been taken, all faults are over, and all controllers run."""
        return self.ended == len(self.plan.steps) and all(each.process.alive for each in self.world.daemons)

    def _begin(self, number: int, step: Step) -> None:
        start: Callable[..., float | None] | None = getattr(self, f"_on_{step.what}", None)
        if start is None:
            self._active[number] = step
        else:
            start(*step.args)
        if step.for_:
            self.world.loop.call_later(step.for_, self._end, number, step)
        elif step.what not in USERS:
            self.ended += 1

    def _end(self, number: int, step: Step) -> None:
        self._active.pop(number, None)
        stop: Callable[..., None] | None = getattr(self, f"_off_{step.what}", None)
        if stop is not None:
            stop(*step.args)
        self.ended += 1

    def _now(self, what: str) -> list[Step]:
        return [step for step in self._active.values() if step.what == what]

    # Users

    def _user(self, attempt: Callable[[], bool], left: int = TRIES) -> None:
        if attempt() or not left:
            self.ended += 1
        else:
            self.world.loop.call_later(RETRY_SECONDS, self._user, attempt, left - 1)

    def _apply(self, obj: Obj) -> bool:
        user = self.world.user
        kind, meta = BY_NAME[obj["kind"]], obj["metadata"]
        address = Address(kind, meta.get("namespace", ""), meta["name"])
        live = user.get(address)
        if live is None:
            return user.create(obj)[0] == 201
        if "deletionTimestamp" in live["metadata"]:
            return False
        kept = {
            **live["metadata"],
            **{part: meta.get(part) for part in ("labels", "annotations") if kind.kind == "Secret"},
        }
        body = {**{name: live[name] for name in ("status",) if name in live}, **obj, "metadata": kept}
        return user.ask("PUT", address, body)[0] == 200

    def _on_space(self, name: str, spec: Obj) -> None:
        self._user(lambda: self._apply({"kind": "Space", "metadata": {"name": name}, "spec": spec}))

    def _on_delete_space(self, name: str) -> None:
        self._user(lambda: self.world.user.delete(Address(BY_NAME["Space"], "", name)) in (200, 404))

    def _on_app(self, namespace: str, name: str, spec: Obj) -> None:
        meta = {"name": name, "namespace": namespace}

        def attempt() -> bool:
            if self.world.get("Space", namespace) is None:
                return True
            return self._apply({"kind": "App", "metadata": dict(meta), "spec": spec})

        self._user(attempt)

    def _on_delete_app(self, namespace: str, name: str) -> None:
        self._user(lambda: self.world.user.delete(Address(BY_NAME["App"], namespace, name)) in (200, 404))

    def _on_orphan_space(self, name: str) -> None:
        self._user(lambda: self.world.user.delete(Address(BY_NAME["Space"], "", name), "Orphan") in (200, 404))

    def _on_orphan_app(self, namespace: str, name: str) -> None:
        self._user(lambda: self.world.user.delete(Address(BY_NAME["App"], namespace, name), "Orphan") in (200, 404))

    def delete(self, addresses: Sequence[Address]) -> None:
        """A person deletes these objects."""
        self.world.cluster.deleted_by_others.update(addresses)
        for address in addresses:
            self.world.user.delete(address)

    def _on_transfer(self, name: str, hostname: str, holder: str) -> None:
        """The Space shall get the name from another one."""

        def attempt() -> bool:
            live = self.world.get("Space", name)
            if live is None or "deletionTimestamp" in live["metadata"]:
                return True
            meta = {**live["metadata"]}
            meta["annotations"] = {**(meta.get("annotations") or {}), ANNOTATION_TRANSFER: f"{hostname}={holder}"}
            spec = {**live["spec"], "hostnames": sorted({*(live["spec"].get("hostnames") or ()), hostname})}
            spec["httpHostnames"] = [each for each in spec.get("httpHostnames") or () if each["name"] != hostname]
            address = Address(BY_NAME["Space"], "", name)
            return self.world.user.ask("PUT", address, {**live, "metadata": meta, "spec": spec})[0] == 200

        self._user(attempt)

    def _on_hold(self, namespace: str, name: str) -> None:
        """Somebody pauses a Space or, with a name, an App."""
        address = Address(BY_NAME["App" if name else "Space"], namespace if name else "", name or namespace)
        live = self.world.user.get(address)
        if live is not None and "deletionTimestamp" not in live["metadata"]:
            self.world.user.patch(address, {"metadata": {"annotations": {ANNOTATION_PAUSED: "true"}}})

    def _off_hold(self, *_: str) -> None:
        """All that is still paused goes on, unless another step pauses it: a restore may have brought a pause back."""
        still = {(step.args[0], step.args[1]) for step in self._now("hold")}
        for obj in self.world.owned():
            meta = obj["metadata"]
            key = (meta["namespace"], meta["name"]) if obj["kind"] == "App" else (meta["name"], "")
            if ANNOTATION_PAUSED in (meta.get("annotations") or {}) and key not in still:
                address = Address(BY_NAME[obj["kind"]], meta.get("namespace", ""), meta["name"])
                self.world.user.patch(address, {"metadata": {"annotations": {ANNOTATION_PAUSED: None}}})

    def _on_secret(self, name: str, number: int, shared: bool) -> None:
        self._apply(material.secret(name, number, shared))

    def _on_edge_policy(self, kind: str, exists: bool) -> None:
        """The platform has a policy for its whole Gateway, or no more."""
        address = Address(BY_NAME[kind], "edge", "platform")
        if not exists:
            self.world.user.delete(address)
        elif self.world.user.get(address) is None:
            gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "shared"}
            meta = {"name": address.name, "namespace": address.namespace}
            self.world.user.create({"kind": kind, "metadata": meta, "spec": {"targetRefs": [gateway]}})

    def _on_damage(self, namespace: str, which: int, how: str) -> None:
        """Somebody with rights in the namespace deletes or alters one of decco's objects there."""
        etcd = self.world.etcd
        found = [
            (address, obj)
            for address, obj in etcd.objects.items()
            if address.namespace == namespace
            and is_managed(obj)
            and address.kind.kind not in ("Job", "Secret", "RoleBinding")
        ]
        if not found:
            return
        address, obj = sorted(found, key=lambda each: (each[0].kind.kind, each[0].name))[which % len(found)]
        other = self.world.user
        if how == "delete":
            self.world.cluster.deleted_by_others.add(address)
            other.delete(address)
        elif how == "orphan":
            other.patch(address, {"metadata": {"ownerReferences": None}})
        elif how == "label":
            other.patch(address, {"metadata": {"labels": {"decco.platform9.com/space": "another"}}})
        elif address.kind.kind == "Deployment":
            other.patch(address, {"spec": {"paused": True}})
        elif address.kind.kind == "NetworkPolicy":
            other.patch(address, {"spec": {"ingress": [{}]}})
        elif address.kind.kind == "SecurityPolicy":
            other.patch(address, {"spec": {"authorization": None}})
        elif address.kind.kind == "Service":
            other.patch(address, {"spec": {"selector": {"app": "mine"}}})
        elif "spec" in obj:
            other.patch(address, {"spec": {"extra": {"a": "b"}}})

    # Processes

    def _daemon(self, number: int) -> Process:
        return self.world.daemons[number % len(self.world.daemons)].process

    def _on_crash(self, number: int, callbacks: int) -> None:
        self._crashes[self._daemon(number).name] = callbacks

    def _between(self, process: Process) -> None:
        if not self._crashes:
            return
        left = self._crashes.get(process.name)
        if left is None:
            return
        if left <= 0:
            del self._crashes[process.name]
            process.kill()
        else:
            self._crashes[process.name] = left - 1

    def _on_term(self, number: int) -> None:
        self._daemon(number).signal(15)

    def _on_pause(self, number: int) -> None:
        self._daemon(number).paused_until = CLOCK.now + 1e6

    def _off_pause(self, number: int) -> None:
        self._daemon(number).paused_until = 0.0

    def _on_skew(self, number: int, seconds: float) -> None:
        self._daemon(number).skew = seconds

    def _on_partition(self, number: int) -> None:
        self.world.network.partitioned.add(self._daemon(number).name)

    def _off_partition(self, number: int) -> None:
        self.world.network.heal(self._daemon(number).name)

    # Network

    def _fate(self, process: Process, request: Request) -> Fate:
        network, rng = self.world.network, self.random
        out, back = network.latency(), network.latency()
        if not self._active:
            return Fate(out, back)
        for step in self._now("slow"):
            out, back = out + rng.uniform(0.0, step.args[0]), back + rng.uniform(0.0, step.args[0])
        for step in self._now("lose"):
            when, share = step.args
            if rng.random() < share:
                before = when == "before" or (when == "either" and rng.random() < 0.5)
                loss = Loss.RESET
                return Fate(out, back, lost_before=loss) if before else Fate(out, back, lost_after=loss)
        for step in self._now("refuse"):
            status, share, writes_only = step.args
            if (request.changes or not writes_only) and rng.random() < share:
                return Fate(out, back, answer=answers.refusal(status))
        if request.changes and self._now("full"):
            return Fate(out, back, answer=answers.refusal(500, "etcdserver: mvcc: database space exceeded"))
        return Fate(out, back)

    def _late(self, plural: str) -> float:
        most = max((step.args[1] for step in self._now("late") if step.args[0] == plural), default=0.0)
        return self.random.uniform(0.0, most) if most else 0.0

    def _mangle(self, _pipe: Pipe, line: bytes) -> list[bytes] | Loss:
        if not self._active:
            return [line]
        rng = self.random
        if self._now("garble") and rng.random() < 0.3:
            middle = rng.randint(1, len(line))
            return rng.choice(([line[:middle] + b"\n"], [b"<html>\n"], Loss.RESET, [line[:middle], line[middle:]]))
        if self._now("double") and rng.random() < 0.5:
            return [line, line]
        return [line]

    def _on_cut(self) -> None:
        self.world.network.cut_all()

    def _on_silence(self) -> None:
        pipes = list(self.world.network.pipes)
        if pipes:
            self.world.network.cut(self.random.choice(pipes), Loss.SILENT)

    def _on_server(self, number: int) -> None:
        self.world.network.stop(self.world.servers[number % len(self.world.servers)])

    def _off_server(self, number: int) -> None:
        self.world.servers[number % len(self.world.servers)].start()

    def _on_stale(self, number: int) -> None:
        server = self.world.servers[number % len(self.world.servers)]
        late = self.random.uniform(0.5, 8.0)
        server.lag = lambda: self.random.uniform(0.0, late)

    def _off_stale(self, number: int) -> None:
        server = self.world.servers[number % len(self.world.servers)]
        server.lag = lambda: self.random.uniform(0.0, 0.005)

    # The cluster

    def _on_compact(self) -> None:
        """Watches that are opened again after it get 410, unless they have seen a bookmark since."""
        self.world.etcd.compact(self.world.etcd.revision)
        self.world.network.cut_all()

    def _on_restore(self) -> None:
        self._snapshot = self.world.etcd.snapshot()

    def _off_restore(self) -> None:
        """All servers stop, etcd gets the snapshot's state, and they start again."""
        world = self.world
        for server in world.servers:
            world.network.stop(server)
        world.etcd.restore(self._snapshot)
        self.restored_at = CLOCK.now
        self.ended -= 1
        world.loop.call_later(self.random.uniform(*RESTORE_SECONDS), self._restored)

    def _restored(self) -> None:
        for server in self.world.servers:
            server.start()
        self.world.cluster.resync()
        self._off_hold()
        self.ended += 1

    def _on_forbid(self, plural: str, verbs: Sequence[str] = _ALL_VERBS, namespace: str = "") -> None:
        self.world.taken.append(Taken(tuple(verbs), plural, namespace))

    def _off_forbid(self, plural: str, verbs: Sequence[str] = _ALL_VERBS, namespace: str = "") -> None:
        self.world.taken.remove(Taken(tuple(verbs), plural, namespace))

    def _on_unbind(self, namespace: str) -> None:
        """Somebody deletes the permission that decco has given itself in the Space's namespace."""
        self.delete([address for address, _ in self.world.etcd.of_kind(BY_NAME["RoleBinding"], namespace)])

    def _on_uninstall(self, plurals: Sequence[str]) -> None:
        """CustomResourceDefinitions are deleted, and with them all objects of their kinds; watches end."""
        world = self.world
        kinds = [kind for kind in KINDS if kind.plural in plurals]
        world.api.terminating |= {(kind.group, kind.plural) for kind in kinds}
        for address in [each for each in world.etcd.objects if each.kind in kinds]:
            obj = world.etcd.objects.get(address)
            if obj is None:
                continue  # it went with another one
            if not is_managed(obj) and obj["kind"] not in ("Space", "App"):
                self._others.append(
                    {**obj, "metadata": {part: obj["metadata"][part] for part in ("name", "namespace")}}
                )
            world.cluster.deleted_by_others.add(address)
            world.user.delete(address)
        self._uninstalling.append(kinds)
        world.loop.call_later(self.random.uniform(0.0, 2.0), self._uninstalled, kinds)

    def _uninstalled(self, kinds: list[Kind]) -> None:
        if kinds not in self._uninstalling:
            return
        if any(address.kind in kinds for address in self.world.etcd.objects):  # their finalizers keep the definition
            self.world.loop.call_later(RETRY_SECONDS, self._uninstalled, kinds)
            return
        self._uninstalling.remove(kinds)
        names = {(kind.group, kind.plural) for kind in kinds}
        self.world.api.terminating -= names
        self.world.api.unserved |= names
        for server in self.world.servers:
            server.end_watches(lambda stream: stream.kind in kinds)

    def _off_uninstall(self, plurals: Sequence[str]) -> None:
        self.ended -= 1
        self._install(plurals)

    def _install(self, plurals: Sequence[str]) -> None:
        """A kind is installed again once it is gone."""
        for unfinished in [each for each in self._uninstalling if {kind.plural for kind in each} & {*plurals}]:
            self._uninstalled(unfinished)
            if unfinished in self._uninstalling:
                self.world.loop.call_later(RETRY_SECONDS, self._install, plurals)
                return
        still = {plural for step in self._now("uninstall") for plural in step.args[0]}
        kinds = [kind for kind in KINDS if kind.plural in plurals and kind.plural not in still]
        self.world.api.unserved -= {(kind.group, kind.plural) for kind in kinds}
        again = [obj for obj in self._others if BY_NAME[obj["kind"]] in kinds]
        self._others = [obj for obj in self._others if obj not in again]
        for obj in again:
            self.world.user.create(obj)
        self.ended += 1

    def _on_gateway(self) -> None:
        self.world.cluster.stopped.add("gateway")

    def _off_gateway(self) -> None:
        self.world.cluster.stopped.discard("gateway")
        self.world.cluster.resync()

    # Admission

    def _admit(self, request: Request, target: Target, before: Obj | None, after: Obj | None) -> None:
        kind, created = target.kind, before is None and after is not None
        for step in self._now("deny"):
            plural, creations = step.args
            if (
                request.user == CONTROLLER
                and kind.plural == plural
                and (created or not creations)
                and after is not None
            ):
                words = "ValidatingAdmissionPolicy 'simulated' with binding 'simulated' denied request: not now"
                raise answers.forbidden(kind, target.name, words)
        for step in self._now("quota"):
            namespace, plural, hard = step.args
            if created and (kind.plural, target.namespace) == (plural, namespace):
                used = len(self.world.etcd.of_kind(kind, namespace))
                if used >= hard:
                    what = f"count/{kind.resource}"
                    words = f"exceeded quota: tight, requested: {what}=1, used: {what}={used}, limited: {what}={hard}"
                    raise answers.forbidden(kind, target.name, words)

    def _dns_trouble(self) -> Trouble:
        for step in self._now("dns"):
            return Trouble.AWAY if step.args[0] == "away" else Trouble.UNCERTAIN
        return Trouble.NONE

    def _lookup(self, _name: str) -> LookupResult | None:
        for step in self._now("resolver"):
            if step.args[0] == "silent":
                return LookupResult(error="no DNS server answered in time", partial=True)
            return LookupResult(error="the name does not exist")
        return None
