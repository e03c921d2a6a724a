"""The reconciler of Spaces as a whole: what is written in which order, and what happens to a Space that is going."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.issued import HTTP
from decco.expiries import Expiries
from decco.kube.errors import Forbidden
from decco.objects import ANNOTATION_PAUSED, FINALIZER_DNS, NAMESPACES, Key, Obj
from decco.reconcilers.issuing import Causes
from tests.unit.reconcilers.harness import Harness
from tests.unit.reconcilers.test_issuing import VIEW, Server
from tests.unit.reconcilers.world import app, owned, space

CLEAR = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
)
DELETED = {"deletionTimestamp": "2026-01-01T00:00:30Z", "finalizers": [FINALIZER_DNS]}


def namespace_of(owner: Obj, **parts: Any) -> Obj:
    return owned(NAMESPACES, owner["metadata"]["name"], owner, **parts)


async def test_a_new_space_gets_its_namespace_before_what_is_in_it() -> None:
    harness = Harness(space(project="red"))
    await harness.space()
    assert harness.written[0] == "create Namespace acme"
    assert "create NetworkPolicy decco" in harness.written
    assert harness.reported.condition("NamespaceReady")[0] == "True"
    harness.client.writes.clear()
    await harness.space()
    assert harness.written == []


async def test_nothing_of_a_space_that_is_gone_expires() -> None:
    harness = Harness()
    harness.expiries["acme"] = Expiries({"tls": 1.0})
    await harness.space()
    assert harness.expiries == {"acme": Expiries()}
    assert harness.written == []


async def test_a_space_in_deletion_withdraws_its_names_after_its_apps() -> None:
    further = [
        {"name": "www.example.org", "certSecretName": "tls"},
        {"name": "b.example.org", "createDnsRecord": False},
    ]
    going = space(meta=DELETED, httpHostnames=further)
    harness = Harness(going, namespace_of(going), app(), app("other", "elsewhere"))
    await harness.space()
    assert harness.names.released == {"acme.example.net", "www.example.org"}
    assert harness.names.waits_for == [Key("acme", "web")]
    assert harness.written == []


async def test_a_space_in_deletion_that_cannot_be_understood_is_released_too() -> None:
    harness = Harness(space(meta=DELETED, domainName=5))
    await harness.space()
    assert harness.names.released == set()


async def test_the_namespace_that_a_space_left_is_reported_and_stays() -> None:
    former = space(uid="former")
    left = namespace_of(former, meta={"ownerReferences": []})
    left["metadata"]["annotations"] = {"decco.platform9.com/fqdn": "acme.example.net"}
    harness = Harness(left)
    await harness.space()
    assert harness.reported.left == [Key("", "acme")]
    assert harness.written == []


async def test_a_space_that_cannot_be_understood_changes_nothing() -> None:
    wrong = space(domainName=5)
    harness = Harness(wrong, namespace_of(wrong))
    await harness.space()
    assert harness.reported.condition("Ready") == ("False", "Invalid")
    assert harness.written == []
    assert harness.names.published is None


@pytest.mark.parametrize("name", ["kube-system", "default"])
async def test_a_space_does_not_take_a_namespace_of_the_cluster(name: str) -> None:
    harness = Harness(space(name))
    await harness.space(name)
    assert harness.reported.condition("Ready")[0] == "False"
    assert harness.written == []


async def test_a_paused_space_stays_as_it_is() -> None:
    paused = space(meta={"annotations": {ANNOTATION_PAUSED: "true"}}, resourceQuota={"hard": {"pods": "5"}})
    harness = Harness(paused, namespace_of(paused))
    await harness.space()
    assert harness.reported.condition("Paused")[0] == "True"
    assert harness.written == []


async def test_a_paused_space_leaves_the_project_that_it_left() -> None:
    """Policies of other Spaces let namespaces of their project in."""
    paused = space(meta={"annotations": {ANNOTATION_PAUSED: "true"}}, project="red")
    harness = Harness(paused, namespace_of(paused))
    await harness.space()
    assert harness.written == ["change Namespace acme"]


async def test_without_permission_for_its_secrets_a_space_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause of a missing certificate, which was due meanwhile, is not requested again and again."""
    server = Server()
    causes = Causes(server, lambda: server.now)
    issuer = {"issuerRef": {"name": "ca", "kind": "Issuer"}}
    made = space(certificates=issuer)
    harness = Harness(made, namespace_of(made), causes=causes)
    found = harness.caches.space("acme")
    assert found is not None
    await causes.read(found[1], {HTTP: VIEW})
    server.now = 1e6

    async def refuse(*_: object, **__: object) -> None:
        raise Forbidden(403, "Forbidden", "decco may not list secrets")

    monkeypatch.setattr(harness.secrets, "with_former", refuse)
    monkeypatch.setattr(harness.secrets, "read", refuse)
    action = await harness.space()
    assert action.requeue_after is not None
    assert action.requeue_after > 1


SINCE = "2026-01-01T00:00:00Z/1"


def departed(*left: str) -> Obj:
    """The namespace of a Space that is gone, held in deletion by a finalizer of what is left in it."""
    message = "Some resources are remaining: " + ", ".join(f"{each} has 1 resource instances" for each in left)
    conditions = [{"type": kind, "status": "False"} for kind in CLEAR]
    conditions.append({"type": "NamespaceContentRemaining", "status": "True", "message": message})
    annotations = {
        "decco.platform9.com/fqdn": "acme.example.net",
        "decco.platform9.com/hostnames": f".acme.example.net@{SINCE},shop.example.net@{SINCE}",
        "decco.platform9.com/hash": "0",
    }
    gone = namespace_of(space(uid="former"), status={"phase": "Terminating", "conditions": conditions})
    gone["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:30Z", "annotations": annotations}
    return gone


@pytest.mark.parametrize("left", ["configmaps.", "ingresses.networking.k8s.io"])
async def test_a_held_namespace_keeps_the_names_of_a_space_that_is_gone_only_if_they_may_be_served(left: str) -> None:
    harness = Harness(departed(left), space("b", hostnames=["shop.example.net"]))
    assert harness.caches.claims.claims_of("b").lost == {"shop.example.net": "acme"}
    await harness.space()
    inert = left == "configmaps."
    assert harness.written == (["change Namespace acme"] if inert else [])
    assert harness.caches.claims.claims_of("b").lost == ({} if inert else {"shop.example.net": "acme"})
    harness.client.writes.clear()
    await harness.space()
    assert harness.written == []
    await harness.space("b")
    said = str(harness.reported.status["conditions"])
    assert ("whose namespace acme is being deleted" in said) is not inert


async def test_a_transfer_takes_a_name_from_a_space_that_is_gone() -> None:
    meta = {"annotations": {"decco.platform9.com/transfer": "shop.example.net=acme"}}
    taker = space("b", hostnames=["shop.example.net"], meta=meta)
    harness = Harness(departed("ingresses.networking.k8s.io"), taker)
    await harness.space()
    assert harness.written == ["change Namespace acme"]
    assert harness.caches.claims.claims_of("b").lost == {}
    kept = harness.caches.children[NAMESPACES].get(Key("", "acme"))
    assert kept is not None
    assert kept.facts.grants.keys() == {".acme.example.net"}
