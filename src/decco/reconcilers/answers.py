"""What the edge answers for an object: its targets for the prober, and the prober's verdicts for its status.

Targets are declared as soon as everything that decco makes for them exists and is accepted, and stay until the object
is gone: what breaks later is found by probes of what was once declared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from decco.api.conditions import ConditionType
from decco.desired.answers import NO_ROUTE, NOTHING_PROBED, PROBE_PATH, Answer, Answers, probe_answer
from decco.desired.app import AppDesired
from decco.desired.app_status import EDGE_PORT, AppLive
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.gateway_status import parent_gateway, route_problem
from decco.desired.model import AppInputs, Child, SecretView, SpaceInputs
from decco.desired.names import PROBE_ROUTE
from decco.desired.routing.gateway import LISTENER_HTTPS
from decco.kube.entry import Entry
from decco.kube.store import Change, Store
from decco.objects import HTTP_ROUTES, SERVICES, Key, Obj
from decco.probe.model import Route, State, Target
from decco.probe.service import Prober
from decco.reconcilers.caches import Caches
from decco.reconcilers.edge import gateway_controller
from decco.reconcilers.report import was_true
from decco.settings import RoutingBackend

REQUEUE_SECONDS = 1.0
"""While the Space's own route is not accepted yet: no event of it enqueues an App."""


@dataclass(frozen=True, slots=True)
class Found:
    """For one reconcile: what the status contains, and the names of which no record is created yet."""

    answers: Answers = NOTHING_PROBED
    held_back: frozenset[str] = frozenset()
    requeue_after: float | None = None


NOT_PROBING = Found()


class Answering(Protocol):
    """Where a reconciler learns what the edge answers."""

    def of_app(
        self, entry: Entry, inputs: AppInputs, desired: AppDesired, live: AppLive, addresses: Sequence[str] | None, /
    ) -> Found: ...
    def of_space(
        self, entry: Entry, inputs: SpaceInputs, listeners: Obj | None, addresses: Sequence[str] | None, /
    ) -> Found: ...


class NoAnswers:
    """For a simulation, which sends no probe."""

    def of_app(self, *_: object) -> Found:
        return NOT_PROBING

    def of_space(self, *_: object) -> Found:
        return NOT_PROBING


class EdgeAnswers:
    """Asks the prober."""

    def __init__(self, prober: Prober, caches: Caches) -> None:
        self._prober = prober
        self._caches = caches

    @contextmanager
    def following(self, *stores: Store) -> Iterator[None]:
        """Forgets objects of these stores when they are gone."""
        for store in stores:
            store.subscribe(self._gone)
        try:
            yield
        finally:
            for store in stores:
                store.unsubscribe(self._gone)

    def _gone(self, change: Change) -> None:
        if change.old is not None and (change.new is None or change.new.uid != change.old.uid):
            self._prober.forget(change.old.uid)

    # -- App ----------------------------------------------------------------------------------------------------------

    def of_app(
        self, entry: Entry, inputs: AppInputs, desired: AppDesired, live: AppLive, addresses: Sequence[str] | None
    ) -> Found:
        routed = [endpoint for endpoint in desired.resolved.routed if endpoint.hostname is not None]
        if not self._prober.enabled or not self._is_routed() or not routed or not addresses:
            self._prober.forget(entry.uid)
            return NOT_PROBING
        if not _has_pods(inputs, live):
            self._prober.forget(entry.uid)  # nothing is to answer
            return NOT_PROBING
        ready, guarded = _is_ready(inputs, live), self._is_guarded(inputs)
        known = self._prober.knows(entry.uid)
        routes = {child.obj["metadata"]["name"]: child for child in desired.children if child.resource == HTTP_ROUTES}
        targets: dict[str, Target] = {}
        waiting: list[str] = []
        for endpoint in routed:
            found = dict(self._targets(inputs, endpoint, routes.get(endpoint.name), addresses))
            http = endpoint.kind is EndpointKind.HTTP
            if (ready or known) and (guarded or not http):
                targets |= found
            elif found:
                waiting.append(endpoint.hostname or "")
        state = self._ensure(entry, targets, inputs.space.name, (entry.generation, ready))
        failed = [self._failed(inputs, routed, targets, key, state, ready=ready) for key in sorted(state.failed)]
        waiting += [targets[key].server_name for key in state.waiting]
        answers = Answers(tuple(failed), tuple(waiting), _addresses(targets, state.unreached))
        return Found(answers, self._held_back(routed, targets, state), None if guarded else REQUEUE_SECONDS)

    def _is_routed(self) -> bool:
        return self._caches.settings.routing.backend is not RoutingBackend.NONE

    def _is_guarded(self, inputs: AppInputs) -> bool:
        """Whether the gateway has accepted the Space's route, so that no probe can reach an App."""
        if inputs.settings.routing.backend is not RoutingBackend.GATEWAY:
            return True
        store = self._caches.children.get(HTTP_ROUTES)
        found = store.get(Key(inputs.namespace, PROBE_ROUTE)) if store is not None else None
        if found is None or found.owner_uid != inputs.space.uid:
            return False
        obj = found.obj()
        gateway = parent_gateway(inputs.settings.routing, inputs.space.name, gateway_controller(self._caches))
        return route_problem(Child(HTTP_ROUTES, obj), obj, gateway) is None

    @staticmethod
    def _targets(
        inputs: AppInputs, endpoint: ResolvedEndpoint, route: Child | None, addresses: Sequence[str]
    ) -> Iterator[tuple[str, Target]]:
        """The targets of an endpoint by "<endpoint> <address>", none while it has no usable certificate."""
        http, chain = endpoint.kind is EndpointKind.HTTP, _chain(inputs, endpoint)
        if chain is None:
            return
        answer = probe_answer(route.obj) if route is not None else None
        for address in addresses:
            target = Target(
                address=address,
                port=EDGE_PORT,
                server_name=endpoint.hostname or "",
                chain=chain,
                requests_client_certificate=not http and endpoint.tls is not None and endpoint.tls.verify_client,
                route=Route(*answer) if http and answer is not None else None,
                waits_for_close=not http and endpoint.tls is not None,
            )
            yield f"{endpoint.name} {address}", target
            if http and endpoint.probe_path is not None:
                app = Target(address, EDGE_PORT, target.server_name, chain, probe_path=endpoint.probe_path)
                yield f"{endpoint.name} {address} {endpoint.probe_path}", app

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
        good = state.answered | state.unreached
        answering = {targets[key].server_name for key in good} - {
            targets[key].server_name for key in targets.keys() - good
        }
        return frozenset(each.hostname for each in routed if each.hostname and each.hostname not in answering)

    # -- Space --------------------------------------------------------------------------------------------------------

    def of_space(
        self, entry: Entry, inputs: SpaceInputs, listeners: Obj | None, addresses: Sequence[str] | None
    ) -> Found:
        if not self._prober.enabled or not self._is_routed() or not addresses:
            self._prober.forget(entry.uid)
            return NOT_PROBING
        targets: dict[str, Target] = {}
        chain = _chain_of(_view(inputs.secrets, inputs.space.spec.http_cert_secret_name))
        if chain is not None and _has_https(listeners):
            for address in addresses:
                route = Route(PROBE_PATH, NO_ROUTE)
                targets[f"https {address}"] = Target(address, EDGE_PORT, inputs.space.fqdn, chain, route=route)
        state = self._ensure(entry, targets, inputs.space.name, entry.generation)
        failed = (
            Answer("https", targets[key].server_name, targets[key].address, seen.result.value, seen.detail)
            for key, seen in sorted(state.failed.items())
        )
        unreached = tuple(address for address in addresses if self._prober.unreached(address))
        return Found(Answers(tuple(failed), tuple(targets[key].server_name for key in state.waiting), unreached))

    def _ensure(self, entry: Entry, targets: Mapping[str, Target], space: str, token: Hashable) -> State:
        assumed = was_true(entry.obj(), ConditionType.ROUTES_READY, entry.generation)
        return self._prober.ensure(entry.uid, targets, group=space, token=token, assumed=assumed)


def _has_pods(inputs: AppInputs, live: AppLive) -> bool:
    """Whether pods of the App are to answer: replicas is not 0, and a Job has not ended."""
    if not inputs.spec.run_as_job:
        return live.replicas != 0
    return live.job is not None and live.ended is None and (inputs.run is None or inputs.run.end is None)


def _is_ready(inputs: AppInputs, live: AppLive) -> bool:
    """Whether a pod is ready, of whatever revision; a Job's pods are not counted."""
    if inputs.spec.run_as_job:
        return live.job is not None
    return bool((live.workload or {}).get("status", {}).get("readyReplicas"))


def _chain(inputs: AppInputs, endpoint: ResolvedEndpoint) -> tuple[bytes, ...] | None:
    """The expected certificates, () for any; None while there are none to be presented."""
    if endpoint.kind is EndpointKind.HTTP:
        return _chain_of(_view(inputs.secrets, inputs.space.spec.http_cert_secret_name))
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


def _has_https(listeners: Obj | None) -> bool:
    spec = (listeners or {}).get("spec") or {}
    return any(each.get("name") == LISTENER_HTTPS for each in spec.get("listeners") or ())


def _addresses(targets: Mapping[str, Target], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({targets[key].address for key in keys}))
