"""Spaces whose namespace would be that of the cluster's DNS, or the edge: refused, or without a namespace."""

from __future__ import annotations

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, eventually, space

NAMESPACES = "/api/v1/namespaces"


def old_rules(control_plane: ControlPlane) -> list[object]:
    """Takes the rule of names out of the CRD, as it was before there was one; returns the rules as they are."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/spaces.decco.platform9.com"
    crd = control_plane.request("GET", path).json()
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    rules = schema["x-kubernetes-validations"]
    schema["x-kubernetes-validations"] = [rule for rule in rules if not rule.get("optionalOldSelf")]
    assert len(schema["x-kubernetes-validations"]) == len(rules) - 1
    assert control_plane.request("PUT", path, crd).status == 200
    return rules


def restore(control_plane: ControlPlane, rules: list[object]) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/spaces.decco.platform9.com"
    crd = control_plane.request("GET", path).json()
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] = rules
    assert control_plane.request("PUT", path, crd).status == 200


@pytest.mark.parametrize("reserved", ["com", "svc", "io", "kube-evil"])
def test_the_api_server_refuses_the_name(control_plane: ControlPlane, reserved: str) -> None:
    answer = control_plane.request("POST", f"{APIS}/spaces", space(reserved))
    assert answer.status == 422
    assert "choose another name" in answer.json()["message"]


def test_decco_makes_no_namespace_for_a_reserved_name(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco
) -> None:
    """The rule is newer than the Space: decco refuses by itself, and its status can be written under the new rule."""
    rules = old_rules(control_plane)
    try:
        made = eventually(lambda: _created(control_plane, "net"), 30)
        assert made
    finally:
        restore(control_plane, rules)
    try:
        found = eventually(lambda: cluster.space_condition("net", "Ready"), 30)
        assert (found["status"], found["reason"]) == ("False", "NameReserved")
        assert cluster.get(f"{NAMESPACES}/net") is None
        cluster.patch(f"{APIS}/spaces/net", {"spec": {"project": "later"}})
    finally:
        cluster.delete(f"{APIS}/spaces/net")


def _created(control_plane: ControlPlane, name: str) -> bool:
    """Whether the Space is there; the API server takes a moment to follow its CRD."""
    return control_plane.request("POST", f"{APIS}/spaces", space(name)).status == 201


def test_the_name_of_deccos_own_namespace_is_refused(cluster: Cluster, decco: Decco) -> None:
    cluster.create(space("decco"))
    try:
        found = eventually(lambda: cluster.space_condition("decco", "Ready"), 30)
        assert (found["status"], found["reason"]) == ("False", "NameReserved")
    finally:
        cluster.delete(f"{APIS}/spaces/decco")
