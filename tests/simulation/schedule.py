"""Runs one plan to its end, and compares the end with a fresh deployment of what is left."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from decco.reconcilers.kinds import KINDS
from tests.simulation.actions import Actions
from tests.simulation.clock import CLOCK, START
from tests.simulation.model.etcd import Address
from tests.simulation.model.kinds import Obj
from tests.simulation.oracles import Oracles
from tests.simulation.orphans import is_left, leftovers
from tests.simulation.plan import ALIKE, POLICIES, Plan, elsewhere
from tests.simulation.world import Daemon, World, is_current, is_managed, live_settings, ready

CONVERGE_SECONDS = 600.0
"""After the last step. Refused objects are tried again for at most 30 s each, a silent watch is found within 75 s, and
a controller without an answer may start again."""
QUIET_SECONDS = 35.0
"""Without a write: longer than any pause between two tries."""
SILENT_SECONDS = 120.0
"""After a fault whose end is noticed late: a silent watch after 75 s, an unanswered change of a zone after 60 s, a rule
that refuses no more or a kind that is served again after 30 s.
"""
_SILENT = frozenset({"deny", "dns", "forbid", "partition", "pause", "quota", "restore", "silence", "uninstall"})
ORPHANING = frozenset({"orphan_space", "orphan_app"})
ALONE = {"DECCO_LEADER_ELECTION__ENABLED": "false"}
IDLE_SECONDS = 40.0
"""In which nothing may be written any more."""


@dataclass
class Outcome:
    """``found`` is empty if everything held."""

    plan: Plan
    found: list[str] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0
    steps: int = 0
    writes: int = 0
    end: dict[str, Any] = field(default_factory=dict)


@dataclass
class Site:
    """One cluster, and what happens in it."""

    world: World
    actions: Actions
    oracles: Oracles


def run(plan: Plan) -> Outcome:
    """Runs the plan; never raises for what the controller does."""
    outcome = Outcome(plan)
    worlds = _worlds(plan, plan.controllers, plan.servers, elected=plan.elected)
    try:
        sites = []
        for number, world in enumerate(worlds):
            _furnish(world, plan)
            actions = Actions(world, plan if not number else elsewhere(plan))
            sites.append(Site(world, actions, Oracles(world, actions)))
            for daemon in world.daemons:
                daemon.start()
        _settle(sites, outcome)
        for site in sites:
            site.oracles.finish()
            outcome.found += site.oracles.found
        outcome.end = state(worlds)
        running = [[resources(world, daemon) for daemon in world.daemons] for world in worlds]
        left = [(_others(world), [_as_given(obj) for obj in _by_age(world)]) for world in worlds]
    finally:
        outcome.seconds = CLOCK.now - START
        outcome.requests = sum(world.network.requests for world in worlds)
        outcome.steps = worlds[0].scheduler.steps
        for world in worlds:
            world.end()
    if not outcome.found and not plan.contested:
        fresh, expected = _fresh(plan, left)
        found = differences(_without_kept(outcome.end, fresh), fresh)
        for watched, right in zip(running, expected, strict=True):
            found += [
                f"watches are {each}, those of a fresh start {right}"
                for each in watched
                if Counter(each) - Counter(right)
                or not {*(Counter(right) - Counter(each))} <= _not_followed_again(plan)
            ]
        if any(step.what == "restore" for step in plan.steps):
            # Records of a Space that was lost with the restored state are reported by a metric, and stay.
            found = [each for each in found if not each.startswith("record ") or "left over" not in each]
            if any("dns.adopt" in each for each in found):
                found = []  # such a record in the way of another Space is a person's decision
        outcome.found += found
    return outcome


FEDERATION = {"DECCO_DNS__FEDERATION__ID": "both", "DECCO_DNS__FEDERATION__COMPARE_SECONDS": "15"}
_OWN = ({"DECCO_CLUSTER_ID": "east"}, {"DECCO_CLUSTER_ID": "west", "DECCO_EDGE__ADDRESSES": '["192.0.2.20"]'})
"""Settings of the two clusters of a federation."""


def _worlds(plan: Plan, controllers: int = 1, servers: int = 1, *, elected: bool = False) -> list[World]:
    settings = plan.settings if elected else {**plan.settings, **ALONE}
    if not plan.federated:
        return [World(plan.seed, controllers, servers, settings, **_installed(plan))]
    east, west = ({**settings, **FEDERATION, **each} for each in _OWN)
    first = World(plan.seed, controllers, servers, east, **_installed(plan))
    return [first, World(plan.seed, 1, 1, {**west, **ALONE}, **_installed(plan), beside=first)]


def _others(world: World) -> list[Obj]:
    """What users have made beside Spaces and Apps."""
    found = [obj for obj in world.all("Secret") if obj["metadata"]["namespace"] == "decco"]
    found += [obj for kind in POLICIES for obj in world.all(kind) if obj["metadata"]["namespace"] == "edge"]
    return [_as_given(obj) for obj in found]


def _without_kept(end: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """Without the budgets of single pods that stay because there were more pods before; see decco's
    ``disruption_budget``.
    """

    def stays(name: str, obj: Any) -> bool:
        if not name.startswith("PodDisruptionBudget ") or name in fresh:
            return False
        app = end.get(name.replace("PodDisruptionBudget", "App"), {}).get("spec", {})
        wanted = app.get("disruptionBudget")
        return wanted is not None and wanted.get("mode") != "None" and "maxUnavailable" in obj["spec"]

    return {name: obj for name, obj in end.items() if not stays(name, obj)}


def _not_followed_again(plan: Plan) -> set[str]:
    """Watches of kinds that were away and that routing does not need: nobody searches for them."""
    away = {plural for step in plan.steps if step.what == "uninstall" for plural in step.args[0]}
    routing = live_settings(tuple(sorted(plan.settings.items()))).current.routing
    return {
        f"{each.resource.plural} " for each in KINDS if each.resource.plural in away and not each.is_needed(routing)
    }


def _settle(sites: list[Site], outcome: Outcome) -> None:
    world, steps = sites[0].world, {step.what for step in outcome.plan.steps}
    done = sites[0].actions.done if len(sites) == 1 else lambda: all(site.actions.done() for site in sites)
    if not world.run(done, CONVERGE_SECONDS):
        outcome.found.append("the steps do not end: " + ", ".join(map(str, outcome.plan.steps)))
        return
    start = CLOCK.now
    if _SILENT & steps:
        world.wait(SILENT_SECONDS)
    if not _becomes_quiet(sites, outcome, start):
        return
    if ORPHANING & steps:
        left = {site.world.name: leftovers(site.world) for site in sites}
        wanted = [
            (site.world, each)
            for site in sites
            for each in left[site.world.name]
            if not is_left(site.world, each, site.world.etcd.objects[each])
        ]
        for site in sites:
            site.actions.delete(left[site.world.name])
        if any(left.values()) and not _becomes_quiet(sites, outcome, CLOCK.now):
            return
        outcome.found += [
            f"{each.kind.kind} {each[1:]} was desired and had no owner reference"
            for of, each in wanted
            if each in of.etcd.objects and each.namespace not in _names(left[of.name])
        ]
    for obj in [obj for site in sites for obj in site.world.owned()]:
        if not is_current(obj) and "deletionTimestamp" not in obj["metadata"]:
            outcome.found.append(f"{name_of(obj)} was not reconciled: {ready(obj)}")
        if "deletionTimestamp" in obj["metadata"]:
            outcome.found.append(f"{name_of(obj)} is not deleted")
    before = [site.oracles.writes for site in sites]
    world.wait(IDLE_SECONDS)
    for site, count in zip(sites, before, strict=True):
        if (more := site.oracles.writes - count) > 0:
            last = site.oracles.written[-min(more, 6) :]
            outcome.found.append(f"{more} writes in {IDLE_SECONDS} idle seconds: {last}")
    outcome.writes = sum(site.oracles.writes for site in sites)


def _names(addresses: list[Address]) -> set[str]:
    """Of the namespaces among them: what is in one goes with it, and is made again with it."""
    return {each.name for each in addresses if not each.namespace}


def _becomes_quiet(sites: list[Site], outcome: Outcome, start: float) -> bool:
    oracles = [site.oracles for site in sites]

    def is_quiet() -> bool:
        return CLOCK.now - max(start, *(each.last_write for each in oracles)) > QUIET_SECONDS

    if sites[0].world.run(is_quiet, CONVERGE_SECONDS):
        return True
    outcome.found.append(f"it does not become quiet; its last writes: {[each.written[-6:] for each in oracles]}")
    return False


def _furnish(world: World, plan: Plan) -> None:
    if plan.settings:
        listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
        world.user.create(
            {
                "kind": "Gateway",
                "metadata": {"name": "shared", "namespace": "edge"},
                "spec": {"gatewayClassName": "decco", "listeners": listeners},
            }
        )


def _installed(plan: Plan) -> dict[str, bool]:
    return {"envoy": plan.envoy, "issuer": plan.issuer, "mesh": plan.mesh}


def resources(world: World, daemon: Daemon) -> list[str]:
    """The watches that are open for a controller, but for that of the Lease."""
    streams = [stream for process, stream in world.network.pipes.values() if process is daemon.process]
    return sorted(f"{each.kind.plural} {each.target.namespace}" for each in streams if each.kind.plural != "leases")


Left = list[tuple[list[Obj], list[Obj]]]
"""Of each cluster what others have made, and its Spaces and Apps."""
_fresh_ones: dict[bytes, tuple[dict[str, Any], list[list[str]]]] = {}
"""The last fresh deployments: plans with the same users mostly end with the same objects."""


def _fresh(plan: Plan, left: Left) -> tuple[dict[str, Any], list[list[str]]]:
    key = orjson.dumps([plan.settings, plan.envoy, plan.issuer, plan.mesh, plan.federated, left])
    if key not in _fresh_ones:
        if len(_fresh_ones) >= ALIKE:
            _fresh_ones.clear()
        _fresh_ones[key] = deploy(plan, left)
    return _fresh_ones[key]


def deploy(plan: Plan, left: Left) -> tuple[dict[str, Any], list[list[str]]]:
    """The state that new clusters with one controller each reach with these objects (for each cluster what others made,
    and Spaces and Apps), and what those controllers watch.
    """
    worlds = _worlds(replace(plan, seed=0))
    try:
        for world, (others, owned) in zip(worlds, left, strict=True):
            _furnish(world, plan)
            for obj in others:
                world.user.create(obj)
            world.daemons[0].start()
            for obj in owned:
                while world.user.create(obj)[0] == 404:
                    world.wait(0.5)
                world.wait(1.0)
        worlds[0].wait(QUIET_SECONDS)
        return state(worlds), [resources(world, world.daemons[0]) for world in worlds]
    finally:
        for world in worlds:
            world.end()


def _by_age(world: World) -> list[Obj]:
    """Spaces, and then Apps, in the order of their creation."""
    return sorted(world.all("Space"), key=_age) + sorted(world.all("App"), key=_age)


def _age(obj: Obj) -> tuple[str, str]:
    """As decco compares: of two of the same second the one with the lower UID was first."""
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["uid"]


def _as_given(obj: Obj) -> Obj:
    meta = {
        name: obj["metadata"][name]
        for name in ("name", "namespace", "labels", "annotations")
        if name in obj["metadata"]
    }
    return {**{name: value for name, value in obj.items() if name != "status"}, "metadata": meta}


def name_of(obj: Obj) -> str:
    meta = obj["metadata"]
    return f"{obj['kind']} {meta.get('namespace', '')}/{meta['name']}"


_VOLATILE = frozenset(
    {
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
        "lastTransitionTime",
        "observedGeneration",
        "revision",
        "since",
        "startTime",
        "completionTime",
        "ended",
        "time",
    }
)


def state(worlds: list[World]) -> dict[str, Any]:
    """Everything that is decco's, without what differs from one cluster to the next; and the zone.

    The permission to read a Space's Secrets stays once it was needed.
    """
    uids = {obj["metadata"]["uid"]: _named(world, obj) for world in worlds for obj in world.etcd.objects.values()}
    found: dict[str, Any] = {}
    for world in worlds:
        for obj in world.etcd.objects.values():
            if obj["kind"] in ("Space", "App") or (is_managed(obj) and obj["kind"] != "RoleBinding"):
                found[_named(world, obj)] = _normal(obj, uids)
    records = worlds[0].zone.contents["example.net"]
    for name, sets in sorted(records.items()):
        found[f"record {name}"] = {
            type_: [_renamed(value, uids) for value in one.values] for type_, one in sorted(sets.items())
        }
    return found


def _named(world: World, obj: Obj) -> str:
    return name_of(obj) if world.beside is None else f"{name_of(obj)} in {world.name}"


_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _renamed(text: str, uids: dict[str, str]) -> str:
    return _UID.sub(lambda match: uids.get(match[0], match[0]), text)


def _normal(node: Any, uids: dict[str, str]) -> Any:
    if isinstance(node, dict):
        kept = {name: value for name, value in node.items() if name not in _VOLATILE}
        if "uid" in node and "kind" in node:
            kept["uid"] = uids.get(node["uid"], "unknown")
        if isinstance(kept.get("annotations"), dict):
            kept["annotations"] = {
                name: "…" if name.endswith(("/hash", "/hostnames", "/ca-changed")) else value.split("@")[0]
                for name, value in kept["annotations"].items()
            }
        return {name: _normal(value, uids) for name, value in sorted(kept.items())}
    if isinstance(node, list):
        return [_normal(each, uids) for each in node]
    return _renamed(node, uids) if isinstance(node, str) and len(node) >= 36 else node


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Between the end of a schedule and a fresh deployment."""
    found = []
    for name in sorted({*one, *other}):
        if name not in other:
            found.append(f"{name} is left over; a fresh deployment has none")
        elif name not in one:
            found.append(f"{name} is missing; a fresh deployment has it")
        elif one[name] != other[name]:
            found += [f"{name}: {each}" for each in _diff(one[name], other[name], "")][:3]
    return found[:20]


def _diff(one: Any, other: Any, path: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for name in sorted({*one, *other})
            if one.get(name) != other.get(name)
            for line in _diff(one.get(name), other.get(name), f"{path}.{name}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            if a != b
            for line in _diff(a, b, f"{path}[{i}]")
        ]
    return [f"{path} is {str(one)[:200]}, in a fresh deployment {str(other)[:200]}"]
