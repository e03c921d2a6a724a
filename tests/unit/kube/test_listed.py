"""Keys of maps that decco shares with other writers: what an annotation lists is repaired, and removed in the end."""

from __future__ import annotations

from typing import Any

import pytest

from decco.kube.diff import altered, as_created, hash_of, must_be_replaced, rebuild, same_meta, to_wire
from decco.kube.entry import Shape, listed_keys, managed_content
from decco.objects import SERVICES, Obj
from decco.reconcilers.caches import Role
from decco.reconcilers.kinds import KINDS

NOTES = ("spec", "template", "metadata", "annotations")
LIST = "decco.platform9.com/pod-annotations"
SHAPE = Shape(unmanaged=(NOTES,), listed=((NOTES, LIST),), withdrawn=(LIST,))


def obj(notes: dict[str, str] | None, listed: str = "", **meta: Any) -> Obj:
    template: Obj = {"spec": {}}
    if notes is not None:
        template["metadata"] = {"annotations": notes}
    annotations = {LIST: listed} if listed else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "acme", "annotations": annotations, **meta},
        "spec": {"template": template},
    }


def written(desired: Obj, notes: dict[str, str]) -> Obj:
    """``desired`` as decco wrote it, with annotations that others have set since."""
    live = to_wire(desired)
    live["metadata"] = {**live["metadata"], "uid": "u", "resourceVersion": "1"}
    return {**live, "spec": obj(notes)["spec"]}


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"a": "1", "b": "1"}, False),
        ({"a": "1", "b": "1", "theirs": "x"}, False),
        ({"a": "2", "b": "1"}, True),
        ({"a": "1"}, True),
    ],
)
def test_only_its_own_keys_are_repaired(notes: dict[str, str], expected: bool) -> None:
    desired = obj({"a": "1", "b": "1"}, "a,b")
    live = written(desired, notes)
    assert altered(live, desired, (), SHAPE) is expected
    assert (managed_content(live, SHAPE) != managed_content(desired, SHAPE)) is expected


@pytest.mark.parametrize(
    ("desired", "expected"),
    [
        (obj({"a": "2"}, "a"), {"theirs": "x", "a": "2"}),
        (obj(None), {"theirs": "x"}),
    ],
)
def test_what_is_no_longer_desired_goes(desired: Obj, expected: dict[str, str]) -> None:
    live = written(obj({"a": "1", "b": "1"}, "a,b"), {"a": "1", "b": "1", "theirs": "x"})
    body = rebuild(live, desired, SHAPE)
    assert body["spec"]["template"]["metadata"]["annotations"] == expected
    assert body["metadata"]["annotations"].get(LIST) == desired["metadata"]["annotations"].get(LIST)


def test_without_a_list_nothing_differs_from_before() -> None:
    """Objects of earlier versions are not written again."""
    desired, plain = obj(None), Shape(unmanaged=(NOTES,))
    live = written(desired, {"theirs": "x"})
    assert rebuild(live, desired, SHAPE) == rebuild(live, desired, plain)
    assert managed_content(live, SHAPE) == managed_content(live, plain)
    assert same_meta(live, rebuild(live, desired, SHAPE))
    assert hash_of(desired) == live["metadata"]["annotations"]["decco.platform9.com/hash"]


def test_a_list_that_somebody_fills_costs_little() -> None:
    assert len(listed_keys(obj(None, ",".join(map(str, range(100_000)))), LIST)) == 64


def test_the_try_of_a_creation_has_its_own_keys() -> None:
    desired = obj({"a": "1"}, "a")
    body = rebuild(written(desired, {"a": "1", "theirs": "x"}), desired, SHAPE)
    assert as_created(body, SHAPE)["spec"]["template"]["metadata"]["annotations"] == {"a": "1"}


def test_a_field_of_a_job_is_taken_back_if_it_was_its_own() -> None:
    ttl, width = ("spec", "ttl"), ("spec", "parallelism")
    shape = Shape(mutable=(ttl, width), admitted=(ttl, width), listed=((("spec",), LIST),), cleared=((width, 1),))
    live = written({**obj(None, "ttl,parallelism"), "spec": {"ttl": 5, "parallelism": 2}}, {})
    live["spec"] = {"ttl": 5, "parallelism": 2, "selector": {}}
    assert rebuild(live, {**obj(None), "spec": {}}, shape)["spec"] == {"parallelism": 1, "selector": {}}
    theirs = {**live, "metadata": {**live["metadata"], "annotations": {}}}
    assert rebuild(theirs, {**obj(None), "spec": {}}, shape)["spec"] == live["spec"]


@pytest.mark.parametrize(
    ("live", "desired", "expected"),
    [
        ("10.0.0.1", None, False),
        ("10.0.0.1", "None", True),
        ("None", "None", False),
        ("None", None, True),
        (None, None, False),
    ],
)
def test_a_service_is_headless_for_its_life(live: str | None, desired: str | None, expected: bool) -> None:
    shape = next(kind.shape for kind in KINDS if kind.resource == SERVICES and kind.role is Role.CHILD)
    found, wanted = ({"spec": {"clusterIP": each} if each else {}} for each in (live, desired))
    assert must_be_replaced(found, wanted, shape) is expected
