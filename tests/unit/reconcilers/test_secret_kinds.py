"""Secrets that a Space lists in ``secrets``, and the pull Secrets of the sidecar: which are copied, and as what."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from decco.desired.model import SecretState
from decco.objects import SECRETS, Key, Obj
from decco.reconcilers.facts import AppFacts, app_facts
from tests.unit.reconcilers.test_secrets import Harness, local, user
from tests.unit.reconcilers.world import app, facts_of, make_caches, owned, plain_space, shared, space, stored, tls_data

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOKEN = {"token": "c2VjcmV0"}
KINDS = {
    "Opaque": TOKEN,
    "kubernetes.io/dockerconfigjson": {".dockerconfigjson": "e30="},
    "kubernetes.io/dockercfg": {".dockercfg": "e30="},
    "kubernetes.io/basic-auth": {"username": "YQ==", "password": "Yg=="},
    "kubernetes.io/ssh-auth": {"ssh-privatekey": "YQ=="},
    "kubernetes.io/tls": {"tls.crt": "", "tls.key": ""},
    "example.com/own": TOKEN,
}
NEVER = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1")


class Listing(Harness):
    """A Space that lists Secrets."""

    def __init__(self, *listed: str, apps: tuple[Obj, ...] = (), holds: tuple[Obj, ...] = (), **spec: Any) -> None:
        super().__init__(*apps, holds=holds)
        self.owner = space("acme", secrets=list(listed), **spec)
        self.put(self.owner)
        self.space = facts_of(self.caches, "acme")

    def copy(self, name: str, secret_type: str = "Opaque", **data: str) -> None:
        self.put(owned(SECRETS, name, self.owner, type=secret_type, data=data or TOKEN))

    async def written(self) -> dict[str, tuple[str, dict[str, str]]]:
        copying = await self.secrets.copying(self.space, NOW)
        return {name: (copy.type, dict(copy.data)) for name, copy in copying.write.items()}


def source(name: str, secret_type: str = "Opaque", share: str | None = "*", **data: str) -> Obj:
    return stored(SECRETS, name, "decco", meta=shared(share), type=secret_type, data=data or TOKEN)


@pytest.mark.parametrize("secret_type", KINDS)
async def test_any_content_is_copied_with_its_type(secret_type: str) -> None:
    harness = Listing("x")
    harness.put(source("x", secret_type, **KINDS[secret_type]))
    assert await harness.written() == {"x": (secret_type, KINDS[secret_type])}
    assert await harness.state("x") is SecretState.PENDING
    harness.copy("x", secret_type, **KINDS[secret_type])
    assert await harness.state("x") is SecretState.COPY


async def test_a_large_one_is_copied() -> None:
    """The API server takes 1 MiB; what is read as a certificate has a lower limit."""
    large = {"blob": base64.b64encode(b"x" * (1 << 20)).decode()}
    harness = Listing("x")
    harness.put(source("x", **large))
    assert await harness.written() == {"x": ("Opaque", large)}


@pytest.mark.parametrize("secret_type", NEVER)
async def test_some_types_are_never_copied(secret_type: str) -> None:
    harness = Listing("x", httpCertSecretName="y")
    harness.put(source("x", secret_type), source("y", secret_type, **tls_data()))
    assert await harness.written() == {}
    for name in ("x", "y"):
        view = (await harness.secrets.views(harness.space, [name]))[name]
        assert view.facts is not None
        assert view.facts.refusal is not None
        assert secret_type in view.facts.refusal.message


async def test_a_copy_stays_when_its_source_becomes_of_such_a_type() -> None:
    harness = Listing("x")
    harness.put(source("x", NEVER[0]))
    harness.copy("x")
    copying = await harness.secrets.copying(harness.space, NOW)
    assert (dict(copying.write), copying.keep) == ({}, {"x"})


@pytest.mark.parametrize("share", [None, "other.example.net"])
async def test_hidden_and_missing_are_the_same(share: str | None) -> None:
    views = []
    for given in ((), (source("x", share=share),), (source("x", NEVER[0], share=share),)):
        harness = Listing("x")
        harness.put(*given)
        views.append((await harness.secrets.views(harness.space, ["x"]))["x"])
        assert await harness.written() == {}
    assert views[0] == views[1] == views[2]
    assert views[0].state is SecretState.MISSING


async def test_only_the_space_can_have_a_secret_copied_that_is_no_certificate() -> None:
    harness = Harness(user("x"))
    harness.put(source("x"))
    copying = await harness.secrets.copying(harness.space, NOW)
    assert dict(copying.write) == {}


async def test_a_tenants_own_one_is_in_the_way_and_is_not_read() -> None:
    harness = Listing("x", apps=(user("x"),), holds=(local("x"),))
    harness.put(source("x"))
    assert set(await harness.written()) == {"x"}, "the write finds it, and changes nothing"
    harness.taken.add(Key("acme", "x"))
    assert await harness.state("x") is SecretState.TAKEN
    assert harness.server.asked == []


async def test_a_changed_source_is_copied_on_whatever_its_content_is() -> None:
    harness = Listing("x")
    harness.put(source("x", token="bmV3"))
    harness.copy("x")
    assert await harness.written() == {"x": ("Opaque", {"token": "bmV3"})}


@pytest.mark.parametrize(
    ("now_there", "comes", "copied"),
    [
        (TOKEN, {"token": "bmV3"}, True),
        (TOKEN, tls_data("b.example.net"), True),
        (tls_data(), tls_data("b.example.net"), True),
        (tls_data(), {"tls.crt": "bmV3"}, False),
    ],
)
async def test_an_app_that_takes_it_for_a_certificate_stops_only_what_would_break_one(
    now_there: dict[str, str], comes: dict[str, str], copied: bool
) -> None:
    client = app("client", "acme", tlsEgresses=[{"localPort": 1, "fqdn": "x.test", "certAndCaSecretName": "x"}])
    harness = Listing("x", apps=(client,))
    harness.put(source("x", **comes))
    harness.copy("x", **now_there)
    copying = await harness.secrets.copying(harness.space, NOW)
    assert (set(copying.write), copying.keep) == (({"x"}, set()) if copied else (set(), {"x"}))


async def test_one_that_is_also_the_spaces_certificate_must_be_one() -> None:
    harness = Listing("x", httpCertSecretName="x")
    harness.put(source("x"))
    assert await harness.written() == {}


# -- the sidecar's image ----------------------------------------------------------------------------------------------

HTTP = {"name": "web", "httpPath": "/"}
TCP = {"name": "db"}
OWN = {"name": "db", "certAndCaSecretName": "own"}
METRICS = {"name": "metrics", "isMetricsEndpoint": True}
EGRESS = {"tlsEgresses": [{"localPort": 1, "fqdn": "x.test"}]}


@pytest.mark.parametrize(
    ("given", "spec", "needs"),
    [
        (app(), {}, False),
        (app("a", "acme", HTTP), {}, False),
        (app("a", "acme", HTTP), {"encryptHttp": True}, False),
        (app("a", "acme", HTTP), {"encryptHttp": True, "httpCertSecretName": "h"}, True),
        (
            app("a", "acme", {**HTTP, "disableTlsTermination": True}),
            {"encryptHttp": True, "httpCertSecretName": "h"},
            False,
        ),
        (app("a", "acme", TCP), {}, False),
        (app("a", "acme", TCP), {"tcpCertAndCaSecretName": "t"}, True),
        (app("a", "acme", OWN), {}, True),
        (app("a", "acme", {**OWN, "disableTlsTermination": True}), {"tcpCertAndCaSecretName": "t"}, False),
        (app("a", "acme", METRICS), {"tcpCertAndCaSecretName": "t"}, False),
        (app(**EGRESS), {}, True),
    ],
)
def test_which_apps_have_a_sidecar(given: Obj, spec: dict[str, Any], needs: bool) -> None:
    facts: AppFacts = app_facts(given)
    assert facts.needs_sidecar(plain_space("acme", **spec).spec) is needs


@pytest.mark.parametrize(("apps", "wanted"), [((), set()), ((app(),), set()), ((app(**EGRESS),), {"regcred"})])
async def test_a_space_with_a_sidecar_gets_its_pull_secrets(apps: tuple[Obj, ...], wanted: set[str]) -> None:
    harness = Harness(*apps)
    harness.caches.settings = make_caches(sidecar={"imagePullSecrets": ["regcred"]}).settings
    harness.put(source("regcred", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": "e30="}))
    assert harness.secrets.pull_secrets(harness.space) == wanted
    assert set((await harness.secrets.copying(harness.space, NOW)).write) == wanted
    assert harness.secrets.named(harness.space) == {"http", *wanted}
