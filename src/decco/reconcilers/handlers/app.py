"""An App: itself; its Space (Secrets that it needs); rivals for a name; Apps with an egress to it; the App of whose
traffic it takes a share, and those that take one of its.

Of a Space that is being deleted: the Space too, until no record of an App is left. Of an App that is being deleted or
is gone: the Space too, which takes the host names out of routes that a finalizer holds.
"""

from __future__ import annotations

from collections.abc import Iterator

from decco.kube.store import Change
from decco.objects import Key
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.handlers.common import remember_owner, understood, urgency


def app_changed(caches: Caches, change: Change) -> Iterator[Request]:
    key = change.entry.key
    old = caches.index.facts.get(key)
    new = understood(change, old, AppFacts)
    remember_owner(caches, change)
    if change.removed is not None:
        caches.superseded_jobs.pop(change.removed.uid, None)
    if not change.own:
        yield Request(key, urgency(change))
    space = caches.spaces.get(Key("", key.namespace))
    if (space is not None and space.deleting) or change.new is None or change.new.deleting:
        yield Request(Key("", key.namespace))
        if old is not None and old.canary_of is not None:
            yield Request(Key(key.namespace, old.canary_of))  # its pods end
    if old == new:
        return
    caches.index.replace(key, new)
    old_secrets, new_secrets = (facts.secrets if facts is not None else frozenset() for facts in (old, new))
    caches.secret_users.remove(key, old_secrets)
    caches.secret_users.add(key, new_secrets)
    for facts in (old, new):
        if facts is not None:
            yield from _neighbours(caches, key, facts)
    new_sidecar = bool(caches.settings.sidecar.image_pull_secrets) and _tls(old) != _tls(new)
    claimant = caches.claimants.get(key.namespace)
    has_issuer = claimant is not None and claimant.issuer is not None
    new_default = has_issuer and _uses_default(old) != _uses_default(new)
    if old_secrets != new_secrets or _certified(old) != _certified(new) or new_sidecar or new_default:
        yield Request(Key("", key.namespace))


def _tls(facts: AppFacts | None) -> tuple[bool, bool]:
    """What makes a sidecar necessary beside certificates, on which the copies of its pull Secrets depend."""
    return (facts.tls_out, facts.http) if facts is not None else (False, False)


def _uses_default(facts: AppFacts | None) -> bool:
    """Whether it needs the Space's Secret for TCP, which the Space may have to have issued."""
    return facts is not None and facts.by_default


def _certified(facts: AppFacts | None) -> frozenset[tuple[str, str | None, str]]:
    """The names for which certificates are needed, on which the Space's copies depend."""
    endpoints = facts.endpoints if facts is not None else ()
    return frozenset((each.name, each.hostname, each.certificate) for each in endpoints if each.certificate is not None)


def _neighbours(caches: Caches, key: Key, facts: AppFacts) -> Iterator[Request]:
    """Apps that claim a name of this App, and Apps with an egress to one of its endpoints."""
    space = caches.claimants.get(key.namespace)
    for _, rival, _ in caches.index.contests(key, facts, space.fqdn if space is not None else None):
        yield Request(rival)
    for endpoint in facts.endpoints:
        for caller in caches.index.callers(key.namespace, endpoint.name):
            if caller != key:
                yield Request(caller)
    primary = key if facts.canary_of is None else Key(key.namespace, facts.canary_of)
    for other in (primary, *caches.index.canaries(primary)):
        if other != key:
            yield Request(other)
