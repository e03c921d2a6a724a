"""One Space: its namespace, isolation, Secrets, listeners and status."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import partial

from decco.api.conditions import timestamp
from decco.api.formats import DNS_NAME
from decco.api.types import SpaceSpec
from decco.desired import reasons
from decco.desired.closing import closed_listeners, closed_namespace, closed_route, lost_claims, lost_names, serves
from decco.desired.departed import with_record
from decco.desired.grants import Claim, record_text, status_grants
from decco.desired.http_names import published_names
from decco.desired.issued import issuing_problem
from decco.desired.issuing import UNKNOWN
from decco.desired.model import Child, Problem, SecretState, SecretView, SpaceFacts, SpaceInputs
from decco.desired.ownership import LabelledOwner
from decco.desired.space import NOTES, namespace_child, reserved_name, space_children, space_names
from decco.desired.space_status import blocked_space_status, space_status
from decco.desired.status import OWN_PAUSE
from decco.expiries import Expiries
from decco.kube.controller import Action
from decco.kube.entry import Entry
from decco.kube.errors import Forbidden
from decco.log import get_logger
from decco.objects import (
    ANNOTATION_FQDN,
    CERTIFICATES,
    GATEWAYS,
    LABEL_PROJECT,
    LIMIT_RANGES,
    LISTENER_SETS,
    NAMESPACES,
    RESOURCE_QUOTAS,
    SECRETS,
    SECURITY_POLICIES,
    Key,
    Obj,
    Resource,
    annotations_of,
    key_of,
    labels_of,
)
from decco.reconcilers.children import Written
from decco.reconcilers.departed import departed, serves_nothing
from decco.reconcilers.edge import addresses_for, gateway_controller, gateway_policies, space_live
from decco.reconcilers.facts import is_paused
from decco.reconcilers.mesh import space_mesh
from decco.reconcilers.outcomes import REQUEUE_SECONDS, refusal_of
from decco.reconcilers.outgoing import Switches
from decco.reconcilers.placement import can_serve, covered, space_place, terms
from decco.reconcilers.reconciler import Dependencies, Reconciler, requeue_action, seconds_to_expiry
from decco.reconcilers.records import Published, has_finalizer
from decco.reconcilers.report import status_of
from decco.reconcilers.secrets import Copying

log = get_logger(__name__)

SERVED_SECONDS = 1.0
"""Pause before the next check whether a name that is given up is still served."""
_LISTENERS = (GATEWAYS, LISTENER_SETS)
_BEFORE_ROUTING = (RESOURCE_QUOTAS, LIMIT_RANGES, SECRETS, SECURITY_POLICIES)


class SpaceReconciler(Reconciler):
    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies, dependencies.caches.spaces, blocked_space_status)
        self._switches = Switches()

    async def reconcile(self, key: Key) -> Action:
        abandoned = Written()
        await self.writer.withdraw(self.caches.abandoned(key.name), abandoned)
        try:
            action = await self._reconcile(key)
        finally:
            self.secrets.copies.drop_content(key.name)
        if abandoned.retryable_errors:
            raise abandoned.retryable_errors[0]
        if abandoned.requeue_after is None:
            return action
        return requeue_action(action.requeue_after, abandoned.requeue_after)

    async def _reconcile(self, key: Key) -> Action:
        entry = self.store.get(key)
        if entry is None or entry.deleting:
            # Owner references make Kubernetes remove the namespace and all that is in it.
            self.dependencies.expiries(key.name, Expiries())
            if entry is None:
                self.secrets.copies.forget(key.name)
                self.dependencies.causes.forget(key.name)
            return await (self._gone(key) if entry is None else self._release(entry))
        obj = entry.obj()
        facts = entry.facts
        if is_paused(obj):
            return await self._pause(entry, obj)  # its Apps read the pause from the Space's facts
        if not isinstance(facts, SpaceFacts):
            return await self._leave(entry, obj, Problem(reasons.INVALID, str(facts)))
        reserved = reserved_name(key.name, self.caches.settings)
        if reserved is not None and self.caches.namespace_uid(facts) is None:
            return await self.block(entry, obj, reserved)
        return await self._make(entry, facts, obj)

    async def _pause(self, entry: Entry, obj: Obj) -> Action:
        """Leaves everything as it is, except what the Space may not have any more."""
        space = self._last_known(entry)
        lost = lost_names(self.caches.claims, space, [space.fqdn, *published_names(space)]) if space is not None else ()
        await self.pause(entry, obj, OWN_PAUSE, lost)
        return await self._close(entry, space)

    async def _leave(self, entry: Entry, obj: Obj, problem: Problem) -> Action:
        """The same for a Space that cannot be understood. Otherwise an invalid spec would have the effect of a pause,
        which needs a permission.
        """
        await self.block(entry, obj, problem)
        return await self._close(entry, self._last_known(entry))

    def _last_known(self, entry: Entry) -> SpaceFacts | None:
        """The Space. If its spec is invalid: the last valid facts, or facts from the labels of its namespace, marked as
        paused. None without a namespace of its own.
        """
        namespace, name = self.caches.children[NAMESPACES].get(entry.key), entry.key.name
        if namespace is None or namespace.owner_uid != entry.uid or namespace.deleting:
            return None
        if isinstance(entry.facts, SpaceFacts):
            return entry.facts
        live, known = namespace.obj(), self.caches.claimants.get(name)
        if known is None:
            domain = annotations_of(live).get(ANNOTATION_FQDN, "").removeprefix(f"{name}.")
            if not DNS_NAME.matches(domain):
                return None
            known = SpaceFacts(name, entry.uid, entry.generation, "", SpaceSpec(domain_name=domain))
        spec = known.spec.model_copy(update={"project": labels_of(live).get(LABEL_PROJECT)})
        return replace(known, spec=spec, paused=True)

    async def _close(self, entry: Entry, space: SpaceFacts | None) -> Action:
        namespace = self.caches.children[NAMESPACES].get(entry.key)
        if space is None or namespace is None:
            return Action()
        await self.secrets.copies.read(space, bind=False)
        self.dependencies.expiries(space.name, self.secrets.expiries(space))
        index = self.caches.claims
        lost = lost_claims(index, space)
        revoked, seconds = await self.secrets.revoked(space)
        remove = {(SECRETS, Key(space.name, name)) for name in revoked}
        children = []
        for resource, key in self.serving(entry, lost):
            live = self.caches.children[resource].get(key)
            closed = None
            if live is not None and resource in _LISTENERS:
                closed = closed_listeners(resource, live.obj(), space, lost, self.kept(entry, lost))
            elif live is not None:
                closed = closed_route(resource, live.obj(), lost, self.kept(entry, lost))
            if closed is not None:
                children.append(closed)
            else:
                remove.add((resource, key))
        await self.close(entry, children, remove)
        _, served = self._give_up(space.name, lost & index.leaving(space.name))
        record = closed_namespace(namespace.obj(), space, record_text(index.grants(space.name)))
        await self.close(entry, [record] if record is not None else [], set())
        return requeue_action(served, seconds)

    async def _gone(self, key: Key) -> Action:
        """A namespace that has lost its owner reference outlives its Space. decco does not delete it without proof."""
        entry = self.caches.children[NAMESPACES].get(key)
        if entry is not None and entry.deleting:
            return await self._free(entry)
        if entry is not None and entry.labelled_owner is not None:
            self.dependencies.reporter.left_over(NAMESPACES, entry.obj(), [(NAMESPACES, entry)])
        return Action()

    async def _free(self, namespace: Entry) -> Action:
        """Ends grants of a Space that is gone or going, whose namespace somebody's finalizer may hold for ever: those
        that are being transferred, and all if the Space is gone and nothing that is left can serve a name.
        """
        index, name = self.caches.claims, namespace.key.name
        ending = index.leaving(name)
        if not serves_nothing(self.caches, namespace):
            ending &= index.claims_of(name).lost.keys()
        _, served = self._give_up(name, ending)
        written = Written()
        record = record_text(index.grants(name))
        await self.writer.withdraw([(NAMESPACES, namespace)], written, lambda _, live: with_record(live, record))
        if written.retryable_errors:
            raise written.retryable_errors[0]
        return requeue_action(served, written.requeue_after)

    async def _release(self, entry: Entry) -> Action:
        """Withdraws the records before anything is deleted: first those of the Apps, in the Apps' own reconciles."""
        space = entry.facts
        names = (space.fqdn, *published_names(space)) if isinstance(space, SpaceFacts) else ()
        apps = self.caches.apps.in_namespace(entry.key.name)
        action = await self.withdraw(entry, entry.obj(), names, wait_for=apps)
        namespace = self.caches.children[NAMESPACES].get(entry.key)
        recorded = has_finalizer(entry.obj())
        if recorded or namespace is None or not namespace.deleting or namespace.owner_uid != entry.uid:
            return action
        return await self._free(namespace)  # of a deletion in the foreground

    async def _make(self, entry: Entry, space: SpaceFacts, obj: Obj) -> Action:
        now, claims = self.now(), self.caches.claims
        claims.acquire(space.name, timestamp(now), space.generation)
        is_new = self.caches.children[NAMESPACES].get(key_of(obj)) is None
        egress = self._switches.space_egress(self.caches, space, now)
        mesh = space_mesh(self.caches, space, now)
        inputs = SpaceInputs(
            space=space,
            settings=self.caches.settings,
            served=self.caches.served,
            claims=claims.claims_of(space.name).claims(),
            record=record_text(claims.grants(space.name)),
            transferred=claims.transferred(space.name),
            copies={},
            secrets={},
            now=now,
            gateway_controller=gateway_controller(self.caches),
            edge_policies=gateway_policies(self.caches),
            egress=egress.phase,
            egress_waits=egress.waits,
            restored=self._restored(space.name, now),
            noted=self._noted(space.name),
            mesh=mesh.view,
            mesh_record=mesh.record,
            mesh_waits=mesh.waits,
            place=space_place(self.caches, space),
            departed=departed(self.caches, claims.claims_of(space.name).lost.values()),
        )
        written = await self.writer.write([namespace_child(inputs)])
        # The namespace exists now, its record makes grants effective, and decco may read the Secrets in it.
        namespace_uid = self.caches.namespace_uid(space)
        space, served_claims = self.serving_space(entry, space, claims.claims_of(space.name).claims())
        issued, space, issuing = await self._issued(space, is_new=is_new)
        copying = await self._copying(space, now, written, is_new=is_new)
        inputs = replace(
            inputs,
            space=space,
            issued=issued,
            issuing=issuing,
            namespace_uid=namespace_uid,
            claims=served_claims,
            copies=copying.write,
            secrets=await self._views(space, copying),
            in_force=copying.in_force,
        )
        # Names that could not be recorded are as before at the edge and in DNS: what is served now goes on.
        unrecorded = self.caches.routing_kinds if inputs.claims.pending else frozenset()
        if namespace_uid is not None:
            first = [child for child in space_children(inputs) if child.resource in _BEFORE_ROUTING]
            await self.writer.write(first, written)
            # The name of a copy may be taken, which the first write finds: then no listener refers to it.
            inputs = replace(inputs, secrets=await self._views(space, copying))
            children = [child for child in space_children(inputs) if child.resource not in unrecorded]
            withheld = _LISTENERS if _is_open(first, written) else ()
            rest = (child for child in children[1:] if child.resource not in (*_BEFORE_ROUTING, *withheld))
            await self.writer.write(rest, written)
        written.raise_if_overtaken()
        if namespace_uid is not None:
            keep: set[tuple[Resource, Key]] = {(child.resource, key_of(child.obj)) for child in children}
            keep |= self.caches.owned(space.uid, LabelledOwner(space.name), unrecorded)
            keep |= {(SECRETS, Key(space.name, name)) for name in copying.keep}
            if copying.unread:
                keep |= self.caches.owned(space.uid, LabelledOwner(space.name), (SECRETS,))
            await self.prune(entry, obj, keep, written)
            if not copying.unread:
                await self.secrets.copies.follow_deletions(space)
        # A copy that was written just now exists now, and the status contains what exists.
        views = await self._views(space, copying)
        given_up, served = self._give_up(space.name, claims.leaving(space.name))
        inputs = replace(inputs, secrets=views, hostnames=status_grants(claims.recorded(space.name)))
        addresses = addresses_for(self.caches, space)
        live = space_live(self.caches, space)
        found = self.answers.of_space(entry, inputs, live.listeners, addresses)
        if unrecorded:
            self.records.pause(entry)
            records = Published(entry, obj)
        else:
            names = space_names(inputs)
            former = self.caches.restored_names(space.name, names)
            how = former, *terms(inputs.place, partial(can_serve, self.caches, space))
            records = await self.records.publish(self.store, entry, obj, names, addresses, found, *how, space.move)
            inputs = replace(inputs, place=covered(inputs.place, records))
        live = replace(live, dns=records.problems, answers=found.answers)
        status = space_status(inputs, written.outcomes, live, status_of(records.obj), now)
        reported = await self.report(records.entry, records.obj, status)
        self.dependencies.expiries(space.name, self.secrets.expiries(space))
        log.debug("space reconciled", space=space.name, writes=written.writes, status_written=reported)
        if given_up:
            # After the status, which must not list what the namespace does not record.
            inputs = replace(inputs, record=record_text(claims.grants(space.name)))
            await self.writer.write([namespace_child(inputs)], written)
        if written.retryable_errors:
            raise written.retryable_errors[0]
        return requeue_action(
            written.requeue_after,
            egress.seconds,
            mesh.seconds,
            served,
            records.requeue_after,
            *copying.requeue_after,
            self.secrets.copies.requeue_after(space),
            self.dependencies.causes.requeue_after(space),
            seconds_to_expiry(views.values(), now),
        )

    async def _issued(
        self, space: SpaceFacts, *, is_new: bool
    ) -> tuple[frozenset[str], SpaceFacts, dict[str, Problem]]:
        """The Certificates that the Space needs, the Space with what is in use until they are issued, and why they are
        not.
        """
        issued = self.secrets.issued(space)
        served = CERTIFICATES in self.caches.served
        if issued and not served:
            self.caches.search.set()
        if is_new or self.caches.namespace_uid(space) is None:
            former, lacking = space, dict.fromkeys(issued, "")
        else:
            try:
                former, lacking = await self.secrets.with_former(space)
            except Forbidden:  # _copying reports it, and nothing changes
                self.dependencies.causes.forget(space.name)
                return issued, space, {}
        problems = {}
        certificates = {name: self.caches.certificate(space, name) for name in lacking}
        views = {name: each.facts if each is not None else None for name, each in certificates.items()}
        causes = await self.dependencies.causes.read(space, views)
        for name, instead in lacking.items():
            problem = issuing_problem(space, name, views[name], causes.get(name, UNKNOWN), served=served)
            if instead:
                problem = replace(problem, message=f"{problem.message}; until then Secret {instead} stays in use")
            problems[name] = problem
        return issued, former, problems

    async def _copying(self, space: SpaceFacts, now: datetime, written: Written, *, is_new: bool) -> Copying:
        """The copies to write. If decco may not read the Secrets of the namespace, they stay as they are."""
        try:
            await self.secrets.read(space, new=is_new)
            return await self.secrets.copying(space, now)
        except Forbidden as error:
            written.requeue(REQUEUE_SECONDS)
            for name in sorted(self.secrets.named(space)):
                refusal = refusal_of(error, SECRETS, Key(space.name, name))
                assert refusal is not None
                written.outcomes[SECRETS.kind, name] = refusal.problem
                written.requeue(refusal.requeue_after)
            return Copying(unread=True)

    async def _views(self, space: SpaceFacts, copying: Copying) -> dict[str, SecretView]:
        names = self.secrets.own(space)
        if copying.unread:
            return {name: SecretView(name, SecretState.PENDING) for name in names}
        return await self.secrets.views(space, names)

    def _give_up(self, space: str, leaving: Collection[Claim]) -> tuple[list[Claim], float | None]:
        """Ends the grants of these claims that are no longer served: which, and the seconds until the others are
        checked again.
        """
        given_up = [claim for claim in leaving if not self._serves(space, claim)]
        self.caches.claims.release(space, given_up)
        return given_up, SERVED_SECONDS if len(given_up) < len(leaving) else None

    def _serves(self, space: str, claim: Claim) -> bool:
        """Whether a listener or route in the Space's namespace contains the name."""
        claims = self.caches.claims.claims_of(space)
        kept = (claims.granted | claims.pending) - {claim}
        return any(
            serves(entry.json(), [claim], kept)
            for resource in self.caches.routing_kinds
            if (store := self.caches.children.get(resource)) is not None
            for entry in store.in_namespace(space)
        )

    def _restored(self, name: str, now: datetime) -> str:
        """When decco took the namespace over: now, if it exists without an owner reference, see ``restored_names``."""
        entry = self.caches.children[NAMESPACES].get(Key("", name))
        if entry is None:
            return ""
        return str(entry.facts.restored) if entry.owner_uid else timestamp(now)

    def _noted(self, name: str) -> frozenset[str]:
        namespace = self.caches.children[NAMESPACES].get(Key("", name))
        return NOTES & {*labels_of(namespace.obj()), *annotations_of(namespace.obj())} if namespace else frozenset()


def _is_open(first: Collection[Child], written: Written) -> bool:
    """Whether listeners would be open to everybody, because the policy with the permitted clients was not written."""
    policies = (child for child in first if child.resource == SECURITY_POLICIES)
    problem = Problem(reasons.NOT_WRITTEN, "")
    return any(
        written.outcomes.get((child.resource.kind, key_of(child.obj).name), problem) is not None for child in policies
    )
