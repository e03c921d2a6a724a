"""A Space that is gone while finalizers hold its namespace: whether its names are free, and what is reported."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.departed import departed_text, is_inert, with_record
from decco.objects import Obj

CLEAR = {
    "NamespaceDeletionDiscoveryFailure": "False",
    "NamespaceDeletionGroupVersionParsingFailure": "False",
    "NamespaceDeletionContentFailure": "False",
}


def held(message: str = "", remaining: str = "True", **others: str) -> Obj:
    """A namespace in deletion, with the conditions of the namespace controller."""
    conditions: list[Obj] = [{"type": kind, "status": status} for kind, status in {**CLEAR, **others}.items()]
    finalizers = "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    conditions += [
        {"type": "NamespaceContentRemaining", "status": remaining, "message": message},
        {"type": "NamespaceFinalizersRemaining", "status": "True", "message": finalizers},
    ]
    meta: dict[str, Any] = {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "status": {"phase": "Terminating", "conditions": conditions}}


CONFIGMAP = "Some resources are remaining: configmaps. has 1 resource instances"


@pytest.mark.parametrize(
    ("namespace", "inert"),
    [
        (held(CONFIGMAP), True),
        (held(f"{CONFIGMAP}, deployments.apps has 12 resource instances"), True),
        (held("All content successfully removed", "False"), True),
        (held(f"{CONFIGMAP}, ingresses.networking.k8s.io has 1 resource instances"), False),
        (held("Some resources are remaining: services. has 1 resource instances"), False),
        (held("Some resources are remaining: pods. has 1 resource instances"), False),
        (held("Some resources are remaining: widgets.example.com has 1 resource instances"), False),
        (held(f"{CONFIGMAP} and more"), False),
        (held(""), False),
        (held(CONFIGMAP, NamespaceDeletionDiscoveryFailure="True"), False),
        (held(CONFIGMAP, NamespaceDeletionContentFailure="True"), False),
        (held(CONFIGMAP, "Unknown"), False),
        ({"metadata": {"name": "a"}}, False),
    ],
)
def test_what_is_left_serves_no_name(namespace: Obj, inert: bool) -> None:
    assert is_inert(namespace) is inert


def test_the_text_names_the_namespace_and_the_finalizer() -> None:
    assert "whose namespace a is being deleted, held by the finalizers example.com/hold" in departed_text("a", held())
    assert "has left its namespace a" in departed_text("a", {"metadata": {"name": "a"}})
    assert "wait until" in departed_text("a", {"metadata": {"name": "a", "deletionTimestamp": "t"}})


def test_an_empty_record_stays_so_that_policies_do_not_take_the_fqdn_as_granted() -> None:
    since = "2026-01-01T00:00:00Z/1"
    annotations = {
        "decco.platform9.com/fqdn": "a.x",
        "decco.platform9.com/hostnames": f".a.x@{since},b.y@{since}",
        "team": "a",
    }
    namespace: Obj = {"metadata": {"name": "a", "annotations": annotations}}
    assert with_record(namespace, annotations["decco.platform9.com/hostnames"]) is None
    assert with_record({"metadata": {"name": "a"}}, "") is None
    without = with_record(namespace, f".a.x@{since}") or {}
    assert without["metadata"]["annotations"] == {**annotations, "decco.platform9.com/hostnames": f".a.x@{since}"}
    emptied = with_record(namespace, "") or {}
    assert emptied["metadata"]["annotations"] == {"decco.platform9.com/hostnames": "", "team": "a"}
