"""What the import says of objects that it does not convert, and where an App without a namespace goes."""

from __future__ import annotations

import pytest

from decco.importing.fields import Level
from decco.objects import Obj
from tests.unit.importing.test_convert import POD, SPACE, app_of, obj, remarks_of, result_of


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        (obj("Manifest", "m", "", {}, "v1beta3"), Level.ERROR, "no counterpart"),
        (obj("Space", "s", "", SPACE, "v1"), Level.ERROR, "is not a version of"),
        (obj("Space", "s", "", {**SPACE, "podSecurity": "baseline"}), Level.ERROR, "spec.podSecurity"),
        (
            obj("App", "a", "", {"pod": POD, "endpoints": [{"name": "e", "port": 1, "hostname": "x.y"}]}),
            Level.ERROR,
            "spec.endpoints[0].hostname",
        ),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, Level.NOTE, "apply it as it is"),
        (
            {
                "apiVersion": "extensions/v1beta1",
                "kind": "Ingress",
                "metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "k8sniff"}},
            },
            Level.LOST,
            "k8sniff",
        ),
        (
            {
                "apiVersion": "networking.k8s.io/v1beta1",
                "kind": "Ingress",
                "metadata": {"name": "i", "labels": {"decco-derived-from": "app"}},
            },
            Level.NOTE,
            "its own routes from the App",
        ),
        (
            {
                "apiVersion": "apiextensions.k8s.io/v1beta1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "spaces.decco.platform9.com"},
            },
            Level.NOTE,
            "CRD",
        ),
    ],
)
def test_other_objects(given: Obj, level: Level, words: str) -> None:
    [other] = result_of(given).others
    assert other.obj is None
    [remark] = other.remarks
    assert remark.level is level
    assert words in remark.message


def test_what_was_imported_is_not_imported_again() -> None:
    first = app_of({"endpoints": [{"name": "e", "port": 1, "disableTcpClientTlsVerification": True}]})
    assert first.obj is not None
    [again] = result_of(first.obj).others
    assert "comes from an import" in str(again.remarks[0])


def test_a_namespace_for_apps_without_one() -> None:
    app = {**obj("App", "web", "", {"pod": POD})}
    del app["metadata"]["namespace"]
    [without] = result_of(app).apps
    assert without.obj is not None
    assert "namespace" not in without.obj["metadata"]
    assert "metadata.namespace" in remarks_of(without, Level.NOTE)
    [given] = result_of(app, namespace="acme").apps
    assert given.obj is not None
    assert given.obj["metadata"]["namespace"] == "acme"
