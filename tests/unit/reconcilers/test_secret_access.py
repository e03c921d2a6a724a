"""When decco binds itself to the role for Secrets, to whom, and how long it waits for that to be effective."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from decco.desired.space import SECRETS_ROLE
from decco.kube.client import ListPage
from decco.kube.errors import (
    AlreadyExists,
    Conflict,
    Fenced,
    Forbidden,
    Garbled,
    KubeError,
    ServerError,
    Unreachable,
)
from decco.objects import CONFIGMAPS, ROLE_BINDINGS, SECRETS, Key, Obj, Resource
from decco.reconcilers import secret_access
from decco.reconcilers.outcomes import REQUEUE_SECONDS
from decco.reconcilers.secret_access import SecretAccess
from tests.unit.reconcilers.world import facts_of, make_caches, space

ACCOUNT = "system:serviceaccount:decco:decco-controller"
SECRET = Key("acme", "x")


def refusal(message: str = "secrets is forbidden: User cannot list resource") -> Forbidden:
    return Forbidden(403, "Forbidden", message)


class Server:
    """Allows requests about Secrets ``lag`` requests after the binding; ``wide``: always."""

    def __init__(self, *, wide: bool = False, lag: int = 0, user: str = ACCOUNT, may_bind: bool = True) -> None:
        self.wide, self.lag, self.user, self.may_bind = wide, lag, user, may_bind
        self.bindings: dict[str, Obj] = {}
        self.copies: list[Obj] = [{"metadata": {"name": "acme-tls"}}]
        self.asked: list[str] = []

    def _allows(self) -> bool:
        if self.wide or (self.bindings and self.lag == 0):
            return True
        self.lag -= bool(self.bindings)
        return False

    async def create_review(self, resource: Resource, question: Obj) -> Obj:
        self.asked.append(resource.kind)
        if resource.kind == "SelfSubjectReview":
            return {"status": {"userInfo": {"username": self.user}}}
        everywhere = question["spec"]["resourceAttributes"]["namespace"] == ""
        return {"status": {"allowed": self.wide if everywhere else self._allows()}}

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        assert resource is ROLE_BINDINGS
        self.asked.append("bind")
        if not self.may_bind:
            raise refusal("rolebindings is forbidden")
        if obj["metadata"]["namespace"] in self.bindings:
            raise AlreadyExists(409, "AlreadyExists", "it exists")
        self.bindings[obj["metadata"]["namespace"]] = obj
        return obj

    async def list_pages(self, resource: Resource, **_selection: str) -> AsyncIterator[ListPage]:
        self.asked.append(f"list {resource.plural}")
        yield ListPage(self.copies, "1", remaining=False)

    async def get(self, resource: Resource, key: Key) -> Obj:
        self.asked.append(f"get {resource.plural}")
        if not self._allows():
            raise refusal()
        return {"metadata": {"name": key.name}}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_access, "PAUSES", (0.0,) * 4)


def access(server: Any) -> tuple[SecretAccess, Any]:
    caches = make_caches()
    caches.spaces.put(space("acme"), own=False)
    return SecretAccess(server, caches, lambda: 0.0), facts_of(caches, "acme")


async def test_a_forbidden_request_makes_the_binding_and_is_sent_again() -> None:
    server = Server(lag=2)
    client, _ = access(server)
    await client.get(SECRETS, SECRET)
    assert server.asked == ["get secrets", "SelfSubjectReview", "bind", *["get secrets"] * 3]
    binding = server.bindings["acme"]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": SECRETS_ROLE,
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "decco-controller", "namespace": "decco"}]
    assert binding["metadata"]["ownerReferences"][0]["kind"] == "Space"


async def test_it_waits_before_each_further_request(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(secret_access, "PAUSES", (1.0, 2.0, 3.0))
    monkeypatch.setattr(secret_access.asyncio, "sleep", sleep)
    client, _ = access(Server(lag=1))
    await client.get(SECRETS, SECRET)
    assert slept == [1.0, 2.0]


async def test_another_user_is_named_as_such() -> None:
    server = Server(user="jane")
    client, _ = access(server)
    await client.get(SECRETS, SECRET)
    (subject,) = server.bindings["acme"]["subjects"]
    assert (subject["kind"], subject["name"]) == ("User", "jane")


async def test_who_may_read_all_secrets_gets_no_binding() -> None:
    server = Server(wide=True)
    client, acme = access(server)
    await client.bind(acme)
    await client.bind(acme)
    await client.get(SECRETS, SECRET)
    assert server.asked == ["SelfSubjectAccessReview", "get secrets"]


_REVIEW, _LIST = "SelfSubjectAccessReview", "list secrets"


@pytest.mark.parametrize(
    ("wide", "asked"), [(False, [_REVIEW, _REVIEW, _REVIEW]), (True, [_REVIEW, _LIST, _LIST])], ids=["no", "wide"]
)
async def test_copies_of_a_space_that_names_no_secrets_cost_no_refused_request(wide: bool, asked: list[str]) -> None:
    server = Server(wide=wide)
    client, _ = access(server)
    listed = [await client.copies("acme", bind=False) for _ in range(2)]
    assert listed == [server.copies if wide else []] * 2
    assert server.asked == asked
    assert server.bindings == {}


async def test_in_a_new_namespace_no_request_is_refused() -> None:
    server = Server(lag=2)
    client, acme = access(server)
    await client.bind(acme)
    await client.get(SECRETS, SECRET)
    assert server.asked[-1] == "get secrets"
    assert server.asked.count("get secrets") == 1


@pytest.mark.parametrize(
    ("server", "refused"),
    [(Server(may_bind=False), "rolebindings"), (Server(lag=1000), "secrets")],
    ids=["may not bind", "never effective"],
)
async def test_a_lasting_refusal_is_raised_and_does_not_repeat_the_attempts(server: Server, refused: str) -> None:
    """Where the binding is refused, this is the refusal that counts."""
    client, _ = access(server)
    with pytest.raises(Forbidden, match=f"{refused} is forbidden"):
        await client.get(SECRETS, SECRET)
    attempts = len(server.asked)
    with pytest.raises(Forbidden, match=f"{refused} is forbidden"):
        await client.get(SECRETS, SECRET)
    assert len(server.asked) == attempts + 1


@pytest.mark.parametrize(
    ("resource", "key", "message"),
    [
        (CONFIGMAPS, SECRET, "configmaps is forbidden"),
        (SECRETS, Key("elsewhere", "x"), "secrets is forbidden"),
        (SECRETS, SECRET, "exceeded quota: q, requested: secrets=1"),
        (SECRETS, SECRET, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
    ],
)
async def test_other_refusals_make_no_binding(resource: Resource, key: Key, message: str) -> None:
    class Refuses(Server):
        async def get(self, resource: Resource, key: Key) -> Obj:
            raise refusal(message)

    server = Refuses()
    client, _ = access(server)
    with pytest.raises(Forbidden):
        await client.get(resource, key)
    assert server.asked == []


async def test_a_cluster_that_does_not_say_who_decco_is_gets_no_binding() -> None:
    class Silent(Server):
        async def create_review(self, resource: Resource, question: Obj) -> Obj:
            self.asked.append(resource.kind)
            raise refusal("no")

    server = Silent()
    client, acme = access(server)
    await client.bind(acme)
    with pytest.raises(Forbidden):
        await client.get(SECRETS, SECRET)
    assert server.bindings == {}


class Starts(Server):
    """An API server that has just started: the first ``refused`` requests are forbidden, whatever they are."""

    def __init__(self, refused: int, **options: Any) -> None:
        super().__init__(**options)
        self.refused = refused

    def _refuse(self) -> None:
        self.refused -= 1
        if self.refused >= 0:
            raise refusal("not yet")

    async def create_review(self, resource: Resource, question: Obj) -> Obj:
        self._refuse()
        return await super().create_review(resource, question)

    async def get(self, resource: Resource, key: Key) -> Obj:
        self._refuse()
        return await super().get(resource, key)

    async def list_pages(self, resource: Resource, **selection: str) -> AsyncIterator[ListPage]:
        self._refuse()
        async for page in super().list_pages(resource, **selection):
            yield page


async def test_who_decco_is_is_asked_again_after_a_refusal() -> None:
    """Seed 300117 of the simulation: after one 403 no binding was made any more, until the next start."""
    caches = make_caches()
    caches.spaces.put(space("acme"), own=False)
    now = [0.0]
    server = Starts(7)
    client = SecretAccess(server, caches, lambda: now[0])  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Forbidden):
            await client.get(SECRETS, SECRET)
    now[0] = REQUEUE_SECONDS
    await client.get(SECRETS, SECRET)
    assert list(server.bindings) == ["acme"]


async def test_a_passing_refusal_is_no_answer_about_permissions() -> None:
    server = Starts(1, wide=True)
    client, acme = access(server)
    await client.bind(acme)
    server.bindings.clear()
    await client.bind(acme)
    assert server.bindings == {}, "it may read all Secrets"


async def test_a_passing_refusal_does_not_mean_that_there_are_no_copies() -> None:
    server = Starts(4, wide=True)
    client, _ = access(server)
    with pytest.raises(Forbidden):
        await client.copies("acme", bind=False)
    assert await client.copies("acme", bind=False) == server.copies


@pytest.mark.parametrize("write", ["create", "replace", "delete"])
@pytest.mark.parametrize(
    ("error", "unconfirmed"),
    [
        (Unreachable("cut"), {"acme"}),
        (Unreachable("cut", sent=True), {"acme"}),
        (ServerError(504, "Timeout", "too late"), {"acme"}),
        (Garbled("<html>"), {"acme"}),
        (Unreachable("refused", sent=False), set()),
        (Conflict(409, "Conflict", "changed"), set()),
        (Fenced("not sent"), set()),
    ],
    ids=str,
)
async def test_a_write_without_an_answer_is_unconfirmed(write: str, error: KubeError, unconfirmed: set[str]) -> None:
    class Fails(Server):
        async def fail(self, *_: Any, **__: Any) -> Any:
            raise error

        create = replace = delete = fail

    client, _ = access(Fails())
    obj = {"metadata": {"name": "x", "namespace": "acme"}}
    arguments = (SECRET,) if write == "delete" else (obj,)
    options = {"uid": "u"} if write == "delete" else {}
    for resource, found in ((CONFIGMAPS, set()), (SECRETS, unconfirmed)):
        with pytest.raises(type(error)):
            await getattr(client, write)(resource, *arguments, **options)
        assert client.unconfirmed == found
