"""A host name is granted once, and the grant survives whatever happens to the controller and the objects around it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.admission_rules import forbidding
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, controller, eventually, space
from tests.sample import full

SOON = 60.0
GATEWAYS = "/apis/gateway.networking.k8s.io/v1"
ANNOTATION = "decco.platform9.com/hostnames"
QUIET = 1.5
"""For what must not happen: several reconciles long."""


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


def reason(cluster: Cluster, name: str) -> str:
    return str((cluster.space_condition(name, "RoutesReady") or {}).get("reason", ""))


def listeners(cluster: Cluster, name: str) -> set[str]:
    gateway = cluster.get(f"{GATEWAYS}/namespaces/{name}/gateways/decco") or {}
    return {each["hostname"] for each in gateway.get("spec", {}).get("listeners", ())}


def granted(cluster: Cluster, name: str) -> set[str]:
    namespace = cluster.get(f"/api/v1/namespaces/{name}") or {"metadata": {}}
    text = namespace["metadata"].get("annotations", {}).get(ANNOTATION, "")
    return {entry.partition("@")[0] for entry in text.split(",") if entry}


def transferred(cluster: Cluster, name: str) -> str | None:
    namespace = cluster.get(f"/api/v1/namespaces/{name}") or {"metadata": {}}
    text: str | None = namespace["metadata"].get("annotations", {}).get("decco.platform9.com/transferred")
    return text


def tcp_app(namespace: str, hostname: str) -> Obj:
    endpoint = {"name": "grab", "port": 8443, "hostname": hostname, "disableTlsTermination": True}
    return app(namespace, "grab", endpoints=[endpoint])


def set_hostnames(cluster: Cluster, name: str, *hostnames: str) -> None:
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"hostnames": list(hostnames)}})


def make(cluster: Cluster, name: str, *hostnames: str) -> None:
    """A Space in the domain grants.test with all that it claims."""
    cluster.make_space(name, domain="grants.test", hostnames=list(hostnames))
    eventually(lambda: granted(cluster, name) == {f".{name}.grants.test", *hostnames}, SOON)
    eventually(lambda: set(hostnames) <= listeners(cluster, name), SOON)


def older_and_holder(cluster: Cluster, prefix: str, *hostnames: str) -> tuple[str, str]:
    older, holder = f"{prefix}-older", f"{prefix}-holder"
    make(cluster, older)
    time.sleep(1.1)  # creationTimestamp counts seconds
    make(cluster, holder, *hostnames)
    return older, holder


def stays(cluster: Cluster, holder: str, before: set[str]) -> None:
    end = time.monotonic() + QUIET
    while time.monotonic() < end:
        assert listeners(cluster, holder) >= before, "the holder lost a listener"
        assert reason(cluster, holder) != "HostnameConflict"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param("{holder}.grants.test", id="the FQDN"),
        pytest.param("x.{holder}.grants.test", id="a name below it", marks=full),
        pytest.param("shop.{holder}.test", id="a hostname", marks=full),
    ],
)
def test_an_older_space_does_not_take_a_name_that_is_in_use(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, wanted: str, request: pytest.FixtureRequest
) -> None:
    prefix = f"g{abs(hash(request.node.name)) % 10**6}"
    with controller(control_plane, tmp_path) as decco:
        older, holder = older_and_holder(cluster, prefix, f"shop.{prefix}-holder.test")
        before = listeners(cluster, holder)
        name = wanted.format(holder=holder)
        set_hostnames(cluster, older, name)
        cluster.create(tcp_app(older, name))
        eventually(lambda: reason(cluster, older) == "HostnameConflict", SOON)
        stays(cluster, holder, before)
        decco.settle()
        assert name not in listeners(cluster, older)
        assert cluster.items(f"{GATEWAYS}/namespaces/{older}/tlsroutes") == []
    with controller(control_plane, tmp_path) as decco:
        decco.settle()
        assert reason(cluster, older) == "HostnameConflict", "a restart grants the name to the older Space"
        stays(cluster, holder, before)


def test_a_name_is_free_when_its_holder_gives_it_up_and_its_routes_are_gone(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        older, holder = older_and_holder(cluster, "up", "up.shop.test")
        cluster.create(tcp_app(holder, "up.shop.test"))
        path = f"{GATEWAYS}/namespaces/{holder}/tlsroutes/grab"
        eventually(lambda: cluster.get(path), SOON)
        cluster.patch(path, {"metadata": {"finalizers": ["test.example/hold"]}})
        set_hostnames(cluster, older, "up.shop.test")
        eventually(lambda: reason(cluster, older) == "HostnameConflict", SOON)
        set_hostnames(cluster, holder)
        eventually(lambda: "up.shop.test" not in listeners(cluster, holder), SOON)
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            held = "up.shop.test" in json.dumps((cluster.get(path) or {}).get("spec", {}))
            assert not held or "up.shop.test" not in listeners(cluster, older), "two Spaces serve one name"
            time.sleep(0.05)
        cluster.patch(path, {"metadata": {"finalizers": None}})
        eventually(lambda: "up.shop.test" in listeners(cluster, older), SOON, "the name is free")
        assert granted(cluster, holder) == {f".{holder}.grants.test"}


@full
def test_a_namespace_that_is_deleted_while_the_controller_is_down_costs_no_name(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        older, holder = older_and_holder(cluster, "down", "down.shop.test")
        eventually(lambda: len((cluster.space(holder) or {})["status"].get("hostnames", ())) == 2, SOON)
        set_hostnames(cluster, older, "down.shop.test")
        eventually(lambda: reason(cluster, older) == "HostnameConflict", SOON)
    cluster.delete(f"/api/v1/namespaces/{holder}")
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{holder}") is None, SOON)
    with controller(control_plane, tmp_path) as decco:
        eventually(lambda: "down.shop.test" in listeners(cluster, holder), SOON)
        decco.settle()
        assert reason(cluster, older) == "HostnameConflict"
        assert granted(cluster, holder) == {f".{holder}.grants.test", "down.shop.test"}


@full
def test_a_space_that_was_restored_without_its_status_keeps_its_names(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """A backup tool creates the Space again: another UID, a later creationTimestamp, no status."""
    with controller(control_plane, tmp_path):
        older, holder = older_and_holder(cluster, "back", "back.shop.test")
        set_hostnames(cluster, older, "back.shop.test")
        eventually(lambda: reason(cluster, older) == "HostnameConflict", SOON)
    path = f"{APIS}/spaces/{holder}"
    copy = cluster.get(path)
    assert copy is not None
    control_plane.request("DELETE", path, {"propagationPolicy": "Orphan"})
    eventually(lambda: cluster.get(path) is None, SOON)
    cluster.create(space(holder, **_domain(copy["spec"])))
    with controller(control_plane, tmp_path) as decco:
        eventually(lambda: reason(cluster, holder) not in {"", "HostnameConflict"}, SOON)
        decco.settle()
        assert reason(cluster, older) == "HostnameConflict"
        assert "back.shop.test" in listeners(cluster, holder)


def _domain(spec: Obj) -> dict[str, Any]:
    """A spec in the words of the harness."""
    return {"domain" if key == "domainName" else key: value for key, value in spec.items()}


HOLD = "test.example/hold"


@full
def test_a_held_configmap_does_not_keep_the_names_of_a_space_that_is_gone(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        older, holder = older_and_holder(cluster, "held", "held.shop.test")
        meta = {"name": "held", "namespace": holder, "finalizers": [HOLD]}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
        set_hostnames(cluster, older, "held.shop.test")
        eventually(lambda: reason(cluster, older) == "HostnameConflict", SOON)
        cluster.delete(f"{APIS}/spaces/{holder}")
        eventually(lambda: cluster.space(holder) is None, SOON)
        eventually(lambda: "held.shop.test" in listeners(cluster, older), SOON, "the name is free")
        namespace = cluster.get(f"/api/v1/namespaces/{holder}") or {}
        assert namespace["metadata"]["annotations"][ANNOTATION] == ""
        cluster.patch(f"/api/v1/namespaces/{holder}/configmaps/held", {"metadata": {"finalizers": None}})


def test_a_held_route_keeps_the_names_of_a_space_that_is_gone_until_a_transfer(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        older, holder = older_and_holder(cluster, "left", "left.shop.test")
        meta = {"name": "held", "namespace": holder, "finalizers": [HOLD]}
        backend = {"service": {"name": "s", "port": {"number": 80}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        ingress = {"rules": [{"host": "left.shop.test", "http": {"paths": paths}}]}
        path = f"/apis/networking.k8s.io/v1/namespaces/{holder}/ingresses"
        cluster.cp.create(path, {"metadata": meta, "spec": ingress})
        set_hostnames(cluster, older, "left.shop.test")
        eventually(lambda: reason(cluster, older) == "HostnameConflict", SOON)
        cluster.delete(f"{APIS}/spaces/{holder}")
        eventually(lambda: cluster.space(holder) is None, SOON)
        eventually(lambda: HOLD in str(cluster.space_condition(older, "RoutesReady")), SOON)
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            assert "left.shop.test" not in listeners(cluster, older)
            time.sleep(0.05)
        message = (cluster.space_condition(older, "RoutesReady") or {})["message"]
        assert f"whose namespace {holder} is being deleted" in message
        note = {"decco.platform9.com/transfer": f"left.shop.test={holder}"}
        cluster.patch(f"{APIS}/spaces/{older}", {"metadata": {"annotations": note}})
        eventually(lambda: "left.shop.test" in listeners(cluster, older), SOON, "the transfer")
        cluster.patch(f"{path}/held", {"metadata": {"finalizers": None}})


def test_a_transfer_moves_a_name_from_the_holder_to_the_space_that_asks_for_it(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        other, holder = older_and_holder(cluster, "move", "move.shop.test")
        set_hostnames(cluster, other, "move.shop.test")
        eventually(lambda: reason(cluster, other) == "HostnameConflict", SOON)
        note = {"decco.platform9.com/transfer": f"move.shop.test={holder}"}
        cluster.patch(f"{APIS}/spaces/{other}", {"metadata": {"annotations": note}})
        eventually(lambda: "move.shop.test" in listeners(cluster, other), SOON)
        assert "move.shop.test" not in listeners(cluster, holder)
        assert reason(cluster, holder) == "HostnameConflict"
        assert f"{holder}.grants.test" in listeners(cluster, holder), "the rest stays"
        eventually(lambda: transferred(cluster, other) == f"move.shop.test={holder}", SOON)

        # The name goes back freely, and the annotation is still there: it must not act again.
        set_hostnames(cluster, other)
        eventually(lambda: "move.shop.test" in listeners(cluster, holder), SOON)
        before = listeners(cluster, holder)
        set_hostnames(cluster, other, "move.shop.test")
        eventually(lambda: reason(cluster, other) == "HostnameConflict", SOON)
        stays(cluster, holder, before)
    with controller(control_plane, tmp_path) as decco:
        decco.settle()
        stays(cluster, holder, before)
        message = (cluster.space_condition(other, "RoutesReady") or {})["message"]
        assert "remove it from decco.platform9.com/transfer and add it again" in message
        cluster.patch(f"{APIS}/spaces/{other}", {"metadata": {"annotations": dict.fromkeys(note)}})
        eventually(lambda: transferred(cluster, other) is None, SOON)
        cluster.patch(f"{APIS}/spaces/{other}", {"metadata": {"annotations": note}})
        eventually(lambda: "move.shop.test" in listeners(cluster, other), SOON)


def test_a_settled_space_has_its_grants_in_status_and_costs_no_write(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path) as decco:
        make(cluster, "calm", "calm.shop.test")
        decco.settle()
        listed = (cluster.space("calm") or {})["status"]["hostnames"]
        assert [each["name"] for each in listed] == [".calm.grants.test", "calm.shop.test"]
    with Decco(control_plane, tmp_path) as decco:
        mark = control_plane.audit_mark()
        decco.settle()
        # Other tests leave Spaces here, one with a pod that the API server refuses again and again.
        writes = [
            event
            for event in control_plane.audit("decco", since=mark, writes=True)
            if event.namespace == "calm" or (event.resource, event.name) in {("spaces", "calm"), ("namespaces", "calm")}
        ]
        assert writes == []


def test_a_further_name_costs_the_apps_nothing(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    with controller(control_plane, tmp_path) as decco:
        make(cluster, "more")
        cluster.create(app("more", "web"))
        decco.settle()
        mark = control_plane.audit_mark()
        set_hostnames(cluster, "more", "more.shop.test")
        eventually(lambda: "more.shop.test" in listeners(cluster, "more"), SOON)
        decco.settle()
        writes = control_plane.audit("decco", since=mark, writes=True)
        assert [event for event in writes if event.resource == "apps"] == []


@full
def test_a_record_that_is_refused_takes_nothing_away(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """An upgrade finds namespaces without a record, and a policy of the cluster refuses to change them."""
    namespace = "/api/v1/namespaces/kept"
    with controller(control_plane, tmp_path) as decco:
        make(cluster, "kept")
        cluster.create(tcp_app("kept", "grab.kept.grants.test"))
        decco.settle()
        before = listeners(cluster, "kept")
    cluster.patch(namespace, {"metadata": {"annotations": {ANNOTATION: None}}})
    cluster.patch(f"{APIS}/spaces/kept/status", {"status": {"hostnames": None}})
    with forbidding(control_plane, "kept", "false", group="", plural="namespaces"):
        headers = {"Content-Type": "application/merge-patch+json"}
        change = {"metadata": {"labels": {"x": "y"}}}
        eventually(
            lambda: control_plane.request("PATCH", f"{namespace}?dryRun=All", change, headers=headers).status == 422
        )
        with controller(control_plane, tmp_path) as decco:
            eventually(lambda: (cluster.space_condition("kept", "NamespaceReady") or {}).get("status") == "False")
            decco.settle()
            assert listeners(cluster, "kept") == before
            assert cluster.get(f"{GATEWAYS}/namespaces/kept/tlsroutes/grab") is not None
            assert granted(cluster, "kept") == set()
    with controller(control_plane, tmp_path):
        eventually(lambda: granted(cluster, "kept") == {".kept.grants.test"}, SOON)
