"""Shared Secrets that change under running Spaces: a new authority, a deletion, a revocation."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator

import pytest

from tests.images.pki import Authority, Leaf
from tests.integration.harness import Cluster, Decco, Obj, eventually, own_control_plane, tls_secret
from tests.integration.loop import assert_no_defects
from tests.integration.quick_change import FORMER_TRUSTED_SECONDS, SPREAD_SECONDS
from tests.sample import full

PREFIX = "decco.platform9.com"
GRACE_SECONDS = 30.0
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_control_plane() as cp:
        yield Cluster(cp)


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """Tests may stop it, and start it again with ``start``."""
    decco = start(Decco(cluster.cp, tmp_path_factory.mktemp("decco")))
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)


def start(decco: Decco) -> Decco:
    return decco.start(module="tests.integration.quick_change")


@pytest.fixture
def name(decco: Decco) -> str:
    return f"change{next(NUMBERS)}"


def leaf_of(authority: str) -> Leaf:
    return Authority(authority).leaf("change.example.net", "*.example.net")


OLD, NEW, THIRD, EVIL = (leaf_of(name) for name in ("old", "new", "third", "evil"))
NAMES = {leaf.ca: name for leaf, name in ((OLD, "old"), (NEW, "new"), (THIRD, "third"), (EVIL, "evil"))}


def path(namespace: str, name: str, kind: str = "secrets") -> str:
    return f"/api/v1/namespaces/{namespace}/{kind}/{name}"


def gateway(cluster: Cluster, name: str) -> Obj | None:
    return cluster.get(f"/apis/gateway.networking.k8s.io/v1/namespaces/{name}/gateways/decco")


def content(leaf: Leaf) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in leaf.secret.items()}


def shared(name: str, leaf: Leaf, share_with: str = "*") -> Obj:
    return {**tls_secret(name, share=share_with), "data": content(leaf)}


def renew(cluster: Cluster, name: str, leaf: Leaf) -> None:
    cluster.patch(path("decco", name), {"data": content(leaf)})


def trusted(text: bytes) -> str:
    return " ".join(name for ca, name in NAMES.items() if ca in text)


def shown(cluster: Cluster, namespace: str, name: str) -> tuple[str, str]:
    """Whose certificate the copy has, and whom it trusts."""
    copy = cluster.get(path(namespace, name))
    assert copy is not None, "the copy is gone"
    data = {key: base64.b64decode(value) for key, value in copy["data"].items()}
    [whose] = [NAMES[leaf.ca] for leaf in (OLD, NEW, THIRD, EVIL) if leaf.cert == data["tls.crt"]]
    [pair] = [leaf for leaf in (OLD, NEW, THIRD, EVIL) if leaf.cert == data["tls.crt"]]
    assert data["tls.key"] == pair.key
    return whose, trusted(data["ca.crt"])


def edge_trusts(cluster: Cluster, name: str) -> str:
    found = cluster.get(path(name, "decco", "configmaps"))
    assert found is not None, "the edge has lost its authority"
    return trusted(found["data"]["ca.crt"].encode())


def make(cluster: Cluster, name: str, *spaces: str) -> None:
    """A shared Secret, and Spaces that encrypt between edge and pods and among each other with it."""
    cluster.create(shared(name, OLD))
    for each in spaces or (name,):
        cluster.make_space(each, httpCertSecretName=name, tcpCertAndCaSecretName=name, encryptHttp=True)
        eventually(lambda each=each: condition(cluster, each)[0] == "True", 30)  # type: ignore[misc]
        eventually(lambda each=each: edge_trusts(cluster, each) == "old", 30)  # type: ignore[misc]


def condition(cluster: Cluster, name: str) -> tuple[str, str, str]:
    """Status, reason and message of CertificatesReady."""
    found = cluster.space_condition(name, "CertificatesReady") or {}
    return str(found.get("status")), str(found.get("reason")), str(found.get("message"))


# -- a new authority --------------------------------------------------------------------------------------------------


@full
def test_both_authorities_are_trusted_while_the_certificate_changes_in_every_space(cluster: Cluster, name: str) -> None:
    spaces = [f"{name}-a", f"{name}-b"]
    make(cluster, name, *spaces)
    renew(cluster, name, NEW)
    seen: dict[str, list[tuple[str, str]]] = {each: [] for each in spaces}
    messages = set()
    deadline = time.monotonic() + FORMER_TRUSTED_SECONDS * 6
    while any(not states or states[-1] != ("new", "new") for states in seen.values()):
        assert time.monotonic() < deadline, seen
        for each, states in seen.items():
            edge = edge_trusts(cluster, each)
            state = shown(cluster, each, name)
            if not states or states[-1] != state:
                states.append(state)
            if state[0] == "new" and len(states) < 4:
                assert "new" in edge, "the edge would refuse the new certificate"
            assert condition(cluster, each)[0] == "True"
            messages.add(condition(cluster, each)[2].partition(" at ")[0])
        time.sleep(0.1)
    for states in seen.values():
        assert [state for state in states if state != ("old", "old")] == [
            ("old", "old new"),
            ("new", "old new"),
            ("new", "new"),
        ]
    assert any(f"the new certificate of Secret {name} is in force" in text for text in messages)
    for each in spaces:
        eventually(lambda each=each: edge_trusts(cluster, each) == "new", 30)  # type: ignore[misc]


@full
def test_a_change_goes_on_after_a_restart(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name)
    decco.kill()
    renew(cluster, name, NEW)
    start(decco)
    eventually(lambda: shown(cluster, name, name) == ("old", "old new"), 30)
    decco.kill()
    start(decco)
    eventually(lambda: shown(cluster, name, name) == ("new", "old new"), 60)
    renew(cluster, name, THIRD)
    eventually(lambda: shown(cluster, name, name) == ("new", "old new third"), 30)
    eventually(lambda: shown(cluster, name, name)[0] == "third", 60)
    assert "new" in shown(cluster, name, name)[1]
    eventually(lambda: shown(cluster, name, name) == ("third", "third"), FORMER_TRUSTED_SECONDS * 4)


@pytest.mark.parametrize("running", [True, False], ids=["while decco runs", "while decco is down"])
def test_an_authority_that_a_tenant_put_into_the_copy_is_never_trusted(
    cluster: Cluster, decco: Decco, name: str, running: bool
) -> None:
    make(cluster, name)
    if not running:
        decco.kill()
    bundle = OLD.ca + EVIL.ca
    cluster.patch(path(name, name), {"data": {"ca.crt": base64.b64encode(bundle).decode()}})
    renew(cluster, name, NEW)
    if not running:
        start(decco)
    eventually(lambda: "new" in shown(cluster, name, name)[1], 30)
    decco.settle()
    assert "evil" not in shown(cluster, name, name)[1]
    assert "evil" not in edge_trusts(cluster, name)


def test_a_stolen_key_is_replaced_at_once(cluster: Cluster, name: str) -> None:
    make(cluster, name)
    renew(cluster, name, NEW)
    eventually(lambda: shown(cluster, name, name) == ("old", "old new"), 30)
    started = time.monotonic()
    cluster.patch(path("decco", name), {"metadata": {"annotations": {f"{PREFIX}/replace-at-once": "true"}}})
    eventually(lambda: shown(cluster, name, name) == ("new", "new"), 30)
    eventually(lambda: edge_trusts(cluster, name) == "new", 30)
    assert time.monotonic() - started < SPREAD_SECONDS


# -- a deleted source -------------------------------------------------------------------------------------------------


def standing(cluster: Cluster, name: str) -> tuple[str, str, object]:
    """What must not change while a Secret is replaced: the copy's identity, and what the edge reads."""
    copy, listeners, authority = (
        cluster.get(path(name, name)),
        gateway(cluster, name),
        cluster.get(path(name, "decco", "configmaps")),
    )
    assert copy is not None
    assert listeners is not None
    assert authority is not None
    return copy["metadata"]["uid"], authority["metadata"]["uid"], listeners["spec"]


def test_a_secret_that_is_deleted_and_created_again_moves_nothing(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name)
    before = standing(cluster, name)
    for _ in range(3):
        cluster.delete(path("decco", name))
        eventually(lambda: condition(cluster, name)[1] == "SecretDeleted", 20)
        assert standing(cluster, name) == before
        cluster.create(shared(name, OLD))
        eventually(lambda: condition(cluster, name)[0] == "True", 20)
        assert standing(cluster, name) == before
    deleted = [event.uri for event in cluster.cp.audit("decco") if event.verb == "delete" and f"/{name}/" in event.uri]
    assert deleted == []


def test_a_secret_that_comes_back_with_a_new_authority_is_changed_in_steps(cluster: Cluster, name: str) -> None:
    make(cluster, name)
    cluster.delete(path("decco", name))
    cluster.create(shared(name, NEW))
    eventually(lambda: shown(cluster, name, name) == ("old", "old new"), 20)
    eventually(lambda: shown(cluster, name, name) == ("new", "old new"), 60)


@pytest.mark.parametrize(
    "running",
    [pytest.param(True, id="while decco runs", marks=full), pytest.param(False, id="while decco is down")],
)
def test_the_copy_of_a_deleted_secret_goes_after_its_grace(
    cluster: Cluster, decco: Decco, name: str, running: bool
) -> None:
    make(cluster, name)
    if not running:
        decco.kill()
    started = time.monotonic()
    cluster.delete(path("decco", name))
    if not running:
        start(decco)
    eventually(lambda: condition(cluster, name)[1] == "SecretDeleted", 20)
    eventually(lambda: cluster.get(path(name, name)) is None, 3 * GRACE_SECONDS)
    assert time.monotonic() - started >= GRACE_SECONDS
    eventually(lambda: condition(cluster, name)[1] == "SecretMissing", 20)
    eventually(lambda: all(each["name"] != "https" for each in (gateway(cluster, name) or {})["spec"]["listeners"]), 20)


REVOCATIONS = {
    "no label": {"labels": {f"{PREFIX}/share": None}},
    "another value": {"labels": {f"{PREFIX}/share": "false"}},
    "no annotation": {"annotations": {f"{PREFIX}/share-with": None}},
    "others only": {"annotations": {f"{PREFIX}/share-with": "somebody"}},
}


@pytest.mark.parametrize("running", [True, False], ids=["while decco runs", "while decco is down"])
@pytest.mark.parametrize("how", REVOCATIONS)
def test_a_revoked_secret_loses_its_copy_at_once(
    cluster: Cluster, decco: Decco, name: str, how: str, running: bool
) -> None:
    make(cluster, name)
    if not running:
        decco.kill()
    cluster.patch(path("decco", name), {"metadata": REVOCATIONS[how]})
    if not running:
        start(decco)
    started = time.monotonic()
    eventually(lambda: cluster.get(path(name, name)) is None, 20)
    assert time.monotonic() - started < GRACE_SECONDS / 2
    eventually(lambda: condition(cluster, name)[1] == "SecretMissing", 20)


@pytest.mark.parametrize("how", REVOCATIONS)
def test_a_secret_that_a_finalizer_holds_is_revoked_at_once(cluster: Cluster, name: str, how: str) -> None:
    make(cluster, name)
    cluster.patch(path("decco", name), {"metadata": {"finalizers": ["example.org/hold"]}})
    cluster.delete(path("decco", name))
    eventually(lambda: condition(cluster, name)[1] == "SecretDeleted", 20)
    started = time.monotonic()
    cluster.patch(path("decco", name), {"metadata": REVOCATIONS[how]})
    eventually(lambda: cluster.get(path(name, name)) is None, 20)
    assert time.monotonic() - started < GRACE_SECONDS / 2
    cluster.patch(path("decco", name), {"metadata": {"finalizers": None}})


def test_a_deleted_secret_that_comes_back_without_consent_loses_its_copy(cluster: Cluster, name: str) -> None:
    make(cluster, name)
    cluster.delete(path("decco", name))
    eventually(lambda: condition(cluster, name)[1] == "SecretDeleted", 20)
    started = time.monotonic()
    cluster.create(shared(name, OLD, "somebody"))
    eventually(lambda: cluster.get(path(name, name)) is None, 20)
    assert time.monotonic() - started < GRACE_SECONDS / 2
