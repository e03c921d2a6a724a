"""One App: its sidecar's configuration, workload, Services, routes, policy and status."""

from __future__ import annotations

from dataclasses import replace

from decco.api.conditions import ConditionType, has_status
from decco.api.parse import parse_app
from decco.api.types import AppSpec
from decco.desired import names, reasons, runs
from decco.desired import secrets as secret_rules
from decco.desired.address_rules import canonical_address
from decco.desired.app import AppDesired, app_children, app_names
from decco.desired.app_status import (
    AppLive,
    app_status,
    blocked_app_status,
    current_run,
    route_requeue_after,
    workload_requeue_after,
)
from decco.desired.closing import closed_policy, closed_route, lost_claims, lost_names
from decco.desired.model import AppInputs, Child, Problem, SecretState, SpaceFacts
from decco.desired.ownership import LabelledOwner
from decco.desired.pod_secrets import pod_secrets
from decco.desired.replicas import LiveReplicas
from decco.desired.status import OWN_PAUSE, pause_of_space
from decco.desired.workload_status import waits_for_deleted, waits_for_former
from decco.errors import TerminalError
from decco.kube.controller import Action
from decco.kube.entry import UNKNOWN, Entry
from decco.kube.store import Store
from decco.log import get_logger
from decco.objects import (
    ANNOTATION_ABANDON_DNS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    NAMESPACES,
    NETWORK_POLICIES,
    SERVICES,
    SPACES,
    STATEFUL_SETS,
    WORKLOADS,
    Key,
    Obj,
    Resource,
    annotations_of,
    key_of,
)
from decco.reconcilers.answers import is_ready
from decco.reconcilers.canaries import canaries_of, primary_of
from decco.reconcilers.children import POD_KINDS, Written
from decco.reconcilers.edge import addresses_for, gateway_controller, gateway_policies
from decco.reconcilers.facts import AppFacts, is_paused
from decco.reconcilers.job_runs import JobRuns
from decco.reconcilers.mesh import app_mesh, write_mesh_policies
from decco.reconcilers.outcomes import REQUEUE_SECONDS
from decco.reconcilers.outgoing import app_egress, egress_targets
from decco.reconcilers.placement import covered, placed, terms
from decco.reconcilers.reconciler import Dependencies, Reconciler, requeue_action, seconds_to_expiry
from decco.reconcilers.report import status_of
from decco.reconcilers.starting import starting_endpoints

log = get_logger(__name__)

_NOT_TRIED = Problem(reasons.NOT_WRITTEN, "")


class AppReconciler(Reconciler):
    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies, dependencies.caches.apps, blocked_app_status)
        self._runs = JobRuns(self.caches, self.writer.read_live, dependencies.simulated)

    async def reconcile(self, key: Key) -> Action:
        entry = self.store.get(key)
        if entry is None:
            return self._gone(key)
        owner = self.caches.spaces.get(Key("", key.namespace))
        if entry.deleting or (owner is not None and owner.deleting):
            # Owner references make Kubernetes remove the children, or the namespace and this App with it.
            return await self._release(entry, owner)
        obj = entry.obj()
        found = self.caches.space(key.namespace)
        if (pause := _pause_of(entry, found[1] if found is not None else None)) is not None:
            return await self._pause(entry, obj, pause, found[1] if found is not None else None)
        if not isinstance(entry.facts, AppFacts):
            problem = Problem(reasons.INVALID, str(entry.facts))
            return await self._leave(entry, obj, problem, found[1] if found is not None else None)
        if found is None and owner is not None:
            problem = Problem(
                reasons.NAMESPACE_NOT_READY, f"Space {owner.key.name} cannot be understood; see the Space's conditions."
            )
            known = self.caches.claimants.get(owner.key.name)
            return await self._leave(entry, obj, problem, replace(known, paused=True) if known is not None else None)
        if found is None:
            message = (
                f"There is no Space {key.namespace}: an App must be in the namespace of a Space. "
                "Create the Space, or move the App."
            )
            return await self.block(entry, obj, Problem(reasons.SPACE_NOT_FOUND, message))
        space_entry, space = found
        if not self.caches.namespace_is_ready(space):
            if space_entry.ready == UNKNOWN:
                # The Space's first reconcile is still to come; it enqueues its Apps.
                return Action()
            message = f"The namespace of Space {space.name} is not ready; see the Space's conditions."
            return await self.block(entry, obj, Problem(reasons.NAMESPACE_NOT_READY, message))
        if self.caches.claims.claims_of(space.name).pending:
            return await self._wait_for_record(entry, obj, space_entry)
        return await self._make(entry, entry.facts, space, obj)

    async def _wait_for_record(self, entry: Entry, obj: Obj, space: Entry) -> Action:
        """The Space's reconcile is about to record its host names, and that enqueues the App. The status stays as it
        is, unless the Space reports that its namespace cannot be written.
        """
        if has_status(space.obj(), ConditionType.NAMESPACE_READY, "False"):
            message = f"The host names of Space {space.key.name} are not recorded yet; see the Space's conditions."
            return await self.block(entry, obj, Problem(reasons.NAMESPACE_NOT_READY, message))
        return requeue_action(REQUEUE_SECONDS)

    async def _pause(self, entry: Entry, obj: Obj, why: Problem, space: SpaceFacts | None) -> Action:
        """Leaves everything as it is, except what the Space may not have any more."""
        await self.pause(entry, obj, why, self._lost(entry, obj, space))
        await self._close(entry, space)
        return Action()

    async def _leave(self, entry: Entry, obj: Obj, problem: Problem, space: SpaceFacts | None) -> Action:
        """The same for an App that cannot be reconciled. Otherwise an invalid spec would have the effect of a pause,
        which needs a permission.
        """
        self.records.pause(entry, self._lost(entry, obj, space))
        await self.block(entry, obj, problem)
        await self._close(entry, space)
        return Action()

    def _lost(self, entry: Entry, obj: Obj, space: SpaceFacts | None) -> frozenset[str]:
        """The names of an App that its Space does not have."""
        if space is None or self.caches.namespace_uid(space) is None:
            return frozenset()
        return lost_names(self.caches.claims, space, self._published(entry, obj, space.fqdn))

    async def _close(self, entry: Entry, space: SpaceFacts | None) -> None:
        """Closes the ports to those who are not of the Space's project, and takes away routes of names that it lost."""
        if space is None or self.caches.namespace_uid(space) is None:
            return
        key = entry.key
        policies = self.caches.children[NETWORK_POLICIES]
        policy = policies.get(Key(key.namespace, names.app_policy(key.name)))
        closed = None
        if policy is not None and policy.owner_uid == entry.uid and not policy.deleting:
            closed = closed_policy(policy.obj(), space, key.name, entry.uid, self.caches.settings.edge)
        claims = lost_claims(self.caches.claims, space)
        remove = self.serving(entry, claims)
        children = [closed] if closed is not None else []
        for resource, route in sorted(remove, key=str):
            live = self.caches.children[resource].get(route)
            reduced = closed_route(resource, live.obj(), claims, self.kept(entry, claims)) if live is not None else None
            if reduced is not None:
                children.append(reduced)
                remove.discard((resource, route))
        await self.close(entry, children, remove)

    def _gone(self, key: Key) -> Action:
        """Reports the objects that a deleted App left without owner: perhaps on purpose, by ``--cascade=orphan``."""
        owner = self.caches.spaces.get(Key("", key.namespace))
        namespace = self.caches.children[NAMESPACES].get(Key("", key.namespace))
        if owner is not None and not owner.deleting and namespace is not None and not namespace.deleting:
            left = self.caches.labelled_for(LabelledOwner(*key))
            self.dependencies.reporter.left_over(SPACES, owner.obj(), left)
        return Action()

    async def _release(self, entry: Entry, space: Entry | None) -> Action:
        """Withdraws the records, if there are any."""
        obj = entry.obj()
        fqdn = space.facts.fqdn if space is not None and isinstance(space.facts, SpaceFacts) else None
        published = self._published(entry, obj, fqdn)
        # The annotation of a Space also applies to its Apps.
        abandon = (
            space is not None and space.deleting and annotations_of(space.obj()).get(ANNOTATION_ABANDON_DNS) == "true"
        )
        return await self.withdraw(entry, obj, published, abandon=abandon)

    @staticmethod
    def _published(entry: Entry, obj: Obj, fqdn: str | None) -> set[str]:
        """The names that may be published for the App, as far as the object contains them."""
        found = {str(each["hostname"]) for each in status_of(obj).get("endpoints") or () if each.get("hostname")}
        if isinstance(entry.facts, AppFacts):
            requested = [endpoint for endpoint in entry.facts.endpoints if endpoint.dns]
            found |= {endpoint.hostname for endpoint in requested if endpoint.hostname is not None}
            found |= {f"{endpoint.name}.{fqdn}" for endpoint in requested if endpoint.hostname is None and fqdn}
        return found

    async def _make(self, entry: Entry, facts: AppFacts, space: SpaceFacts, obj: Obj) -> Action:
        inputs, leads = placed(self.caches, self.records, entry, await self._gather(entry, facts, space, obj))
        edge = addresses_for(self.caches, space)
        inputs = replace(inputs, starting=starting_endpoints(self.caches, entry, inputs)) if edge else inputs
        try:
            desired = app_children(inputs)
        except TerminalError as error:
            return await self._leave(entry, obj, Problem(reasons.INVALID, str(error)), space)
        written = Written(waits_for=None if self.caches.is_isolated(space) else _not_isolated(space))
        inputs, desired = await write_mesh_policies(self.caches, self.writer, entry, inputs, desired, written)
        blocker, replacing = await self._workload_blocker(entry, inputs, desired, written)
        await self.writer.write(desired.children, written, workload_blocked=blocker)
        written.raise_if_overtaken()
        hostnames = app_names(desired.resolved)
        keep = self._keep(entry, desired, written, replacing)
        if self.records.former(entry, hostnames):
            # The record goes first, so that a name never leads to nothing; its end enqueues the App again. What leads
            # from a name that is another Space's goes at once.
            carrying = self.caches.routing_kinds | {SERVICES}
            former = self.caches.owned(entry.uid, LabelledOwner(*entry.key), carrying)
            keep |= former - self.serving(entry, frozenset(self.caches.claims.claims_of(space.name).lost))
        await self.prune(entry, obj, keep, written)
        live = self._live(entry, desired.children, inputs)
        self._runs.superseded(entry, inputs.run_digest, inputs.run, live.job)
        found = self.answers.of_app(entry, inputs, desired, live, edge)
        addresses = edge if hostnames and self.records.enabled else ()
        how = self.caches.restored_names(space.name, hostnames), *terms(inputs.place, lambda: is_ready(inputs, live))
        records = await self.records.publish(self.store, entry, obj, hostnames, addresses, found, *how, space.move)
        inputs = replace(inputs, place=covered(inputs.place, records))
        status = app_status(
            inputs,
            desired,
            written.outcomes,
            live,
            status_of(records.obj),
            inputs.now,
            records.problems,
            found.answers,
            former=found.former,
        )
        reported = await self.report(records.entry, records.obj, status)
        log.debug("app reconciled", writes=written.writes, status_written=reported)
        if any(view.state is SecretState.LOCAL for view in inputs.secrets.values()):
            # The Space's own reconcile reads it from here.
            self.dependencies.expiries(space.name, self.secrets.expiries(space))
        if written.retryable_errors:
            raise written.retryable_errors[0]
        return requeue_action(
            written.requeue_after,
            records.requeue_after,
            leads,
            workload_requeue_after(inputs, live, status, inputs.now),
            runs.requeue_after(inputs.run, runs.run_record(status), live.job, inputs.now, written=reported),
            route_requeue_after(status, inputs.now),
            self.secrets.requeue_after(space, inputs.secrets.values()),
            seconds_to_expiry(inputs.secrets.values(), inputs.now),
        )

    async def _workload_blocker(
        self, app: Entry, inputs: AppInputs, desired: AppDesired, written: Written
    ) -> tuple[Problem | None, Problem | None]:
        """Why the workload is not written yet, and the same again if the former one is deleted for it.

        A former workload of the other kind is deleted in the foreground, so it exists until its pods are gone. Running
        pods are not deleted for a workload that the API server refuses.
        """
        pods = next((child for child in desired.children if child.resource in WORKLOADS), None)
        if pods is None:
            return None, None
        exists = bool(self._own(self.caches.children[pods.resource], app))
        if desired.awaited is not None and not exists and not self.dependencies.simulated:
            return desired.awaited, None  # the copy's event enqueues the App
        former = [
            (resource, entry)
            for resource in WORKLOADS
            if resource != pods.resource
            for entry in self._own(self.caches.children[resource], app)
        ]
        if former:
            if not all(entry.deleting for _, entry in former) and await self.writer.refuses(pods, written):
                return written.outcomes[pods.resource.kind, inputs.name], None
            blocker = waits_for_former(pods, former[0][0])
            return blocker, blocker
        run = current_run(inputs, inputs.job, self._runs.ended(inputs.run), inputs.now)
        seconds = runs.seconds_to_next_run(inputs.run_digest, run, inputs.spec.pod, inputs.now)
        if not seconds:
            return None, None
        written.requeue(seconds)
        return waits_for_deleted(pods), None

    @staticmethod
    def _own(store: Store, app: Entry) -> list[Entry]:
        """The App's objects of a kind; also those that lost their owner reference, if they are proven to be its own."""
        labelled = store.labelled_for(LabelledOwner(*app.key))
        return [*store.owned_by(app.uid, app.key.namespace), *(entry for entry in labelled if entry.proven)]

    def _keep(
        self, entry: Entry, desired: AppDesired, written: Written, way: Problem | None
    ) -> set[tuple[Resource, Key]]:
        """What is not to be pruned: the desired objects, and what continues to run while its successor does not exist;
        ``way`` is the outcome of a successor that waits for the deletion of the former one.
        """
        keep = {(child.resource, key_of(child.obj)) for child in desired.children} | desired.keep
        for child in desired.children:
            outcome = written.outcomes.get((child.resource.kind, key_of(child.obj).name), _NOT_TRIED)
            if child.resource in POD_KINDS and outcome is not None and outcome is not way:
                keep |= self.caches.owned(entry.uid, LabelledOwner(*entry.key), POD_KINDS)
        if self._own(self.caches.children[STATEFUL_SETS], entry):
            # Also while it is being deleted: its members find each other by these names until the last one has ended.
            keep.add((SERVICES, Key(entry.key.namespace, names.pods_service(entry.key.name))))
        return keep

    async def _gather(self, entry: Entry, facts: AppFacts, space: SpaceFacts, obj: Obj) -> AppInputs:
        spec = parse_app(obj)
        claims, owner = self.caches.claims.claims_of(space.name).claims(), self.caches.spaces.get(Key("", space.name))
        if owner is not None:
            space, claims = self.serving_space(owner, space, claims)
        unneeded = space.issued.keys() - self.secrets.issued(space)
        space, _ = await self.secrets.with_former(space)
        secrets = facts.secrets | secret_rules.certificates_of(space.spec)
        secrets |= pod_secrets(spec.pod) & frozenset(space.spec.secrets)
        if facts.needs_sidecar(space.spec):
            secrets |= frozenset(self.caches.settings.sidecar.image_pull_secrets)
        secrets -= unneeded - facts.secrets
        now = self.now()
        run = None if self.dependencies.ignores_runs else self._runs.record(entry, obj)
        job, lost = await self._runs.find(entry, runs.requested_run(spec), run, now)
        egress = app_egress(self.caches, self.dependencies.addressing, entry, spec, space)
        edge = addresses_for(self.caches, space) if egress.limited else None
        return AppInputs(
            namespace=entry.key.namespace,
            name=entry.key.name,
            uid=entry.uid,
            generation=entry.generation,
            spec=spec,
            space=space,
            settings=self.caches.settings,
            served=self.caches.served,
            claims=claims,
            secrets=await self.secrets.views(space, secrets),
            targets=egress_targets(self.caches, space, facts, with_pods=egress.limited),
            taken=self.caches.index.taken(entry.key, facts, space.fqdn),
            now=now,
            run=run,
            job=job,
            job_lost=lost,
            live_replicas=self._live_replicas(entry, spec),
            has_budget=self._owns(self.caches.children[DISRUPTION_BUDGETS], entry),
            simulated=self.dependencies.simulated,
            gateway_controller=gateway_controller(self.caches),
            canaries=canaries_of(self.caches, entry.key, space, simulated=self.dependencies.simulated),
            primary=primary_of(self.caches, entry.key, facts, space, simulated=self.dependencies.simulated),
            egress=egress.phase,
            addresses=egress.addresses,
            edge_addresses=frozenset(filter(None, map(canonical_address, edge or ()))),
            edge_policies=gateway_policies(self.caches),
            mesh=app_mesh(self.caches, space, facts.plain_clients),
            egress_recorded=egress.recorded,
            egress_limited=egress.has_rules,
        )

    def _live_replicas(self, app: Entry, spec: AppSpec) -> LiveReplicas | None:
        store = self.caches.children[STATEFUL_SETS if spec.stateful_set is not None else DEPLOYMENTS]
        found = store.get(app.key) if self._owns(store, app) else None
        return found.facts if found is not None and isinstance(found.facts, LiveReplicas) else None

    @staticmethod
    def _owns(store: Store, app: Entry) -> bool:
        """Whether the object of the App's name is the App's and is to stay."""
        found = store.get(app.key)
        return found is not None and found.owner_uid == app.uid and not found.deleting

    def _live(self, app: Entry, children: list[Child], inputs: AppInputs) -> AppLive:
        uid = app.uid

        def live(resource: Resource, key: Key) -> Obj | None:
            store = self.caches.children.get(resource)
            found = store.get(key) if store is not None else None
            return found.obj() if found is not None and found.owner_uid == uid else None

        routes = self.caches.routing_kinds
        workload = next((child for child in children if child.resource in WORKLOADS), None)
        return AppLive(
            workload=live(workload.resource, key_of(workload.obj)) if workload is not None else None,
            routes={
                (child.resource.kind, child.obj["metadata"]["name"]): obj
                for child in children
                if child.resource in routes and (obj := live(child.resource, key_of(child.obj))) is not None
            },
            job=self._runs.job(app, inputs.run),
            ended=self._runs.ended(inputs.run),
        )


def _not_isolated(space: SpaceFacts) -> Problem:
    message = (
        f"waits until the NetworkPolicy that isolates namespace {space.name} is in place; see the conditions of Space "
        f"{space.name}"
    )
    return Problem(reasons.NAMESPACE_NOT_READY, message)


def _pause_of(entry: Entry, space: SpaceFacts | None) -> Problem | None:
    """Why the App is paused: its own annotation, or its Space's; None if it is not paused."""
    facts = entry.facts
    if facts.paused if isinstance(facts, AppFacts) else is_paused(entry.obj()):
        return OWN_PAUSE
    return pause_of_space(space.name) if space is not None and space.paused else None
