"""Finds the Secrets that a Space and its Apps name, and decides which of them decco copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from decco.desired import secrets
from decco.desired.consent import consent
from decco.desired.issued import TCP, with_former
from decco.desired.model import SecretCopy, SecretFacts, SecretState, SecretView, SpaceFacts
from decco.desired.names import endpoint_hostname
from decco.desired.routing.gateway import certificates_of
from decco.desired.secret_use import (
    ANY_CONTENT,
    CONTENT,
    NO_USE,
    NOT_YET_VALID,
    REFUSED,
    SERVER,
    Use,
    defects,
    worse,
)
from decco.desired.space import copy_child
from decco.expiries import Expiries
from decco.frozen import frozen
from decco.kube.diff import hash_of
from decco.kube.entry import Entry
from decco.objects import SECRETS, Key
from decco.reconcilers.caches import Caches
from decco.reconcilers.copies import Copies
from decco.reconcilers.edge import gateway_controller, space_live
from decco.reconcilers.facts import AppFacts, SharedSecret
from decco.reconcilers.outcomes import REQUEUE_SECONDS
from decco.reconcilers.requested_secrets import DeletedSources, LocalSecrets

if TYPE_CHECKING:
    from decco.desired.ca_change import CopyPlan, LiveCopy

_REQUESTED = (SecretState.MISSING, SecretState.LOCAL)
"""States in which a Secret may be in the Space's namespace, or be created or deleted there, without a watch event."""
_WITHOUT_EVENT = (SecretState.PENDING, SecretState.TAKEN)
"""States that end, or change into each other, by a reconcile of the Space without an event for the App."""


@frozen
class Copying:
    """What the Space's reconcile does with Secrets: copies to write, and copies that stay as they are."""

    write: dict[str, SecretCopy] = field(default_factory=dict)
    keep: set[str] = field(default_factory=set)
    """Copies whose source has a new defect, or was deleted just now: pods continue with the last good one."""
    in_force: dict[str, datetime] = field(default_factory=dict)
    """Secret -> time when its new certificate will be in the copy."""
    requeue_after: list[float] = field(default_factory=list)
    """Seconds until a copy needs a reconcile without a change."""
    unread: bool = False
    """Whether decco may not read the Secrets of the namespace."""


class Secrets:
    """Looks Secrets up in the caches, and by requests for those of the Space's namespace that the caches do not
    contain.
    """

    def __init__(
        self,
        caches: Caches,
        copies: Copies,
        local: LocalSecrets,
        deleted: DeletedSources,
        taken: Callable[[Key], bool] = lambda _key: False,
    ) -> None:
        """``taken`` returns whether the last write of a copy found a foreign Secret of its name."""
        self._caches = caches
        self.copies = copies
        self._local = local
        self._deleted = deleted
        self._taken = taken

    async def read(self, space: SpaceFacts, *, new: bool) -> None:
        """Brings what is known of the copies up to date, if that is due; ``new``: the namespace was created just now.
        Raises KubeError.
        """
        named = bool(self.named(space))
        if new:
            await self.copies.begin(space, bind=named)
        else:
            await self.copies.read(space, bind=named, hourly=True)

    def named(self, space: SpaceFacts) -> set[str]:
        return self._named_by_apps(space) | self.own(space)

    def own(self, space: SpaceFacts) -> frozenset[str]:
        """The Secrets that the Space needs itself: they are copied under their names, and a Secret of another owner
        that has the name is in the way.
        """
        unneeded = {} if any(facts.by_default for facts in self._apps(space)) else {TCP}
        return (secrets.named_by_space(space.spec) | self.pull_secrets(space)) - (unneeded & space.issued.keys())

    def pull_secrets(self, space: SpaceFacts) -> frozenset[str]:
        """The pull Secrets of the sidecar's image, if a pod of the Space has a sidecar."""
        pull = self._caches.settings.sidecar.image_pull_secrets
        if not pull or not any(facts.needs_sidecar(space.spec) for facts in self._apps(space)):
            return frozenset()
        return frozenset(pull)

    async def copying(self, space: SpaceFacts, now: datetime) -> Copying:
        """The Secrets to copy into the Space's namespace, with their desired content at this time."""
        own, of_apps = self.own(space), self._named_by_apps(space)
        found = Copying()
        for name in sorted((own | of_apps) - space.issued.keys()):
            shared = self._shared(space, name)
            if shared is None:
                if left := await self._grace_left(space, name):
                    found.keep.add(name)
                    found.requeue_after.append(left)
            elif self._stays(space, shared, now):
                found.keep.add(name)
                begins = (shared.facts.not_before, shared.facts.lists_from)
                waits = [(each - now).total_seconds() for each in begins if each is not None and now < each]
                found.requeue_after.extend(waits)
            elif name in own or self._copy(space, name) is not None or await self._local_facts(space, name) is None:
                plan = await self._plan(space, shared, now, of_an_app=name in of_apps)
                found.write[name] = plan.copy
                if plan.in_force is not None:
                    found.in_force[name] = plan.in_force
                if plan.due is not None:
                    found.requeue_after.append(max(0.0, (plan.due - now).total_seconds()))
        return found

    async def revoked(self, space: SpaceFacts) -> tuple[set[str], float | None]:
        """The copies in the Space's namespace whose sources their owners do not share with it any more, and the seconds
        until another may be one of them.
        """
        copies = self._caches.children[SECRETS].owned_by(space.uid, space.name)
        names = [entry.key.name for entry in copies if not entry.deleting]
        left = {name: await self._grace_left(space, name) for name in names if self._shared(space, name) is None}
        return {name for name, seconds in left.items() if not seconds}, min(filter(None, left.values()), default=None)

    async def views(self, space: SpaceFacts, names: Iterable[str]) -> dict[str, SecretView]:
        if not (wanted := sorted(set(names))):
            return {}
        await self.copies.read(space)
        found = {name: await self._view(space, name) for name in wanted}
        for name, view in found.items():
            shared = self._shared(space, name)
            if view.state is SecretState.COPY and shared is not None and self._consent(space, shared) == space.name:
                found[name] = replace(view, by_bare_name=True)
        return found

    def requeue_after(self, space: SpaceFacts, views: Iterable[SecretView]) -> float | None:
        """Seconds until one of these that is not watched should be requested again; None if all are watched."""
        seconds, own = [], self.own(space)
        for view in views:
            if view.name in space.issued:
                continue  # a change of its Certificate is an event
            if view.state in _WITHOUT_EVENT:
                seconds.append(REQUEUE_SECONDS)
            elif view.state in _REQUESTED and view.name not in own:
                left = self._local.requeue_after(Key(space.name, view.name), self._namespace_uid(space))
                if left is not None:
                    seconds.append(left)
        return min(seconds, default=None)

    def expiries(self, space: SpaceFacts) -> Expiries:
        """Of what is in use in the Space, as far as it is known now."""
        certificates, lists = dict[str, float](), dict[str, float]()
        for name in self.named(space):
            facts = self._copy(space, name)
            if facts is None:
                facts = self._local.remembered(Key(space.name, name), self._namespace_uid(space))
            if facts is not None and facts.not_after is not None:
                certificates[name] = facts.not_after.timestamp()
            if facts is not None and facts.lists_until is not None and self._use(space, name).verifies:
                lists[name] = facts.lists_until.timestamp()
        return Expiries(certificates, lists)

    def _named_by_apps(self, space: SpaceFacts) -> set[str]:
        return {name for facts in self._apps(space) for name in facts.secrets}

    def _apps(self, space: SpaceFacts) -> Iterator[AppFacts]:
        for app in self._caches.apps.in_namespace(space.name):
            if isinstance(app.facts, AppFacts):
                yield app.facts

    async def _view(self, space: SpaceFacts, name: str) -> SecretView:
        if name in space.issued:
            return await self._issued_view(space, name)
        shared = self._shared(space, name)
        copy = self._copy(space, name)
        if copy is None and name not in self.own(space):
            local = await self._local_facts(space, name)
            if local is not None:
                return SecretView(name, SecretState.LOCAL, local)
        if copy is not None and shared is not None:
            # The edge must continue to trust the certificates of the pods, which are in the copy.
            differs = shared.facts.digest != copy.digest
            return SecretView(name, SecretState.COPY, copy, source=shared.facts if differs else None)
        if copy is not None and await self._grace_left(space, name):
            return SecretView(name, SecretState.DELETED, copy)
        if shared is not None and (shared.facts.refusal or (shared.facts.problem and self._has_to_fit(space, name))):
            return SecretView(name, SecretState.COPY, shared.facts)
        if shared is not None:
            if self._taken(Key(space.name, name)):
                return SecretView(name, SecretState.TAKEN)
            return SecretView(name, SecretState.PENDING, shared.facts)
        # Tenants must not learn whether a Secret exists that is not shared with their Space.
        return SecretView(name, SecretState.MISSING)

    async def _issued_view(self, space: SpaceFacts, name: str) -> SecretView:
        facts = await self._local_facts(space, name)
        usable = facts is not None and facts.problem is None
        return SecretView(name, SecretState.LOCAL if usable else SecretState.ISSUING, facts)

    def issued(self, space: SpaceFacts) -> frozenset[str]:
        """The Certificates that are needed now."""
        return self.own(space) & space.issued.keys()

    async def with_former(self, space: SpaceFacts) -> tuple[SpaceFacts, dict[str, str]]:
        """The Space with what is in use now in the place of certificates that are not issued yet, as far as the owners
        of these Secrets still share them; and which these are: issued Secret that is not usable -> Secret in its place,
        "" for none.
        """
        lacking: dict[str, str] = {}
        for name in sorted(self.issued(space)):
            if (await self._issued_view(space, name)).state is not SecretState.LOCAL:
                lacking[name] = ""
        if lacking:
            await self.copies.read(space)
            shown = certificates_of(space_live(self._caches, space).listeners)
            for name in lacking:
                found = self._former_of_pods(space) if name == TCP else shown.get(space.issued[name][0])
                if found is not None and found not in space.issued and self._is_shared_copy(space, found):
                    lacking[name] = found
        return with_former(space, {name: former for name, former in lacking.items() if former}), lacking

    def _former_of_pods(self, space: SpaceFacts) -> str | None:
        """The copy with which the TCP endpoints were served until now: nobody else uses it, and it has their names."""
        copies, others = self._caches.children[SECRETS].owned_by(space.uid, space.name), self.own(space)
        for name in sorted(entry.key.name for entry in copies):
            facts = self._copy(space, name)
            dns_names = facts.dns_names if facts is not None else None
            if name not in others and facts is not None and facts.has_ca and f"*.{space.fqdn}" in (dns_names or ()):
                return name
        return None

    def _is_shared_copy(self, space: SpaceFacts, name: str) -> bool:
        return self._copy(space, name) is not None and self._shared(space, name) is not None

    def _source_key(self, name: str) -> Key:
        return Key(self._caches.settings.namespace, name)

    def _shared(self, space: SpaceFacts, name: str) -> SharedSecret | None:
        """The source of this name, if its owner shares it with this Space."""
        entry = self._caches.sources.get(self._source_key(name))
        if entry is None or entry.deleting or not isinstance(entry.facts, SharedSecret):
            return None
        self._deleted.is_there(entry.key)
        return entry.facts if self._consent(space, entry.facts) else None

    def _consent(self, space: SpaceFacts, shared: SharedSecret) -> str:
        copied = self._copy(space, shared.source.name) is not None
        claims = self._caches.claims.claims_of(space.name).claims()
        return consent(shared.source, shared.facts, space, claims, copied=copied)

    async def _grace_left(self, space: SpaceFacts, name: str) -> float:
        """Seconds for which the copy of a Secret that is not shared now stays as it is; 0: it is deleted, if it
        exists.
        """
        if self._copy(space, name) is None:
            return 0.0
        key = self._source_key(name)
        entry = self._caches.sources.get(key)
        if entry is None:
            return await self._deleted.seconds_left(key)
        consents = isinstance(entry.facts, SharedSecret) and bool(self._consent(space, entry.facts))
        return await self._deleted.seconds_left(key, deleting=True) if entry.deleting and consents else 0.0

    def _stays(self, space: SpaceFacts, shared: SharedSecret, now: datetime) -> bool:
        """Whether the copy stays as it is, if there is one: the source has a defect that the copy does not have."""
        name = shared.source.name
        use, has_to_fit = self._use(space, name), self._has_to_fit(space, name)
        wrong, copy = defects(shared.facts, use, now), self._copy(space, name)
        if REFUSED in wrong or (has_to_fit and CONTENT in wrong):
            return True
        if copy is None:
            return has_to_fit and NOT_YET_VALID in wrong
        return worse(wrong, defects(copy, use, now))

    def _has_to_fit(self, space: SpaceFacts, name: str) -> bool:
        """Whether only a usable certificate is copied under this name. What the Space lists in ``secrets`` may have any
        content, also if one of its Apps takes it for a certificate.
        """
        return name in secrets.certificates_of(space.spec) or name not in self.own(space)

    def _use(self, space: SpaceFacts, name: str) -> Use:
        """All that the Space and its Apps use a Secret for."""
        of_apps = name in self._named_by_apps(space)
        use = NO_USE if of_apps or self._has_to_fit(space, name) else ANY_CONTENT
        if of_apps or name == space.spec.tcp_cert_and_ca_secret_name:
            use |= Use(verifies=True)
        use |= secrets.http_use(space, name, self._caches.settings, gateway_controller(self._caches))
        for facts in self._apps(space):
            for endpoint in facts.endpoints:
                if endpoint.certificate is not None:
                    own = endpoint.certificate or space.spec.tcp_cert_and_ca_secret_name
                    if own == name:
                        hostname = endpoint_hostname(endpoint.name, endpoint.hostname, space.fqdn)
                        use |= Use(frozenset({hostname}), frozenset({SERVER}))
        return use

    async def _plan(self, space: SpaceFacts, shared: SharedSecret, now: datetime, *, of_an_app: bool) -> CopyPlan:
        from decco.desired.ca_change import plan_copy  # late, here and below: it imports cryptography

        name, spec = shared.source.name, space.spec
        encrypts = name == spec.http_cert_secret_name and spec.encrypt_http
        between_pods = of_an_app or encrypts or name == spec.tcp_cert_and_ca_secret_name
        between_pods = between_pods and shared.facts.problem is None
        live = await self._live(space, shared) if between_pods else None
        return plan_copy(shared.source, shared.facts, live, now, between_pods=between_pods)

    async def _live(self, space: SpaceFacts, shared: SharedSecret) -> LiveCopy | None:
        """The copy, unless another writer may have changed it: then its authorities are not trusted. Within one process
        decco's writes are known exactly. After a restart, a copy counts as unchanged if no other field manager has
        written to it, its hash annotation matches, and, if no change is recorded, it is older than the source.
        """
        from decco.desired.ca_change import LiveCopy

        name = shared.source.name
        entry, facts = self._copy_entry(space, name), self._copy(space, name)
        if entry is None or facts is None:
            return None
        if not facts.ca_changed and facts.digest == shared.facts.digest:
            return LiveCopy(facts, shared.source.data, "")
        entry = await self.copies.whole(entry)
        if entry is None or entry.owner_uid != space.uid or not isinstance(facts := entry.facts, SecretFacts):
            return None
        settled = self._caches.children[SECRETS].settled.get(entry.uid)
        if entry.foreign if settled is None else settled[0] != entry.content:
            return None
        data = entry.obj().get("data") or {}
        for record in dict.fromkeys((facts.ca_changed, "")):
            wanted = copy_child(space, self._caches.settings.namespace, SecretCopy(name, facts.type, data, record))
            if entry.written == hash_of(wanted.obj):
                known = settled is not None or record or self._is_older(entry, name)
                return LiveCopy(facts, data, record) if known else None
        return None

    def _is_older(self, copy: Entry, name: str) -> bool:
        source = self._caches.sources.get(self._source_key(name))
        return source is not None and copy.version < source.version

    def _copy(self, space: SpaceFacts, name: str) -> SecretFacts | None:
        """The facts of decco's own copy, if it exists."""
        entry = self._copy_entry(space, name)
        return entry.facts if entry is not None and isinstance(entry.facts, SecretFacts) else None

    def _copy_entry(self, space: SpaceFacts, name: str) -> Entry | None:
        entry = self._caches.children[SECRETS].get(Key(space.name, name))
        return entry if entry is not None and entry.owner_uid == space.uid and not entry.deleting else None

    async def _local_facts(self, space: SpaceFacts, name: str) -> SecretFacts | None:
        uid = self._namespace_uid(space)
        if not uid:
            return None
        certificate = self._caches.certificate(space, name) if name in space.issued else None
        state = (certificate.uid, certificate.facts) if certificate is not None else None
        return await self._local.read_facts(Key(space.name, name), uid, state)

    def _namespace_uid(self, space: SpaceFacts) -> str:
        """An empty text if there is no namespace, or one that is not the Space's: decco reads no Secrets there."""
        return self._caches.namespace_uid(space) or ""
