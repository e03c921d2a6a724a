"""The controller with providers that need no server, and with some that cannot work."""

from __future__ import annotations

import json
from pathlib import Path

from testbed import assets, manifests
from testbed.controlplane import ControlPlane
from tests.integration.by_hand import accept_listeners
from tests.integration.harness import APIS, GROUP, Cluster, Decco, controller, eventually


def test_records_in_memory(control_plane: ControlPlane, cluster: Cluster, name: str, tmp_path: Path) -> None:
    providers = json.dumps([{"type": "memory", "zones": ["memory.test"]}])
    with controller(control_plane, tmp_path, dns__providers=providers, edge__addresses="192.0.2.1") as decco:
        cluster.make_space(name, domain="memory.test")
        eventually(lambda: (cluster.space_condition(name, "DNSReady") or {}).get("status") == "True", 10)
        assert (cluster.space(name) or {})["metadata"]["finalizers"] == [f"{GROUP}/dns"]
        assert decco.metric('decco_dns_calls_total{operation="apply",provider="memory",result="ok"') == 1
        accept_listeners(cluster, name, "198.51.100.1")
        decco.settle()
        assert (cluster.space(name) or {})["status"]["addresses"] == ["192.0.2.1"], "the setting is stronger"
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: cluster.space(name) is None, 30)
        assert decco.stop() == 0


def test_without_providers_there_is_nothing_of_dns(
    control_plane: ControlPlane, cluster: Cluster, name: str, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path, edge__addresses="192.0.2.1") as decco:
        cluster.make_space(name)
        decco.settle()
        space = cluster.space(name) or {}
        assert "finalizers" not in space["metadata"]
        assert cluster.space_condition(name, "DNSReady") is None
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: cluster.space(name) is None, 30)
        assert decco.stop() == 0


def test_credentials_that_are_not_there_end_the_start(control_plane: ControlPlane, tmp_path: Path) -> None:
    provider = {"type": "rfc2136", "zones": ["a.test"], "host": "192.0.2.53", "tsigKeyName": "k", "secretName": "none"}
    decco = Decco(control_plane, tmp_path, dns__providers=json.dumps([provider])).start(wait=False)
    assert decco.process is not None
    assert decco.process.wait(20) == 2
    assert "rfc2136 names the Secret none, which decco's namespace lacks" in decco.tail()


DNS_ENDPOINTS = "/apis/externaldns.k8s.io/v1alpha1/namespaces/decco/dnsendpoints"


def test_records_as_dnsendpoint_objects(
    control_plane: ControlPlane, cluster: Cluster, name: str, tmp_path: Path
) -> None:
    """Against the real API server and ExternalDNS's own CRD; a status of ExternalDNS is no problem."""
    manifests.install_crds(control_plane.api, [assets.external_dns_crd()])

    def published() -> dict[str, list[str]]:
        endpoints = [e for obj in cluster.items(DNS_ENDPOINTS) for e in obj["spec"]["endpoints"]]
        return {e["dnsName"]: e["targets"] for e in endpoints if e["recordType"] == "A"}

    providers = json.dumps([{"type": "externaldns", "zones": ["objects.test"]}])
    fqdn = f"{name}.objects.test"
    with controller(control_plane, tmp_path, dns__providers=providers) as decco:
        cluster.make_space(name, domain="objects.test")
        accept_listeners(cluster, name, "192.0.2.1")
        eventually(lambda: published() == {fqdn: ["192.0.2.1"]}, 10)
        (obj,) = cluster.items(DNS_ENDPOINTS)
        path = f"{DNS_ENDPOINTS}/{obj['metadata']['name']}/status"
        cluster.patch(path, {"status": {"observedGeneration": obj["metadata"]["generation"]}})
        accept_listeners(cluster, name, "192.0.2.2")
        eventually(lambda: published() == {fqdn: ["192.0.2.2"]}, 10)
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: cluster.space(name) is None, 30)
        assert cluster.items(DNS_ENDPOINTS) == []
        assert decco.stop() == 0, decco.tail()
