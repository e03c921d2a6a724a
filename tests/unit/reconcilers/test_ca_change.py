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
from tests.unit.reconcilers.test_secrets import NOW, Stage, user
from tests.unit.reconcilers.world import VERSIONS, owned, shared, space, stored

OLD, NEW, EVIL = self_signed(), self_signed(), self_signed()
TLS = "kubernetes.io/tls"


def source(content: Data, name: str = "x") -> Obj:
    return stored(SECRETS, name, "decco", meta=shared("*"), type=TLS, data=encoded(content))


def written(
    stage: Stage, content: Mapping[str, str | bytes], record: str = "", manager: str = "decco", name: str = "x"
) -> Obj:
    """The copy as decco writes it and a server returns it."""
    data = {name: value if isinstance(value, str) else encoded({name: value})[name] for name, value in content.items()}
    wanted = copy_child(stage.space, "decco", SecretCopy(name, TLS, data, record))
    obj = to_wire(wanted.obj)
    managed = [{"manager": "decco", "operation": "Update", "fieldsV1": {"f:data": {".": {}}, "f:type": {}}}]
    if manager != "decco":
        managed.append({"manager": manager, "operation": "Update", "fieldsV1": {"f:data": {"f:ca.crt": {}}}})
    obj["metadata"] |= {"uid": f"uid-copy-{name}", "resourceVersion": str(next(VERSIONS)), "managedFields": managed}
    return obj


def with_data(obj: Obj, content: Data, **meta: Any) -> Obj:
    return {**obj, "data": encoded(content), "metadata": {**obj["metadata"], **meta}}


def restarted(stage: Stage) -> Stage:
    """The process knows nothing of what it wrote before."""
    stage.caches.children[SECRETS].settled.clear()
    return stage


def settle(stage: Stage) -> None:
    """The copy is what the server made of decco's last write."""
    store = stage.caches.children[SECRETS]
    entry = store.get(Key("acme", "x"))
    assert entry is not None
    store.settled[entry.uid] = entry.content, entry.meta


def trusted(copying: Copying) -> list[Data]:
    text = base64.b64decode(copying.write["x"].data["ca.crt"])
    return [content for content in (OLD, NEW, EVIL) if content["ca.crt"] in text]


@pytest.fixture
def stage() -> Stage:
    stage = Stage(user("x"))
    stage.put(written(stage, OLD))
    settle(stage)
    return stage


async def test_a_change_is_seen_while_decco_runs(stage: Stage) -> None:
    stage.put(source(NEW))
    copying = await stage.secrets.copying(stage.space, NOW)
    assert trusted(copying) == [OLD, NEW]
    assert copying.in_force == {"x": NOW + SPREAD}
    assert copying.requeue_afters == [SPREAD.total_seconds()]


async def test_a_change_that_happened_while_decco_was_down_is_seen_after_the_start(stage: Stage) -> None:
    stage.put(source(NEW))
    assert trusted(await restarted(stage).secrets.copying(stage.space, NOW)) == [OLD, NEW]


async def test_a_restart_in_the_middle_of_a_change_goes_on_with_it(stage: Stage) -> None:
    stage.put(source(NEW))
    before = await stage.secrets.copying(stage.space, NOW)
    made = before.write["x"]
    stage.put(written(stage, made.data, made.ca_changed))
    later = await restarted(stage).secrets.copying(stage.space, NOW + SPREAD / 2)
    assert (later.write, later.in_force) == (before.write, before.in_force)


async def test_what_a_tenant_writes_into_the_copy_is_not_trusted(stage: Stage) -> None:
    """At the very moment of a renewal, with a digest that fits."""
    stage.put(written(stage, EVIL), source(NEW))
    assert trusted(await stage.secrets.copying(stage.space, NOW)) == [NEW]


async def test_what_a_tenant_wrote_while_decco_was_down_is_not_trusted(stage: Stage) -> None:
    edited = with_data(written(stage, OLD), EVIL)
    stage.put(edited, source(NEW))
    assert trusted(await restarted(stage).secrets.copying(stage.space, NOW)) == [NEW]


async def test_a_copy_that_another_manager_wrote_to_is_not_trusted(stage: Stage) -> None:
    stage.put(written(stage, EVIL, manager="kubectl-edit"), source(NEW))
    assert trusted(await restarted(stage).secrets.copying(stage.space, NOW)) == [NEW]


async def test_a_copy_that_changed_after_its_source_is_not_trusted(stage: Stage) -> None:
    """decco was down; without a record it has not seen the new source, so it did not write this."""
    stage.put(source(NEW))
    stage.put(written(stage, EVIL))
    assert trusted(await restarted(stage).secrets.copying(stage.space, NOW)) == [NEW]


async def test_a_record_that_others_wrote_is_not_believed(stage: Stage) -> None:
    forged = written(stage, OLD)
    forged["metadata"]["annotations"][ANNOTATION_CA_CHANGED] = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    stage.put(source(OLD), forged)
    copying = await stage.secrets.copying(stage.space, NOW)
    assert copying.write["x"].ca_changed == ""


async def test_labels_and_annotations_of_others_do_not_matter(stage: Stage) -> None:
    marked = written(stage, OLD)
    marked["metadata"]["annotations"]["example.com/backup"] = "yes"
    marked["metadata"]["labels"]["team"] = "blue"
    stage.put(source(NEW))
    stage.put(marked)
    assert trusted(await stage.secrets.copying(stage.space, NOW)) == [OLD, NEW]


async def test_a_copy_of_an_earlier_space_of_the_name_is_none(stage: Stage) -> None:
    stage = Stage(user("x"))
    stage.put(owned(SECRETS, "x", space("acme", uid="earlier"), type=TLS, data=encoded(OLD)), source(NEW))
    assert trusted(await stage.secrets.copying(stage.space, NOW)) == [NEW]


async def test_a_secret_that_only_the_edge_shows_is_copied_at_once() -> None:
    stage = Stage()
    stage.put(written(stage, OLD, name="http"), source(NEW, "http"))
    copying = await stage.secrets.copying(stage.space, NOW)
    assert (dict(copying.write["http"].data), copying.requeue_afters) == (encoded(NEW), [])


async def test_a_source_that_became_unusable_does_not_change_whom_the_edge_trusts(stage: Stage) -> None:
    broken = {**NEW, "tls.key": OLD["tls.key"]}
    stage.put(source(broken))
    view = (await stage.secrets.views(stage.space, ["x"]))["x"]
    assert view.facts is not None
    assert view.facts.problem is not None
    assert view.facts.ca_pem == OLD["ca.crt"].decode()


async def test_the_edge_keeps_its_authority_while_a_copy_is_written_again() -> None:
    """Somebody deleted the copy: its authority is known, and what the edge reads must not go with it."""
    stage = Stage()
    stage.put(source(OLD, "http"))
    view = (await stage.secrets.views(stage.space, ["http"]))["http"]
    assert view.state is SecretState.PENDING
    assert view.facts is not None
    assert view.facts.ca_pem == OLD["ca.crt"].decode()
