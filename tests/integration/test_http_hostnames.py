"""HTTP at further names and by several paths, on a real API server: added, changed and removed while an App runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import GATEWAY
from tests.integration.harness import APIS, GROUP, Cluster, Decco, Obj, app, eventually, http_app, tls_secret
from tests.integration.loop import assert_no_defects
from tests.sample import full

DOMAIN = "httpnames.test"


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Decco]:
    provider = {"type": "memory", "zones": [DOMAIN]}
    settings = {"edge__addresses": json.dumps(["192.0.2.7"]), "dns__providers": json.dumps([provider])}
    with Decco(control_plane, tmp_path, **settings) as found:
        yield found
        assert found.stop() == 0, found.tail()
        assert_no_defects(found)


class Tenant:
    """A Space with one App at "/" and a further name of each form below ``root``."""

    def __init__(self, cluster: Cluster, name: str, **spec: object) -> None:
        self.cluster, self.name = cluster, name
        self.fqdn, self.root = f"{name}.{DOMAIN}", f"{name}-root.{DOMAIN}"
        self.www, self.wild = f"www.{self.root}", f"*.{self.root}"
        for secret, names in (("fqdn", self.fqdn), ("www", self.www), ("wild", self.wild), ("both", self.wild)):
            cluster.create(tls_secret(f"{name}-{secret}", names))
        cluster.make_space(name, domain=DOMAIN, httpCertSecretName=f"{name}-fqdn", **spec)

    def http(self, *names: str) -> list[Obj]:
        """Entries of httpHostnames; each has its certificate."""
        kinds = {self.www: "www", self.wild: "wild"}
        return [{"name": each, "certSecretName": f"{self.name}-{kinds.get(each, 'both')}"} for each in names]

    def edit(self, **spec: object) -> None:
        self.cluster.patch(f"{APIS}/spaces/{self.name}", {"spec": spec})

    def object(self, plural: str, name: str) -> Obj:
        return self.cluster.get(f"{GATEWAY}/namespaces/{self.name}/{plural}/{name}") or {}

    def hostnames(self, route: str) -> list[str]:
        return list((self.object("httproutes", route).get("spec") or {}).get("hostnames") or ())

    def listeners(self) -> dict[str, str]:
        listed = (self.object("gateways", "decco").get("spec") or {}).get("listeners") or ()
        return {each["name"]: each["hostname"] for each in listed}

    def condition(self, kind: str, of: str = "") -> tuple[str, str, str]:
        found = self.cluster.app_condition(self.name, of, kind) if of else self.cluster.space_condition(self.name, kind)
        return tuple((found or {}).get(each, "") for each in ("status", "reason", "message"))  # type: ignore[return-value]

    def grants(self) -> set[str]:
        status = (self.cluster.space(self.name) or {}).get("status") or {}
        return {each["name"] for each in status.get("hostnames") or ()}

    def children(self) -> dict[str, str]:
        """The versions of all that decco has written here."""
        found = {}
        for root, plural in (
            ("/apis/apps/v1", "deployments"),
            ("/api/v1", "services"),
            ("/api/v1", "secrets"),
            (GATEWAY, "gateways"),
            (GATEWAY, "httproutes"),
        ):
            for each in self.cluster.items(f"{root}/namespaces/{self.name}/{plural}"):
                found[f"{plural}/{each['metadata']['name']}"] = each["metadata"]["resourceVersion"]
        return found


def test_names_come_change_and_go_while_the_app_runs(cluster: Cluster, decco: Decco, name: str) -> None:
    tenant = Tenant(cluster, name)
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: tenant.hostnames("web") == [tenant.fqdn])
    decco.settle()
    before = tenant.children()

    tenant.edit(httpHostnames=tenant.http(tenant.www, tenant.wild))
    every = [tenant.fqdn, tenant.wild, tenant.www]
    eventually(lambda: tenant.hostnames("web") == every)
    eventually(lambda: tenant.hostnames("decco.redirect") == tenant.hostnames("decco.probe") == every)
    assert tenant.listeners() == {
        "http": tenant.fqdn,
        "https": tenant.fqdn,
        "tls": f"*.{tenant.fqdn}",
        f"http-{tenant.www}": tenant.www,
        f"https-{tenant.www}": tenant.www,
        f"any-http-{tenant.root}": tenant.wild,
        f"any-https-{tenant.root}": tenant.wild,
    }
    eventually(lambda: tenant.condition("CertificatesReady")[0] == tenant.condition("DNSReady")[0] == "True")
    eventually(lambda: tenant.grants() == {f".{tenant.fqdn}", tenant.www, tenant.wild})
    endpoint = eventually(lambda: ((cluster.app(name, "web") or {}).get("status") or {}).get("endpoints"))[0]
    assert endpoint["urls"] == [f"https://{each}/" for each in every]

    decco.settle()
    settled = tenant.children()
    for same in ("deployments/web", "services/web", f"secrets/{name}-fqdn"):
        assert settled[same] == before[same]
    cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"labels": {"any": "change"}}})
    cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"metadata": {"labels": {"any": "change"}}})
    decco.settle()
    assert tenant.children() == settled

    changed = [{"name": tenant.wild, "certSecretName": f"{name}-both"}]
    tenant.edit(httpHostnames=changed)
    eventually(lambda: tenant.hostnames("web") == [tenant.fqdn, tenant.wild])
    eventually(lambda: f"secrets/{name}-both" in tenant.children() and f"secrets/{name}-www" not in tenant.children())
    eventually(lambda: tenant.grants() == {f".{tenant.fqdn}", tenant.wild})
    tenant.edit(httpHostnames=None)
    eventually(lambda: tenant.hostnames("web") == [tenant.fqdn])
    eventually(lambda: tenant.grants() == {f".{tenant.fqdn}"})
    decco.settle()
    assert set(tenant.listeners()) == {"http", "https", "tls"}
    assert tenant.children().keys() == before.keys()
    assert tenant.children()["deployments/web"] == before["deployments/web"]


def test_a_name_without_zone_or_certificate_is_reported_alone(cluster: Cluster, decco: Decco, name: str) -> None:
    tenant = Tenant(cluster, name)
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: tenant.condition("DNSReady")[0] == "True")
    foreign = f"{name}.elsewhere.test"
    cluster.create(tls_secret(f"{name}-foreign", "another.name.test"))
    entry = {"name": foreign, "certSecretName": f"{name}-foreign"}
    tenant.edit(httpHostnames=[entry, *tenant.http(tenant.www)])

    def says(kind: str, reason: str) -> bool:
        status, found, message = tenant.condition(kind)
        return (status, found) == ("False", reason) and foreign in message and tenant.www not in message

    eventually(lambda: says("DNSReady", "ZoneNotFound"))
    eventually(lambda: says("CertificatesReady", "CertificateNameMismatch"))
    assert tenant.fqdn not in tenant.condition("DNSReady")[2]
    eventually(lambda: tenant.hostnames("web") == sorted([foreign, tenant.www, tenant.fqdn], key=_fqdn_first(tenant)))
    tenant.edit(httpHostnames=[{**entry, "createDnsRecord": False}, *tenant.http(tenant.www)])
    eventually(lambda: tenant.condition("DNSReady")[0] == "True")


def _fqdn_first(tenant: Tenant):  # type: ignore[no-untyped-def]
    return lambda each: (each != tenant.fqdn, each)


def test_paths_and_names_of_endpoints(cluster: Cluster, decco: Decco, name: str) -> None:
    tenant = Tenant(cluster, name)
    tenant.edit(httpHostnames=tenant.http(tenant.www, tenant.wild))
    paths = [{"path": "/api", "rewritePath": "/"}, {"path": "/docs"}]
    one = f"one.{tenant.root}"
    endpoints = [
        {"name": "api", "port": 8080, "httpPaths": paths},
        {"name": "one", "port": 8081, "httpPath": "/", "httpHostnames": [one, "not.ours.test"]},
    ]
    cluster.create(app(name, "app", endpoints=endpoints))
    eventually(lambda: tenant.hostnames("api") == [tenant.fqdn, tenant.wild, tenant.www])
    eventually(lambda: tenant.hostnames("one") == [one])
    rules = tenant.object("httproutes", "api")["spec"]["rules"]
    assert [each["matches"][0]["path"]["value"] for each in rules[:2]] == ["/api", "/docs"]
    eventually(lambda: tenant.condition("RoutesReady", "app")[1] == "HostnameNotAllowed")
    assert "not.ours.test" in tenant.condition("RoutesReady", "app")[2]

    time.sleep(1.1)  # the order of Spaces and Apps has the resolution of creationTimestamp
    cluster.create(app(name, "later", endpoints=[{"name": "later", "port": 8080, "httpPath": "/docs"}]))
    eventually(lambda: tenant.condition("RoutesReady", "later")[1] == "PathConflict")
    assert tenant.hostnames("later") == []
    narrowed = [{**endpoints[0], "httpHostnames": [tenant.www]}, endpoints[1]]
    cluster.patch(f"{APIS}/namespaces/{name}/apps/app", {"spec": {"endpoints": narrowed}})
    eventually(lambda: tenant.hostnames("api") == [tenant.www])
    eventually(lambda: tenant.hostnames("later") == [tenant.fqdn, tenant.wild])


def test_a_wildcard_is_given_up_while_a_name_below_it_stays(cluster: Cluster, decco: Decco, name: str) -> None:
    """The listener of the name that stays is called https-<name>, which is no name below the wildcard."""
    tenant = Tenant(cluster, name)
    tenant.edit(httpHostnames=tenant.http(tenant.www, tenant.wild))
    eventually(lambda: {tenant.www, tenant.wild} <= tenant.grants())
    tenant.edit(httpHostnames=tenant.http(tenant.www))
    eventually(lambda: tenant.wild not in tenant.grants())
    assert tenant.www in tenant.grants()
    decco.settle()


@full
def test_two_spaces_and_one_name(cluster: Cluster, decco: Decco, name: str) -> None:
    """A wildcard never takes a name below it; the later Space goes without, and has it by a transfer or afterwards."""
    first, second = Tenant(cluster, f"{name}-a"), Tenant(cluster, f"{name}-b")
    first.edit(httpHostnames=first.http(first.www))
    eventually(lambda: first.www in first.grants())
    cluster.create(tls_secret(f"{second.name}-taken", first.wild))
    second.edit(httpHostnames=[{"name": first.wild, "certSecretName": f"{second.name}-taken"}])
    cluster.create(http_app(second.name, "web", "/"))
    eventually(lambda: second.condition("RoutesReady")[1] == "HostnameConflict")
    assert first.wild in second.condition("RoutesReady")[2]
    eventually(lambda: second.hostnames("web") == [second.fqdn])
    decco.settle()
    assert first.wild not in second.listeners().values()
    assert first.www in first.listeners().values()

    annotation = {f"{GROUP}/transfer": f"{first.wild}={first.name}"}
    cluster.patch(f"{APIS}/spaces/{second.name}", {"metadata": {"annotations": annotation}})
    eventually(lambda: second.hostnames("web") == [second.fqdn, first.wild])
    eventually(lambda: first.condition("RoutesReady")[1] == "HostnameConflict")
    assert first.www not in first.listeners().values()
    second.edit(httpHostnames=None)
    eventually(lambda: first.www in first.grants())
    eventually(lambda: first.www in first.listeners().values())
