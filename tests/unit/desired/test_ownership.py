"""Which owner an object without an owner reference proves to have."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.names import ANNOTATION_COPIED_FROM, child_meta, owner_reference
from decco.desired.ownership import (
    LabelledOwner,
    holders_of,
    is_marked_namespace,
    owner_of_child,
    owner_of_copy,
    owner_of_namespace,
)
from decco.desired.space import space_children
from decco.objects import (
    ANNOTATION_FQDN,
    ANNOTATION_HASH,
    APPS,
    LABEL_APP,
    LABEL_PROJECT,
    LABEL_SPACE,
    NAMESPACES,
    SPACES,
    Obj,
)
from tests.unit.desired.test_space import inputs

MANAGED = {"app.kubernetes.io/managed-by": "decco"}
CHILD = {**MANAGED, LABEL_SPACE: "acme", LABEL_APP: "web"}
FQDN = {ANNOTATION_FQDN: "acme.example.net"}


def obj(name: str = "web", namespace: str = "acme", **meta: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": namespace, **meta}}


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        (CHILD, LabelledOwner("acme", "web")),
        ({**MANAGED, LABEL_SPACE: "acme"}, LabelledOwner("acme")),
        ({**CHILD, LABEL_SPACE: "other"}, None),
        ({LABEL_SPACE: "acme", LABEL_APP: "web"}, None),
        ({**CHILD, "app.kubernetes.io/managed-by": "Helm"}, None),
        (None, None),
    ],
)
def test_a_child_proves_its_owner_by_labels_in_the_namespace_of_its_space(
    labels: dict[str, str] | None, owner: LabelledOwner | None
) -> None:
    assert owner_of_child(obj(labels=labels)) == owner


def test_what_was_made_for_another_object_is_no_child_although_it_has_the_labels() -> None:
    """Some gateway controllers copy a Gateway's labels to the Service and Deployment that they make for it."""
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "decco", "uid": "1"}
    assert owner_of_child(obj(labels=CHILD, ownerReferences=[gateway])) is None
    namespace = {"apiVersion": "v1", "kind": "Namespace", "name": "acme", "uid": "2"}
    assert owner_of_child(obj(labels=CHILD, ownerReferences=[namespace])) is not None, "the policy of a Space"


def test_the_labels_that_decco_writes_are_the_proof() -> None:
    meta = child_meta("web", uid="1", space="acme", app="web")
    del meta["ownerReferences"]
    assert owner_of_child({"metadata": meta}) == LabelledOwner("acme", "web")


@pytest.mark.parametrize(
    ("source", "own"), [("decco/tls", True), ("elsewhere/tls", True), ("decco/other", False), (None, False)]
)
def test_a_secret_also_has_to_say_that_it_is_a_copy_of_this_name(source: str | None, own: bool) -> None:
    annotations = {ANNOTATION_COPIED_FROM: source} if source else None
    copy = obj("tls", labels={**MANAGED, LABEL_SPACE: "acme"}, annotations=annotations)
    assert (owner_of_copy(copy) == LabelledOwner("acme")) is own


@pytest.mark.parametrize(
    ("labels", "annotations", "owner"),
    [
        ({**MANAGED, LABEL_SPACE: "acme"}, FQDN, LabelledOwner("acme", "", "acme.example.net", "")),
        (
            {**MANAGED, LABEL_SPACE: "acme", LABEL_PROJECT: "bank"},
            FQDN,
            LabelledOwner("acme", "", "acme.example.net", "bank"),
        ),
        ({**MANAGED, LABEL_SPACE: "acme"}, {}, None),
        ({**MANAGED, LABEL_SPACE: "other"}, FQDN, None),
        (MANAGED, FQDN, None),
        ({LABEL_SPACE: "acme"}, FQDN, None),
    ],
)
def test_a_namespace_proves_its_space_by_name_fqdn_and_project(
    labels: dict[str, str], annotations: dict[str, str], owner: LabelledOwner | None
) -> None:
    assert owner_of_namespace({"metadata": {"name": "acme", "labels": labels, "annotations": annotations}}) == owner


def test_a_namespace_of_another_project_or_domain_is_another_owners() -> None:
    def owner(**spec: Any) -> LabelledOwner | None:
        wanted = next(child for child in space_children(inputs(**spec)) if child.resource == NAMESPACES)
        return owner_of_namespace(wanted.obj)

    assert owner() == owner()
    assert owner() is not None
    assert len({owner(), owner(project="bank"), owner(domainName="other.example")}) == 3


@pytest.mark.parametrize(
    ("meta", "marked"),
    [
        ({"labels": {LABEL_SPACE: "acme"}}, True),
        ({"annotations": FQDN}, True),
        ({"annotations": {ANNOTATION_HASH: "1"}}, True),
        ({"labels": MANAGED, "annotations": {"note": "x"}}, False),
        ({}, False),
    ],
)
def test_a_namespace_is_marked_by_what_only_decco_may_write(meta: Obj, marked: bool) -> None:
    owners = [owner_reference(SPACES, "acme", "u1")]
    assert is_marked_namespace({"metadata": {"name": "acme", "ownerReferences": owners, **meta}}) is marked


@pytest.mark.parametrize("owner", [owner_reference(SPACES, "other", "u1"), owner_reference(APPS, "acme", "u1")])
def test_a_namespace_belongs_to_the_space_of_its_name_only(owner: Obj) -> None:
    meta = {"name": "acme", "labels": {LABEL_SPACE: "acme"}, "ownerReferences": [owner]}
    assert not is_marked_namespace({"metadata": meta})


@pytest.mark.parametrize(
    ("finalizers", "holders"),
    [
        (["x.example.net/keep"], ("x.example.net/keep",)),
        (["b.example/b", "a.example/a"], ("a.example/a", "b.example/b")),
        (["foregroundDeletion", "orphan"], ()),
        ([], ()),
        (["not a\nname"], ()),
        ([f"x.example/{number}" for number in range(9)], tuple(f"x.example/{number}" for number in range(5))),
    ],
)
def test_who_holds_an_object_in_deletion(finalizers: list[str], holders: tuple[str, ...]) -> None:
    assert holders_of(obj(finalizers=finalizers)) == holders


def test_who_holds_a_namespace_is_also_what_holds_an_object_in_it() -> None:
    message = (
        "Some content in the namespace has finalizers remaining: x.example.net/keep in 1 resource instances, "
        "y.example.net/keep in 12 resource instances"
    )
    conditions = [
        {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"},
        {"type": "NamespaceFinalizersRemaining", "status": "True", "message": message},
    ]
    namespace = {"metadata": {"name": "acme"}, "status": {"conditions": conditions}}
    assert holders_of(namespace) == ("x.example.net/keep", "y.example.net/keep")
