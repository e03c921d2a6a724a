"""Whose word counts for a former authority: what decco itself wrote into a copy, and nothing that others put there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from decco.desired.ca_change import SPREAD
from decco.desired.model import SecretCopy, SecretState
from decco.desired.space import copy_child
from decco.kube.diff import to_wire
from decco.objects import ANNOTATION_CA_CHANGED, SECRETS, Key, Obj
from decco.reconcilers.secrets import Copying
from tests.unit.desired.test_ca_change import Data, encoded, self_signed
from tests.unit.reconcilers.test_secrets import NOW, Harness, user
from tests.unit.reconcilers.world import VERSIONS, owned, shared, space, stored

OLD, NEW, EVIL = self_signed(), self_signed(), self_signed()
TLS = "kubernetes.io/tls"


def source(content: Data, name: str = "x") -> Obj:
    return stored(SECRETS, name, "decco", meta=shared("*"), type=TLS, data=encoded(content))


def written(
    harness: Harness, content: Mapping[str, str | bytes], record: str = "", manager: str = "decco", name: str = "x"
) -> Obj:
    """The copy as decco writes it and a server returns it."""
    data = {name: value if isinstance(value, str) else encoded({name: value})[name] for name, value in content.items()}
    wanted = copy_child(harness.space, "decco", SecretCopy(name, TLS, data, record))
    obj = to_wire(wanted.obj)
    managed = [{"manager": "decco", "operation": "Update", "fieldsV1": {"f:data": {".": {}}, "f:type": {}}}]
    if manager != "decco":
        managed.append({"manager": manager, "operation": "Update", "fieldsV1": {"f:data": {"f:ca.crt": {}}}})
    obj["metadata"] |= {"uid": f"uid-copy-{name}", "resourceVersion": str(next(VERSIONS)), "managedFields": managed}
    return obj


def with_data(obj: Obj, content: Data, **meta: Any) -> Obj:
    return {**obj, "data": encoded(content), "metadata": {**obj["metadata"], **meta}}


def restarted(harness: Harness) -> Harness:
    """The process has no memory of its earlier writes."""
    harness.caches.children[SECRETS].settled.clear()
    return harness


def settle(harness: Harness) -> None:
    """The copy is the server's result of decco's last write."""
    store = harness.caches.children[SECRETS]
    entry = store.get(Key("acme", "x"))
    assert entry is not None
    store.settled[entry.uid] = entry.content, entry.meta


def trusted(copying: Copying) -> list[Data]:
    text = base64.b64decode(copying.write["x"].data["ca.crt"])
    return [content for content in (OLD, NEW, EVIL) if content["ca.crt"] in text]


@pytest.fixture
def harness() -> Harness:
    harness = Harness(user("x"))
    harness.put(written(harness, OLD))
    settle(harness)
    return harness


async def test_a_change_is_seen_while_decco_runs(harness: Harness) -> None:
    harness.put(source(NEW))
    copying = await harness.secrets.copying(harness.space, NOW)
    assert trusted(copying) == [OLD, NEW]
    assert copying.in_force == {"x": NOW + SPREAD}
    assert copying.requeue_after == [SPREAD.total_seconds()]


async def test_a_change_that_happened_while_decco_was_down_is_seen_after_the_start(harness: Harness) -> None:
    harness.put(source(NEW))
    assert trusted(await restarted(harness).secrets.copying(harness.space, NOW)) == [OLD, NEW]


async def test_a_restart_in_the_middle_of_a_change_goes_on_with_it(harness: Harness) -> None:
    harness.put(source(NEW))
    before = await harness.secrets.copying(harness.space, NOW)
    made = before.write["x"]
    harness.put(written(harness, made.data, made.ca_changed))
    later = await restarted(harness).secrets.copying(harness.space, NOW + SPREAD / 2)
    assert (later.write, later.in_force) == (before.write, before.in_force)


async def test_what_a_tenant_writes_into_the_copy_is_not_trusted(harness: Harness) -> None:
    """At the very moment of a renewal, with a digest that fits."""
    harness.put(written(harness, EVIL), source(NEW))
    assert trusted(await harness.secrets.copying(harness.space, NOW)) == [NEW]


async def test_what_a_tenant_wrote_while_decco_was_down_is_not_trusted(harness: Harness) -> None:
    edited = with_data(written(harness, OLD), EVIL)
    harness.put(edited, source(NEW))
    assert trusted(await restarted(harness).secrets.copying(harness.space, NOW)) == [NEW]


async def test_a_copy_that_another_manager_wrote_to_is_not_trusted(harness: Harness) -> None:
    harness.put(written(harness, EVIL, manager="kubectl-edit"), source(NEW))
    assert trusted(await restarted(harness).secrets.copying(harness.space, NOW)) == [NEW]


async def test_a_copy_that_changed_after_its_source_is_not_trusted(harness: Harness) -> None:
    """decco was down; without a record it has not seen the new source, so it did not write this."""
    harness.put(source(NEW))
    harness.put(written(harness, EVIL))
    assert trusted(await restarted(harness).secrets.copying(harness.space, NOW)) == [NEW]


async def test_a_record_that_others_wrote_is_not_trusted(harness: Harness) -> None:
    forged = written(harness, OLD)
    forged["metadata"]["annotations"][ANNOTATION_CA_CHANGED] = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    harness.put(source(OLD), forged)
    copying = await harness.secrets.copying(harness.space, NOW)
    assert copying.write["x"].ca_changed == ""


async def test_labels_and_annotations_of_others_do_not_matter(harness: Harness) -> None:
    marked = written(harness, OLD)
    marked["metadata"]["annotations"]["example.com/backup"] = "yes"
    marked["metadata"]["labels"]["team"] = "blue"
    harness.put(source(NEW))
    harness.put(marked)
    assert trusted(await harness.secrets.copying(harness.space, NOW)) == [OLD, NEW]


async def test_a_copy_of_an_earlier_space_of_the_name_is_none(harness: Harness) -> None:
    harness = Harness(user("x"))
    harness.put(owned(SECRETS, "x", space("acme", uid="earlier"), type=TLS, data=encoded(OLD)), source(NEW))
    assert trusted(await harness.secrets.copying(harness.space, NOW)) == [NEW]


async def test_a_secret_that_only_the_edge_shows_is_copied_at_once() -> None:
    harness = Harness()
    harness.put(written(harness, OLD, name="http"), source(NEW, "http"))
    copying = await harness.secrets.copying(harness.space, NOW)
    assert (dict(copying.write["http"].data), copying.requeue_after) == (encoded(NEW), [])


async def test_a_source_that_became_unusable_does_not_change_whom_the_edge_trusts(harness: Harness) -> None:
    broken = {**NEW, "tls.key": OLD["tls.key"]}
    harness.put(source(broken))
    view = (await harness.secrets.views(harness.space, ["x"]))["x"]
    assert view.source is not None
    assert view.source.problem is not None
    assert view.facts is not None
    assert view.facts.ca_pem == OLD["ca.crt"].decode()


async def test_the_edge_keeps_its_authority_while_a_copy_is_written_again() -> None:
    """Somebody deleted the copy: its authority is cached, and what the edge reads must not go with it."""
    harness = Harness()
    harness.put(source(OLD, "http"))
    view = (await harness.secrets.views(harness.space, ["http"]))["http"]
    assert view.state is SecretState.PENDING
    assert view.facts is not None
    assert view.facts.ca_pem == OLD["ca.crt"].decode()
