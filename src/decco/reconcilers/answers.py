"""What the edge answers for an object: its targets for the prober, and the prober's verdicts for its status.

Targets are declared as soon as everything that decco makes for them exists and is accepted, and stay until the object
is gone: what breaks later is found by probes of what was once declared.

What was in effect before this process started stays so until something is known: a new version may write other routes
than the former one, and no App stops being Ready while a gateway takes them over.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from decco.api.conditions import ConditionType, has_status
from decco.api.workload_kinds import WorkloadKind
from decco.desired import reasons
from decco.desired.answers import NO_ROUTE, NOTHING_PROBED, PROBE_PATH, Answer, Answers, probe_answer
from decco.desired.app import AppDesired
from decco.desired.app_status import EDGE_PORT, AppLive
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.gateway_status import Backends, is_programmed, listeners_kind, parent_gateway, route_problem
from decco.desired.http_names import certificate_of, further_names, server_name
from decco.desired.limits import limits_of
from decco.desired.model import AppInputs, Child, Problem, SecretView, SpaceFacts, SpaceInputs
from decco.desired.names import PROBE_ROUTE, SPACE_OBJECT
from decco.desired.routing.gateway import https_listener
from decco.frozen import frozen
from decco.kube.entry import Entry
from decco.kube.store import Change, Store, subscribed
from decco.objects import HTTP_ROUTES, SERVICES, TLS_ROUTES, Key, Obj, Resource
from decco.probe.model import Route, State, Target
from decco.probe.service import Prober
from decco.reconcilers.caches import Caches
from decco.reconcilers.edge import gateway_controller
from decco.settings import RoutingBackend


@frozen
class EdgeState:
    """For one reconcile: what the status contains, and the names of which no record is created yet."""

    answers: Answers = NOTHING_PROBED
    held_back: frozenset[str] = frozenset()
    former: bool = False
    """Whether routes count as they were before this process started."""
    silent: frozenset[str] = frozenset()
    """Host names of which this process knows no good answer: those that fail, and those that it still waits for."""
    failing: frozenset[str] = frozenset()
    """Host names that answer at no address, by confirmed failures."""


NOT_PROBING = EdgeState()
_NOT_A_CLIENT = "limits.clientCidrs may not permit the controller itself, so only certificates of HTTPS are probed"


class Answering(Protocol):
    """Where a reconciler learns what the edge answers."""

    def of_app(
        self, entry: Entry, inputs: AppInputs, desired: AppDesired, live: AppLive, addresses: Sequence[str] | None, /
    ) -> EdgeState: ...
    def of_space(
        self, entry: Entry, inputs: SpaceInputs, listeners: Obj | None, addresses: Sequence[str] | None, /
    ) -> EdgeState: ...


class NoAnswers:
    """For a simulation, which sends no probe."""

    def of_app(self, *_: object) -> EdgeState:
        return NOT_PROBING

    def of_space(self, *_: object) -> EdgeState:
        return NOT_PROBING


class EdgeAnswers:
    """Reads the results of the prober."""

    def __init__(self, prober: Prober, caches: Caches) -> None:
        self._prober = prober
        self._caches = caches
        self._known: set[str] = set()
        """UIDs of Apps of whose routes something is known since the start."""

    def following(self, *stores: Store) -> AbstractContextManager[None]:
        """Forgets objects of these stores when they are gone."""
        return subscribed(self._gone, *stores)

    def _gone(self, change: Change) -> None:
        if change.removed is not None:
            self._prober.forget(change.removed.uid)
            self._known.discard(change.removed.uid)

    # -- App ----------------------------------------------------------------------------------------------------------

    def of_app(
        self, entry: Entry, inputs: AppInputs, desired: AppDesired, live: AppLive, addresses: Sequence[str] | None
    ) -> EdgeState:
        pending = _pending(inputs, desired, live)
        former = self._is_former(entry, pending)
        limited = bool(limits_of(inputs.space).client_cidrs)
        routed = [
            endpoint
            for endpoint in desired.resolved.routed
            if endpoint.hostname is not None and not (limited and endpoint.kind is EndpointKind.TCP)
        ]
        if not self._probes(addresses) or not routed or not _has_pods(inputs, live):
            self._prober.forget(entry.uid)  # nothing is to answer, or nobody asks
            return EdgeState(former=former)
        probe_problem = self._probe_route_problem(inputs.space)
        if not self._is_open(inputs.space):
            pending = {endpoint.name for endpoint in routed}
        elif _waits(probe_problem):
            pending |= {endpoint.name for endpoint in routed if endpoint.kind is EndpointKind.HTTP}
        declared = self._prober.declared(entry.uid)
        if pending and not declared and _was_ready(entry):
            return EdgeState(held_back=frozenset(filter(None, (each.hostname for each in routed))), former=former)
        probe_route_in_effect = not _refused(probe_problem) and not limited
        ready = is_ready(inputs, live)
        routes = {child.obj["metadata"]["name"]: child for child in desired.children if child.resource == HTTP_ROUTES}
        targets: dict[str, Target] = {}
        waiting: list[str] = []
        for endpoint in routed:
            route = routes.get(endpoint.name)
            found = dict(
                self._targets(inputs, endpoint, route, addresses or (), probe_route_in_effect=probe_route_in_effect)
            )
            in_effect = endpoint.name not in pending and (ready or bool(found.keys() & declared))
            targets |= {key: target for key, target in found.items() if in_effect or key in declared}
            waiting += [target.server_name for key, target in found.items() if key not in targets]
        state = self._ensure(entry, targets, inputs.space.name, (entry.generation, ready))
        failed = [self._failed(inputs, routed, targets, key, state, ready=ready) for key in sorted(state.failed)]
        waiting += [targets[key].server_name for key in state.waiting]
        answers = Answers(tuple(failed), tuple(waiting), _addresses(targets, state.unreached))
        return EdgeState(answers, self._held_back(routed, targets, state), former, *_silence(targets, state))

    def _is_former(self, entry: Entry, pending: Collection[str]) -> bool:
        if entry.uid not in self._known and not (pending and _was_ready(entry)):
            self._known.add(entry.uid)
        return entry.uid not in self._known

    def _probes(self, addresses: Sequence[str] | None) -> bool:
        routed = self._caches.settings.routing.backend is not RoutingBackend.NONE
        return self._prober.enabled and routed and bool(addresses)

    def _is_open(self, space: SpaceFacts) -> bool:
        """Whether the edge serves the Space's listeners: a proxy that still starts refuses every connection."""
        routing = self._caches.settings.routing
        if routing.backend is not RoutingBackend.GATEWAY:
            return True
        listeners = self._of_space(listeners_kind(routing), space, SPACE_OBJECT)
        return listeners is not None and is_programmed(listeners)

    def _probe_route_problem(self, space: SpaceFacts) -> Problem | None:
        """Why the Space's route is not in effect, without which a probe of a route could reach an App."""
        routing = self._caches.settings.routing
        if routing.backend is not RoutingBackend.GATEWAY:
            return None
        obj = self._of_space(HTTP_ROUTES, space, PROBE_ROUTE)
        if obj is None:
            return Problem(reasons.WAITING_FOR_EDGE, f"HTTPRoute {PROBE_ROUTE} is not written yet")
        gateway = parent_gateway(routing, space.name, gateway_controller(self._caches))
        return route_problem(Child(HTTP_ROUTES, obj), obj, gateway)

    def _of_space(self, kind: Resource, space: SpaceFacts, name: str) -> Obj | None:
        store = self._caches.children.get(kind)
        found = store.get(Key(space.name, name)) if store is not None else None
        whole = found is not None and found.owner_uid == space.uid and not found.partial
        return found.obj() if found is not None and whole else None

    @staticmethod
    def _targets(
        inputs: AppInputs,
        endpoint: ResolvedEndpoint,
        route: Child | None,
        addresses: Sequence[str],
        *,
        probe_route_in_effect: bool,
    ) -> Iterator[tuple[str, Target]]:
        """The targets of an endpoint by "<endpoint> <address>", at further names "<endpoint> <address> <name>"; none
        for a name without usable certificate; requests only if ``probe_route_in_effect``.
        """
        http = endpoint.kind is EndpointKind.HTTP
        answer = probe_answer(route.obj) if route is not None and probe_route_in_effect else None
        for name in endpoint.http_names if http else (endpoint.hostname or "",):
            chain = _chain(inputs, endpoint, name)
            if chain is None:
                continue
            where = "" if name == endpoint.hostname else f" {name}"
            for address in addresses:
                target = Target(
                    address=address,
                    port=EDGE_PORT,
                    server_name=server_name(name),
                    chain=chain,
                    requests_client_certificate=not http and endpoint.tls is not None and endpoint.tls.verify_client,
                    route=Route(*answer) if http and answer is not None else None,
                    waits_for_close=not http and endpoint.tls is not None,
                )
                yield f"{endpoint.name} {address}{where}", target
                if http and endpoint.probe_path is not None and probe_route_in_effect:
                    app = Target(address, EDGE_PORT, target.server_name, chain, probe_path=endpoint.probe_path)
                    yield f"{endpoint.name} {address}{where} {endpoint.probe_path}", app

    def _failed(
        self,
        inputs: AppInputs,
        routed: Iterable[ResolvedEndpoint],
        targets: Mapping[str, Target],
        key: str,
        state: State,
        *,
        ready: bool,
    ) -> Answer:
        name, target, seen = key.partition(" ")[0], targets[key], state.failed[key]
        service = self._caches.children[SERVICES].get(Key(inputs.namespace, name))
        tcp = any(each.name == name and each.kind is EndpointKind.TCP for each in routed)
        return Answer(
            endpoint=name,
            server_name=target.server_name,
            address=target.address,
            result=seen.result.value,
            detail=seen.detail,
            tcp=tcp,
            service=service is not None,
            ready_pods=ready,
        )

    @staticmethod
    def _held_back(routed: Iterable[ResolvedEndpoint], targets: Mapping[str, Target], state: State) -> frozenset[str]:
        """The host names that have not answered at some address that can be reached."""
        answering = _answering(targets, state)
        return frozenset(each.hostname for each in routed if each.hostname and each.hostname not in answering)

    # -- Space --------------------------------------------------------------------------------------------------------

    def of_space(
        self, entry: Entry, inputs: SpaceInputs, listeners: Obj | None, addresses: Sequence[str] | None
    ) -> EdgeState:
        if not self._probes(addresses):
            self._prober.forget(entry.uid)
            return NOT_PROBING
        targets: dict[str, Target] = {}
        waiting: list[str] = []
        probe_problem, declared = self._probe_route_problem(inputs.space), self._prober.declared(entry.uid)
        in_effect = self._is_open(inputs.space) and not _waits(probe_problem)
        further = further_names(inputs.space)
        limited = bool(limits_of(inputs.space).client_cidrs)
        for name in (inputs.space.fqdn, *further):
            chain = _chain_of(_view(inputs.secrets, certificate_of(inputs.space, name)))
            if chain is None or not _has_https(listeners, inputs.space, name):
                continue
            where = "" if name == inputs.space.fqdn else f" {name}"
            route = None if _refused(probe_problem) or limited else Route(PROBE_PATH, NO_ROUTE)
            for address in addresses or ():
                key, target = (
                    f"https {address}{where}",
                    Target(address, EDGE_PORT, server_name(name), chain, route=route),
                )
                if in_effect or key in declared:
                    targets[key] = target
                else:
                    waiting.append(target.server_name)
        if waiting and not targets and _was_ready(entry):
            return EdgeState(held_back=frozenset(further))
        state = self._ensure(entry, targets, inputs.space.name, entry.generation)
        failed = (
            Answer("https", targets[key].server_name, targets[key].address, seen.result.value, seen.detail)
            for key, seen in sorted(state.failed.items())
        )
        waiting += [targets[key].server_name for key in state.waiting]
        unreached = tuple(address for address in addresses or () if self._prober.unreached(address))
        refusal = _NOT_A_CLIENT if limited else ""
        refusal = probe_problem.message if probe_problem is not None and _refused(probe_problem) else refusal
        answers = Answers(tuple(failed), tuple(waiting), unreached, refusal)
        return EdgeState(answers, self._without_answer(further, targets, state), False, *_silence(targets, state))

    def _without_answer(self, names: Iterable[str], targets: Mapping[str, Target], state: State) -> frozenset[str]:
        """Those of a Space's further names of which no record is created yet. Of listeners that decco does not write,
        nothing is known: with an Ingress controller records are created at once, as that of the FQDN is.
        """
        if self._caches.settings.routing.backend is not RoutingBackend.GATEWAY:
            return frozenset()
        answering = _answering(targets, state)
        return frozenset(name for name in names if server_name(name) not in answering)

    def _ensure(self, entry: Entry, targets: Mapping[str, Target], space: str, token: Hashable) -> State:
        return self._prober.ensure(entry.uid, targets, group=space, token=token, assumed=_was_ready(entry))


def _answering(targets: Mapping[str, Target], state: State) -> set[str]:
    """The server names that have answered at each address that can be reached."""
    good = state.answered | state.unreached
    return {targets[key].server_name for key in good} - {targets[key].server_name for key in targets.keys() - good}


def _silence(targets: Mapping[str, Target], state: State) -> tuple[frozenset[str], frozenset[str]]:
    """The server names without a good answer at any address, and those of them that fail at every one."""
    names = {target.server_name for target in targets.values()}
    silent = names - {targets[key].server_name for key in state.answered | state.unreached}
    failing = silent - {targets[key].server_name for key in targets.keys() - state.failed.keys()}
    return frozenset(silent), frozenset(failing)


def _was_ready(entry: Entry) -> bool:
    return has_status(entry.obj(), ConditionType.ROUTES_READY, generation=entry.generation)


def _waits(probe_problem: Problem | None) -> bool:
    return probe_problem is not None and probe_problem.reason == reasons.WAITING_FOR_EDGE


def _refused(probe_problem: Problem | None) -> bool:
    return probe_problem is not None and not _waits(probe_problem)


def _pending(inputs: AppInputs, desired: AppDesired, live: AppLive) -> set[str]:
    """The endpoints for whose routes, as they are written now, the gateway has not answered."""
    gateway = parent_gateway(inputs.settings.routing, inputs.space.name, inputs.gateway_controller)
    routes = (child for child in desired.children if child.resource in (HTTP_ROUTES, TLS_ROUTES))
    return {
        name
        for child in routes
        for name in [child.obj["metadata"]["name"]]
        if _waits(route_problem(child, live.routes.get((child.resource.kind, name)), gateway, Backends.NONE))
    }


def _has_pods(inputs: AppInputs, live: AppLive) -> bool:
    """Whether pods of the App are to answer: it is not suspended, replicas is not 0, and a Job has not ended."""
    if inputs.spec.suspend:
        return False
    if inputs.spec.workload_kind is not WorkloadKind.JOB:
        return live.replicas != 0
    return live.job is not None and live.ended is None and (inputs.run is None or inputs.run.end is None)


def is_ready(inputs: AppInputs, live: AppLive) -> bool:
    """Whether a pod is ready, of whatever revision; a Job's pods are not counted."""
    if inputs.spec.workload_kind is WorkloadKind.JOB:
        return live.job is not None
    return bool((live.workload or {}).get("status", {}).get("readyReplicas"))


def _chain(inputs: AppInputs, endpoint: ResolvedEndpoint, name: str) -> tuple[bytes, ...] | None:
    """The expected certificates, () for any; None while there are none to be presented."""
    if endpoint.kind is EndpointKind.HTTP:
        return _chain_of(_view(inputs.secrets, certificate_of(inputs.space, name)))
    if endpoint.tls is not None:
        return _chain_of(_view(inputs.secrets, endpoint.tls.secret))
    declared = next((each for each in inputs.spec.endpoints or () if each.name == endpoint.name), None)
    return () if declared is not None and declared.disable_tls_termination else None


def _view(secrets: Mapping[str, SecretView], name: str | None) -> SecretView | None:
    return secrets.get(name) if name is not None else None


def _chain_of(view: SecretView | None) -> tuple[bytes, ...] | None:
    if view is None or view.facts is None or view.facts.problem is not None:
        return None
    return view.facts.chain or None


def _has_https(listeners: Obj | None, space: SpaceFacts, name: str) -> bool:
    spec = (listeners or {}).get("spec") or {}
    return any(each.get("name") == https_listener(space, name) for each in spec.get("listeners") or ())


def _addresses(targets: Mapping[str, Target], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({targets[key].address for key in keys}))
