from __future__ import annotations

import re

import pytest

from decco.api.types import Endpoint
from decco.desired import names
from decco.errors import TerminalError
from decco.objects import LABEL_APP, LABEL_MANAGED_BY, LABEL_SPACE, SECRETS

ENDPOINTS = [f"endpoint-{number}" for number in range(64)]


def test_no_name_of_an_app_is_that_of_its_space() -> None:
    for app in ("decco", "app-decco", "a", "a-stunnel", "a.b"):
        assert names.app_policy(app) != names.SPACE_OBJECT
    assert "." in names.REDIRECT_ROUTE  # endpoint names have none


def test_derived_names_keep_apps_apart() -> None:
    apps = ["a", "app-a", "a-stunnel", "a-cleartext", "decco", "a.b"]
    for derive in (names.app_policy, names.stunnel_config, names.cleartext_service):
        assert len({derive(app) for app in apps}) == len(apps)


def test_the_longest_names_fit() -> None:
    assert len(names.app_policy("a" * 63)) <= 253
    assert len(names.stunnel_config("a" * 63)) <= 253
    assert len(names.cleartext_service("a" * 53)) == 63


def test_service_names_include_the_clear_text_service() -> None:
    assert names.service_names(Endpoint(name="a", port=1)) == ("a",)
    with_clear_text = Endpoint(name="a", port=1, create_clear_text_service=True)
    assert names.service_names(with_clear_text) == ("a", "a-cleartext")


def test_pod_ports_are_the_same_in_every_version() -> None:
    # Another function of the name would move every listener of every running pod at an upgrade.
    assert names.pod_ports(["db", "web", "web"], ()) == {"db": 26388, "web": 21225}
    assert names.listener_port_name("db") == "tls-7bdc25d1694"


def test_pod_ports_are_apart_and_in_range() -> None:
    ports = names.pod_ports(ENDPOINTS, ())
    assert len(set(ports.values())) == len(ENDPOINTS)
    assert all(20000 <= port < 30000 for port in ports.values())


def test_a_new_endpoint_moves_no_other() -> None:
    before = names.pod_ports(ENDPOINTS[:-1], ())
    after = names.pod_ports(ENDPOINTS, ())
    assert {name: after[name] for name in before} == before


def test_endpoints_may_change_places() -> None:
    few = ENDPOINTS[:10]  # none of these meet
    assert names.pod_ports(reversed(few), ()) == names.pod_ports(few, ())


def test_names_that_meet_and_reserved_ports_are_stepped_around() -> None:
    first = names.pod_ports(["db"], ())["db"]
    assert names.pod_ports(["db"], {first, first + 1}) == {"db": first + 2}
    # 200 names on 210 free ports must meet often.
    reserved = set(range(20000, 29790))
    ports = names.pod_ports([f"n{number}" for number in range(200)], reserved)
    assert len(set(ports.values())) == 200
    assert not reserved & set(ports.values())


def test_the_search_wraps_around() -> None:
    assert names.pod_ports(["db"], set(range(20001, 30000))) == {"db": 20000}


def test_no_free_port_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(TerminalError, match="declare fewer ports"):
        names.pod_ports(["db", "web"], set(range(20001, 30000)))


@pytest.mark.parametrize("listener", ["a", "a" * 63, "web-1", *ENDPOINTS])
def test_port_names_are_what_kubernetes_takes(listener: str) -> None:
    name = names.listener_port_name(listener)
    # IANA service name, RFC 6335 section 5.1.
    assert re.fullmatch(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len(name) <= 15


def test_child_meta_of_a_space() -> None:
    meta = names.child_meta("x", uid="u1", space="acme", labels={"a": "b", "gone": None}, annotations={"k": None})
    assert meta == {
        "name": "x",
        "namespace": "acme",
        "labels": {LABEL_MANAGED_BY: "decco", LABEL_SPACE: "acme", "a": "b", "gone": None},
        "annotations": {"k": None},
        "ownerReferences": [
            {
                "apiVersion": "decco.platform9.com/v1beta2",
                "kind": "Space",
                "name": "acme",
                "uid": "u1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def test_child_meta_of_an_app() -> None:
    meta = names.child_meta("x", uid="u2", space="acme", app="web")
    assert meta["labels"] == {LABEL_MANAGED_BY: "decco", LABEL_SPACE: "acme", LABEL_APP: "web"}
    assert [(ref["kind"], ref["name"], ref["uid"]) for ref in meta["ownerReferences"]] == [("App", "web", "u2")]
    assert "annotations" not in meta


def test_own_labels_cannot_be_overridden() -> None:
    meta = names.child_meta("x", uid="u", space="acme", labels={LABEL_SPACE: "other"})
    assert meta["labels"][LABEL_SPACE] == "acme"


def test_cluster_scoped_children_have_no_namespace() -> None:
    assert "namespace" not in names.child_meta("acme", uid="u", space="acme", namespaced=False)


def test_child_fills_in_the_kind() -> None:
    child = names.child(SECRETS, {"name": "x"}, type="Opaque")
    assert child.resource == SECRETS
    assert child.obj == {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "type": "Opaque"}
