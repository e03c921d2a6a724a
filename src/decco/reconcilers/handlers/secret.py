"""A shared Secret: the Spaces that use it, and their Apps. A copy of one: its Space, and the Apps that use it."""

from __future__ import annotations

from collections.abc import Iterator

from decco.kube.store import Change
from decco.objects import Key
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.handlers.common import apps_of, space_and_apps


def source_changed(caches: Caches, change: Change) -> Iterator[Request]:
    name = change.entry.key.name
    if name in caches.settings.sidecar.image_pull_secrets:
        for space in caches.claimants:
            yield from space_and_apps(caches, space)
        return
    for user in caches.secret_users.users(name):
        if user.namespace:
            yield Request(Key("", user.namespace))
            yield Request(user)
        else:
            yield from space_and_apps(caches, user.name)


def copy_changed(caches: Caches, change: Change) -> Iterator[Request]:
    key = change.entry.key
    if change.own and change.initial:
        return  # the first read, by the Space or one of its Apps; all of them are about to be reconciled
    if change.old is not None and change.new is not None and change.old.facts == change.new.facts:
        return
    space = Key("", key.namespace)
    yield Request(space)
    users = caches.secret_users.users_in(key.namespace, key.name)
    is_pull_secret = key.name in caches.settings.sidecar.image_pull_secrets
    if (space in users or is_pull_secret) and caches.space(key.namespace) is not None:
        yield from apps_of(caches, key.namespace)
    else:
        yield from (Request(user) for user in users if user.namespace)
