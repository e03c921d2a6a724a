"""Where a named Secret is found, what is copied, and how often a Secret that is not watched is read."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from decco.desired import reasons
from decco.desired.claims import claimed as claims_of
from decco.desired.grants import Grant, Record
from decco.desired.model import SecretState
from decco.desired.names import ANNOTATION_COPIED_FROM
from decco.desired.secrets import problem_of
from decco.kube.client import Client, ListPage
from decco.objects import NAMESPACES, SECRETS, Key, Obj, Resource, key_of, uid_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.copies import Copies
from decco.reconcilers.facts import app_facts, secret_facts
from decco.reconcilers.reconciler import LONGEST_SECONDS, MOMENT_SECONDS, requeue_action, seconds_to_expiry
from decco.reconcilers.requested_secrets import (
    DELETED_SECONDS,
    FOUND_SECONDS,
    GRACE_SECONDS,
    KEPT_SECONDS,
    LONG_MISSING_SECONDS,
    MISSING_SECONDS,
    DeletedSources,
    LocalSecrets,
    find_secret,
)
from decco.reconcilers.secrets import Secrets
from tests import tls_certificates
from tests.tls_certificates import DAY, Template
from tests.unit.desired.app_cases import secret
from tests.unit.desired.test_revocation import NOW as LISTED
from tests.unit.desired.test_revocation import ROOT, lists
from tests.unit.desired.test_revocation import secret as with_lists
from tests.unit.reconcilers.world import app, facts_of, make_caches, owned, shared, space, stored, tls_data

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACME = space("acme", httpCertSecretName="http")
NAMESPACE = owned(NAMESPACES, "acme", ACME)


class Server(Client):
    """Answers lists of Secrets by name from what ``holds``; counts the requests."""

    def __init__(self, *holds: Obj) -> None:
        self.holds = {key_of(obj): obj for obj in holds}
        self.asked: list[Key] = []

    async def list_pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        resource_version: str | None = None,
    ) -> AsyncGenerator[ListPage, None]:
        assert resource is SECRETS
        key = Key(namespace, fields.removeprefix("metadata.name="))
        self.asked.append(key)
        found = self.holds.get(key)
        yield ListPage([found] if found else [], "1", remaining=False)


class Harness:
    def __init__(self, *apps: Obj, holds: tuple[Obj, ...] = ()) -> None:
        self.now = 5000.0
        self.caches: Caches = make_caches()
        self.server = Server(*holds)
        find = partial(find_secret, self.server)
        self.local = LocalSecrets(find, lambda: self.now)
        self.taken: set[Key] = set()
        self.deleted = DeletedSources(find, lambda: self.now)
        self.secrets = Secrets(
            self.caches, Copies(self.caches, None), self.local, self.deleted, self.taken.__contains__
        )
        self.put(ACME, NAMESPACE, *apps)
        self.space = facts_of(self.caches, "acme")
        self.caches.claims.set_claims("acme", claims_of(self.space))

    def put(self, *objs: Obj) -> None:
        for obj in objs:
            kind, namespace = obj["kind"], obj["metadata"].get("namespace")
            if kind == "Space":
                store = self.caches.spaces
            elif kind == "App":
                store = self.caches.apps
            elif namespace == "decco":
                store = self.caches.sources
            else:
                store = next(s for r, s in self.caches.children.items() if r.kind == kind)
            store.put({**obj, "metadata": dict(obj["metadata"])}, own=False)

    async def state(self, name: str) -> SecretState:
        return (await self.secrets.views(self.space, [name]))[name].state


def source(name: str, share_with: str | None = "*", **data: str) -> Obj:
    return stored(SECRETS, name, "decco", meta=shared(share_with), type="Opaque", data={**tls_data(), **data})


def copy(name: str) -> Obj:
    return owned(SECRETS, name, ACME, type="Opaque", data=tls_data())


def orphan(name: str, source_name: str) -> Obj:
    """A copy as a backup tool restores it."""
    annotations = {ANNOTATION_COPIED_FROM: f"decco/{source_name}"}
    meta = {**copy(name)["metadata"], "ownerReferences": [], "annotations": annotations}
    return {**copy(name), "metadata": meta}


def local(name: str) -> Obj:
    return stored(SECRETS, name, "acme", type="Opaque", data=tls_data())


def user(*names: str) -> Obj:
    return app("user", "acme", *({"name": f"e{n}", "certAndCaSecretName": name} for n, name in enumerate(names)))


HALF = {"tls.key": ""}
# name, what the caches have, what the namespace holds -> state
VIEWS: dict[str, tuple[str, tuple[Obj, ...], tuple[Obj, ...], SecretState]] = {
    "nowhere": ("x", (), (), SecretState.MISSING),
    "not shared": ("x", (source("x", "other"),), (), SecretState.MISSING),
    "shared, not copied yet": ("x", (source("x"),), (), SecretState.PENDING),
    "copied": ("x", (source("x"), copy("x")), (), SecretState.COPY),
    "revoked, the copy still there": ("x", (source("x", "other"), copy("x")), (), SecretState.MISSING),
    "source gone, the copy still there": ("x", (copy("x"),), (), SecretState.DELETED),
    "the App's own": ("x", (), (local("x"),), SecretState.LOCAL),
    "the App's own, though one is shared": ("x", (source("x"),), (local("x"),), SecretState.LOCAL),
    "the App's own, though one is not shared": ("x", (source("x", "other"),), (local("x"),), SecretState.LOCAL),
    "the App's own, though a bad one is shared": ("x", (source("x", **HALF),), (local("x"),), SecretState.LOCAL),
    "a copy without decco's label": ("x", (source("x"),), (copy("x"),), SecretState.PENDING),
    "a copy that lost its owner reference": ("x", (source("x"),), (orphan("x", "x"),), SecretState.PENDING),
    "the same, and watched": ("x", (source("x"), orphan("x", "x")), (orphan("x", "x"),), SecretState.PENDING),
    "the App's own, made of a copy of another name": ("x", (source("x"),), (orphan("x", "y"),), SecretState.LOCAL),
    "of the Space, somebody's in its place": ("http", (source("http"),), (local("http"),), SecretState.PENDING),
    "of the Space, missing": ("http", (), (local("http"),), SecretState.MISSING),
}


@pytest.mark.parametrize("what", VIEWS)
async def test_views(what: str) -> None:
    name, cached, holds, wanted = VIEWS[what]
    harness = Harness(holds=holds)
    harness.put(*cached)
    assert await harness.state(name) is wanted


async def test_a_foreign_secret_in_the_place_of_a_copy_is_reported_after_the_conflict() -> None:
    harness = Harness(holds=(local("http"),))
    harness.put(source("http"))
    harness.taken.add(Key("acme", "http"))
    assert await harness.state("http") is SecretState.TAKEN
    views = await harness.secrets.views(harness.space, ["http"])
    problem = problem_of(
        views["http"], space="acme", fqdn="acme.example.net", controller_namespace="decco", now=datetime.now(UTC)
    )
    assert problem is not None
    assert (problem.reason, "acme/http" in problem.message) == (reasons.CONFLICT, True)
    assert harness.secrets.requeue_after(harness.space, views.values()), "it ends without an event for the App"
    assert harness.server.asked == []


async def test_a_source_that_became_unusable_is_reported_and_its_last_good_copy_stays() -> None:
    harness = Harness(user("x"))
    harness.put(source("x", **HALF), copy("x"))
    view = (await harness.secrets.views(harness.space, ["x"]))["x"]
    assert view.source is not None
    assert view.source.problem is not None
    problem = problem_of(view, space="acme", fqdn="acme.example.net", controller_namespace="decco", now=NOW)
    assert problem is not None
    assert problem.message.endswith("; its last good copy stays in use")
    copying = await harness.secrets.copying(harness.space, NOW)
    assert (dict(copying.write), copying.keep) == ({}, {"x"})


async def test_a_copy_of_a_space_that_is_gone_is_none() -> None:
    harness = Harness()
    earlier = owned(SECRETS, "x", space("acme", uid="earlier"), type="Opaque", data=tls_data())
    harness.put(source("x"), earlier)
    assert await harness.state("x") is SecretState.PENDING


# what the caches have, what the namespace holds -> what is copied
COPIES: dict[str, tuple[tuple[Obj, ...], tuple[Obj, ...], set[str]]] = {
    "named by the Space": ((source("http"),), (), {"http"}),
    "named by an App": ((source("x"),), (), {"x"}),
    "not named": ((source("unused"),), (), set()),
    "not shared": ((source("http", "other"), source("x", None)), (), set()),
    "already there": ((source("http"), copy("http"), source("x"), copy("x")), (), {"http", "x"}),
    "the App's own comes first": ((source("x"),), (local("x"),), set()),
    "the Space's own does not": ((source("http"),), (local("http"),), {"http"}),
    "a copy without decco's label is one": ((source("x"),), (copy("x"),), {"x"}),
}


@pytest.mark.parametrize("what", COPIES)
async def test_what_is_copied(what: str) -> None:
    cached, holds, wanted = COPIES[what]
    harness = Harness(user("x"), holds=holds)
    harness.put(*cached)
    assert set((await harness.secrets.copying(harness.space, NOW)).write) == wanted


async def test_expiries_are_of_what_is_used() -> None:
    harness = Harness(user("x", "mine", "missing"), holds=(local("mine"),))
    harness.put(source("http"), copy("http"), source("x"), copy("x"), source("unused"))
    first = harness.secrets.expiries(harness.space).certificates
    assert set(first) == {"http", "x"}, "the App's own is not read yet"
    await harness.secrets.views(harness.space, app_facts(user("x", "mine", "missing")).secrets)
    found = harness.secrets.expiries(harness.space).certificates
    assert set(found) == {"http", "x", "mine"}
    assert all(moment > datetime(2024, 1, 1, tzinfo=UTC).timestamp() for moment in found.values())
    assert len(harness.server.asked) == 2, "for what no cache has, and not for its expiry"


async def test_lists_of_revoked_certificates_expire_where_peers_are_verified_by_them() -> None:
    """A list in a Secret that only serves HTTPS refuses nobody."""
    harness = Harness(user("x"))
    content = with_lists(lists(ROOT, until=LISTED + 2 * DAY))
    for name in ("http", "x"):
        harness.put({**copy(name), "data": content})
    found = harness.secrets.expiries(harness.space)
    assert set(found.lists) == {"x"}
    assert found.lists["x"] == (LISTED + 2 * DAY).timestamp()


# -- asking -----------------------------------------------------------------------------------------------------------


async def test_a_settled_space_asks_for_nothing() -> None:
    harness = Harness(user("x"))
    harness.put(source("http"), copy("http"), source("x"), copy("x"))
    views = await harness.secrets.views(harness.space, ["http", "x"])
    await harness.secrets.copying(harness.space, NOW)
    assert harness.server.asked == []
    assert harness.secrets.requeue_after(harness.space, views.values()) is None


async def test_what_only_the_space_names_is_watched_and_not_asked_for() -> None:
    harness = Harness()
    views = await harness.secrets.views(harness.space, ["http"])
    assert harness.server.asked == []
    assert harness.secrets.requeue_after(harness.space, views.values()) is None


async def test_a_missing_one_is_asked_for_often_at_first_and_seldom_later() -> None:
    harness = Harness()
    times = []
    for _ in range(8):
        views = await harness.secrets.views(harness.space, ["x"])
        left = harness.secrets.requeue_after(harness.space, views.values())
        assert left is not None
        times.append(left)
        harness.now += left
    quick = int(LONG_MISSING_SECONDS / MISSING_SECONDS)
    assert times == [MISSING_SECONDS] * quick + [LONG_MISSING_SECONDS] * (8 - quick)
    assert len(harness.server.asked) == 8


async def test_between_the_reads_there_is_no_request() -> None:
    harness = Harness()
    for _ in range(10):
        await harness.state("x")
        harness.now += 1
    assert len(harness.server.asked) == 1
    views = await harness.secrets.views(harness.space, ["x"])
    assert harness.secrets.requeue_after(harness.space, views.values()) == MISSING_SECONDS - 10


async def test_one_that_was_found_and_is_missed_again_is_asked_for_often_again() -> None:
    harness = Harness(holds=(local("x"),))
    assert await harness.state("x") is SecretState.LOCAL
    views = await harness.secrets.views(harness.space, ["x"])
    assert harness.secrets.requeue_after(harness.space, views.values()) == FOUND_SECONDS
    harness.server.holds.clear()
    harness.now += FOUND_SECONDS
    assert await harness.state("x") is SecretState.LOCAL, "it may be created again"
    harness.now += DELETED_SECONDS
    assert await harness.state("x") is SecretState.MISSING
    assert harness.local.requeue_after(Key("acme", "x"), uid_of(NAMESPACE)) == MISSING_SECONDS


async def test_another_namespace_of_the_name_has_other_secrets() -> None:
    harness = Harness(holds=(local("x"),))
    assert await harness.state("x") is SecretState.LOCAL
    harness.server.holds.clear()
    harness.caches.children[NAMESPACES].remove(Key("", "acme"), uid_of(NAMESPACE), 10**9)
    harness.put(owned(NAMESPACES, "acme", ACME, meta={"uid": "another", "resourceVersion": str(10**9 + 1)}))
    assert await harness.state("x") is SecretState.MISSING


async def test_unused_answers_are_forgotten() -> None:
    harness = Harness()
    for number in range(5):
        await harness.state(f"x{number}")
    harness.now += LONG_MISSING_SECONDS + KEPT_SECONDS + 1
    await harness.state("last")
    assert {key for key, _ in harness.local._answers} == {Key("acme", "last")}


# -- consent ----------------------------------------------------------------------------------------------------------


async def test_what_is_not_shared_any_more_is_revoked() -> None:
    harness = Harness()
    harness.put(source("kept", "acme.example.net"), source("lost", "other.example.net"))
    harness.put(*(copy(name) for name in ("kept", "lost", "gone")))
    assert await harness.secrets.revoked(harness.space) == ({"lost"}, GRACE_SECONDS)
    harness.now += GRACE_SECONDS
    assert await harness.secrets.revoked(harness.space) == ({"lost", "gone"}, None)


async def test_a_bare_name_counts_with_a_warning_where_a_copy_is() -> None:
    harness = Harness()
    harness.put(source("http", "acme"))
    assert (await harness.secrets.views(harness.space, ["http"]))["http"].state is SecretState.PENDING
    harness.put(copy("http"))
    view = (await harness.secrets.views(harness.space, ["http"]))["http"]
    assert (view.state, view.by_bare_name) == (SecretState.COPY, True)
    harness.put(source("http", "acme, acme.example.net"))
    assert not (await harness.secrets.views(harness.space, ["http"]))["http"].by_bare_name


async def test_the_fqdn_of_a_space_that_lost_it_is_no_consent() -> None:
    harness = Harness()
    harness.put(source("http", "acme.example.net"))
    harness.caches.claims.set_claims("acme", claims_of(harness.space))
    harness.caches.claims.record("acme", Record())
    harness.caches.claims.record("holder", Record({".acme.example.net": Grant("2026-01-01T00:00:00Z", 1)}))
    assert await harness.state("http") is SecretState.MISSING


# -- when time itself is the change -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        ((), None),
        ((None, None), None),
        ((5.0, None, 3.0), 3.0 + MOMENT_SECONDS),
        ((0.0,), MOMENT_SECONDS),
        ((10.0**9,), LONGEST_SECONDS),
    ],
)
def test_next_requeue(seconds: tuple[float | None, ...], wanted: float | None) -> None:
    assert requeue_action(*seconds).requeue_after == wanted


def test_the_next_expiry_counts_however_far_it_is() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    given: list[Any] = [
        secret("a", not_after=datetime(2026, 3, 1, tzinfo=UTC)),
        secret("b", not_after=datetime(2026, 2, 1, tzinfo=UTC)),
        secret("past", not_after=datetime(2025, 1, 1, tzinfo=UTC)),
        secret("none"),
        secret("missing", SecretState.MISSING),
    ]
    assert seconds_to_expiry(given, now) == 31 * 86_400
    assert seconds_to_expiry(given[2:], now) is None


# -- a source with a new defect ---------------------------------------------------------------------------------------


def content_of(template: Template) -> dict[str, str]:
    made = template.make()
    given = tls_certificates.secret(made, ca_crt=made.pem)
    return {name: base64.b64encode(value).decode() for name, value in given.items()}


def http_source(**template: Any) -> Obj:
    data = content_of(Template(**{"sans": ("acme.example.net",), **template}))
    return stored(SECRETS, "http", "decco", meta=shared("*"), type="Opaque", data=data)


def http_copy(**template: Any) -> Obj:
    data = content_of(Template(**{"sans": ("acme.example.net",), **template}))
    return owned(SECRETS, "http", ACME, type="Opaque", data=data)


@pytest.mark.parametrize(
    ("of_the_copy", "of_the_source", "replaced"),
    [
        ({}, {}, True),
        ({}, {"sans": ("other.example.net",)}, False),
        ({"sans": ("other.example.net",)}, {"sans": ("third.example.net",)}, True),
        ({"sans": ("other.example.net",)}, {}, True),
        ({}, {"since": tls_certificates.NOW + DAY}, False),
        ({"until": tls_certificates.NOW - DAY}, {"since": tls_certificates.NOW + DAY}, False),
        ({}, {"until": tls_certificates.NOW - DAY}, False),
        ({"until": tls_certificates.NOW - DAY}, {"until": tls_certificates.NOW - 2 * DAY}, True),
        ({}, {"key": tls_certificates.key_of("Ed25519")}, False),
        ({}, {"key": tls_certificates.key_of("P-224")}, False),
    ],
)
async def test_a_copy_is_not_made_worse(
    of_the_copy: dict[str, Any], of_the_source: dict[str, Any], replaced: bool
) -> None:
    harness = Harness()
    harness.put(http_source(**of_the_source), http_copy(**of_the_copy))
    copying = await harness.secrets.copying(harness.space, tls_certificates.NOW)
    assert (set(copying.write), copying.keep) == (({"http"}, set()) if replaced else (set(), {"http"}))


async def test_a_certificate_that_is_not_valid_yet_is_copied_when_it_is() -> None:
    harness = Harness()
    harness.put(http_source(since=tls_certificates.NOW + DAY))
    copying = await harness.secrets.copying(harness.space, tls_certificates.NOW)
    assert (dict(copying.write), copying.keep) == ({}, {"http"})
    assert copying.requeue_after == [pytest.approx(86_400, abs=1)]
    later = await harness.secrets.copying(harness.space, tls_certificates.NOW + DAY)
    assert set(later.write) == {"http"}


async def test_the_names_of_endpoints_are_needed_too() -> None:
    harness = Harness(app("db", "acme", {"name": "db", "certAndCaSecretName": "http"}))
    harness.put(http_source(), http_copy(sans=("acme.example.net", "db.acme.example.net")))
    copying = await harness.secrets.copying(harness.space, tls_certificates.NOW)
    assert copying.keep == {"http"}


def test_one_content_is_inspected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    obj = http_source()
    one = secret_facts(obj)
    monkeypatch.setattr("decco.desired.secret_content.inspect", None)
    assert secret_facts({**obj, "metadata": http_copy()["metadata"]}) is one
