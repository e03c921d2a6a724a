"""The versions that the cluster serves of a kind are followed while decco runs, without a write that is not needed."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import pytest

from decco.dns.errors import ProviderRefused
from decco.kube.client import Client
from decco.kube.config import connect
from decco.objects import Resource
from decco.reconcilers.providers import ObjectsClient
from testbed import assets
from testbed.controlplane import ControlPlane
from testbed.manifests import CRD_PATH, read
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, tls_secret
from tests.integration.loop import assert_no_defects
from tests.sample import full

pytestmark = pytest.mark.timeout(900)

GROUP = "gateway.networking.k8s.io"
TLS_ROUTES = f"tlsroutes.{GROUP}"
POLICIES = f"backendtlspolicies.{GROUP}"
SPACE = "acme"
LONG = 120.0


def definitions() -> dict[str, Obj]:
    found = read(assets.gateway_api_crds())
    return {crd["metadata"]["name"]: crd for crd in found if crd["kind"] == "CustomResourceDefinition"}


def only(crd: Obj, version: str) -> Obj:
    """The definition with its v1 alone, under the name ``version``."""
    crd = copy.deepcopy(crd)
    (served,) = [each for each in crd["spec"]["versions"] if each["name"] == "v1"]
    crd["spec"]["versions"] = [{**served, "name": version, "storage": True, "served": True}]
    return crd


def upgraded(crd: Obj) -> Obj:
    """v1 is served and stored, v1alpha3 is still known and not served."""
    new, old = only(crd, "v1"), only(crd, "v1alpha3")["spec"]["versions"][0]
    new["spec"]["versions"].append({**old, "storage": False, "served": False})
    return new


class World:
    """A cluster whose definitions of the Gateway API the tests change, and a controller in it."""

    def __init__(self, cp: ControlPlane, decco: Decco) -> None:
        self.cp, self.decco, self.cluster = cp, decco, Cluster(cp)

    def define(self, crd: Obj) -> None:
        path = f"{CRD_PATH}/{crd['metadata']['name']}"
        if self.cluster.get(path) is None:
            self.cp.create(CRD_PATH, crd)
        else:
            self.cluster.patch(path, {"spec": crd["spec"]})

    def route(self, name: str, version: str = "v1") -> Obj | None:
        return self.cluster.get(f"/apis/{GROUP}/{version}/namespaces/{SPACE}/tlsroutes/{name}")

    def reconcile_all(self) -> None:
        """Waits until each App has been reconciled again, because its labels have changed."""
        done = self.decco.metric("decco_reconcile_total{")
        apps = [each["metadata"]["name"] for each in self.cluster.items(f"{APIS}/namespaces/{SPACE}/apps")]
        for name in apps:
            labels = {"reconcile-at": str(time.monotonic_ns())}
            self.cluster.patch(f"{APIS}/namespaces/{SPACE}/apps/{name}", {"metadata": {"labels": labels}})
        eventually(
            lambda: (
                self.decco.metric("decco_reconcile_total{") >= done + len(apps)
                and not self.decco.metric("decco_workqueue_depth{")
            ),
            LONG,
            "all is reconciled again",
        )

    def writes(self, mark: int) -> list[tuple[str, str]]:
        """(verb, name) of decco's writes of TLSRoutes since ``mark`` that were carried out."""
        events = self.cp.audit(since=mark, writes=True)
        return sorted((each.verb, each.name) for each in events if each.resource == "tlsroutes" and each.code < 400)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ControlPlane() as cp:
        for name, crd in definitions().items():
            cp.create(CRD_PATH, only(crd, "v1alpha3") if name == TLS_ROUTES else crd)
        cp.install_decco_crds()
        cp.restart_manager()
        cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        probe = Cluster(cp)
        eventually(lambda: probe.get(f"/apis/{GROUP}/v1alpha3/tlsroutes") is not None, what="v1alpha3 is served")
        decco = Decco(cp, tmp_path_factory.mktemp("decco")).start()
        world = World(cp, decco)
        try:
            probe.create(tls_secret("t", f"{SPACE}.example.net"))
            probe.make_space(SPACE, tcpCertAndCaSecretName="t")
            yield world
        finally:
            decco.kill()


@full
def test_an_upgrade_while_decco_runs_leaves_existing_routes_and_is_followed(world: World) -> None:
    cluster = world.cluster
    cluster.create(app(SPACE, "db"))
    cluster.create(app(SPACE, "queue"))
    before = [eventually(lambda name=name: world.route(name, "v1alpha3"), LONG) for name in ("db", "queue")]
    world.reconcile_all()
    mark = world.cp.audit_mark()
    world.define(upgraded(definitions()[TLS_ROUTES]))
    cluster.create(app(SPACE, "new"))
    eventually(lambda: world.route("new"), LONG, "a new App gets its route")
    eventually(lambda: not world.decco.get("/readyz").count("cannot be listed"))
    world.reconcile_all()
    for old in before:
        route = world.route(old["metadata"]["name"])
        assert route is not None
        assert (route["metadata"]["uid"], route["metadata"]["resourceVersion"]) == (
            old["metadata"]["uid"],
            old["metadata"]["resourceVersion"],
        )
    assert world.writes(mark) == [("create", "new")]
    cluster.delete(f"/apis/{GROUP}/v1/namespaces/{SPACE}/tlsroutes/db")
    eventually(lambda: world.route("db"), LONG, "a deleted route comes back")
    cluster.patch(f"{APIS}/namespaces/{SPACE}/apps/new", {"spec": {"endpoints": []}})
    eventually(lambda: world.route("new") is None, LONG, "the route of a removed endpoint goes")
    assert world.writes(mark) == [("create", "db"), ("create", "new"), ("delete", "new")]
    assert_no_defects(world.decco)


@full
def test_a_kind_that_vanishes_leaves_what_runs_and_is_followed_when_it_returns(world: World) -> None:
    cluster = world.cluster
    v1 = upgraded(definitions()[TLS_ROUTES])
    world.define(v1)
    cluster.create(app(SPACE, "kept"))
    before = eventually(lambda: world.route("kept"), LONG)["metadata"]
    world.reconcile_all()
    mark = world.cp.audit_mark()
    hidden = copy.deepcopy(v1)
    for version in hidden["spec"]["versions"]:
        version["served"] = False
    world.define(hidden)
    line = f"{TLS_ROUTES}: cannot be listed: the cluster no longer serves"
    eventually(lambda: line in world.decco.get("/readyz"), LONG, "the lost kind is reported")
    cluster.create(app(SPACE, "late"))
    eventually(
        lambda: (
            "TLSRoute objects cannot be listed"
            in (cluster.app_condition(SPACE, "late", "RoutesReady") or {}).get("message", "")
        ),
        LONG,
        "the condition names the kind",
    )
    world.define(v1)
    eventually(lambda: world.route("late"), LONG, "the route follows when the kind is served again")
    world.reconcile_all()
    after = (world.route("kept") or {})["metadata"]
    assert (after["uid"], after["resourceVersion"]) == (before["uid"], before["resourceVersion"])
    assert world.writes(mark) == [("create", "late")]
    assert world.decco.get("/readyz") == "ok\n"
    assert_no_defects(world.decco)


@full
def test_a_dead_conversion_webhook_at_the_start_blocks_only_its_kind(world: World) -> None:
    cluster = world.cluster
    both = only(definitions()[TLS_ROUTES], "v1")
    stored = only(both, "v1")["spec"]["versions"][0]
    both["spec"]["versions"] = [{**stored, "storage": False}, {**stored, "name": "v1alpha3"}]
    world.define(both)
    cluster.create(app(SPACE, "converted"))
    eventually(lambda: world.route("converted", "v1alpha3"), LONG)
    world.decco.stop()
    service = {"namespace": "gone", "name": "gone", "port": 443}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    path = f"{CRD_PATH}/{TLS_ROUTES}"
    cluster.patch(path, {"spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}}})
    routes = f"/apis/{GROUP}/v1/tlsroutes"
    eventually(lambda: world.cp.request("GET", routes).status >= 400, LONG, "the kind cannot be listed")
    world.decco.start()
    assert f"{TLS_ROUTES}: cannot be listed" in world.decco.get("/readyz")
    policy = f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/decco"
    uid = (cluster.get(policy) or {})["metadata"]["uid"]
    cluster.delete(policy)
    eventually(lambda: (cluster.get(policy) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, LONG)
    cluster.create(app(SPACE, "started"))
    eventually(lambda: cluster.deployment(SPACE, "started"), LONG, "an App starts")
    cluster.patch(path, {"spec": {"conversion": {"strategy": "None", "webhook": None}}})
    eventually(lambda: world.route("started"), LONG, "its route follows")
    assert_no_defects(world.decco)


async def test_dnsendpoints_are_written_in_the_version_that_is_served(world: World) -> None:
    """Also: what cannot be deleted because its kind is not served does not count as gone."""
    group, plural = "externaldns.k8s.io", "dnsendpoints"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

    def define(version: str, *, served: bool = True) -> None:
        versions = [
            {"name": name, "served": served and name == version, "storage": name == version}
            for name in ("v1alpha1", "v1beta1")
        ]
        names = {"kind": "DNSEndpoint", "listKind": "DNSEndpointList", "plural": plural, "singular": "dnsendpoint"}
        spec: Obj = {"group": group, "scope": "Namespaced", "names": names}
        spec["versions"] = [{**each, "schema": {"openAPIV3Schema": schema}} for each in versions]
        meta = {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}}
        crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta}
        world.define({**crd, "spec": spec})
        path = f"/apis/{group}/{version}/{plural}"
        eventually(lambda: (world.cluster.get(path) is not None) == served, LONG)

    define("v1alpha1")
    body = {
        "apiVersion": f"{group}/v1alpha1",
        "kind": "DNSEndpoint",
        "metadata": {"name": "web", "namespace": "decco"},
        "spec": {"endpoints": []},
    }
    connection = await connect(str(world.cp.controller_kubeconfig))
    async with Client(connection, user_agent="decco") as client:
        endpoints = ObjectsClient(client, Resource(group, "v1alpha1", plural, "DNSEndpoint"))
        made = await endpoints.create(body)
        assert made is not None
        define("v1beta1")
        assert [obj["metadata"]["uid"] for obj in await endpoints.list()] == [made["metadata"]["uid"]]
        made["spec"] = {"endpoints": [{"dnsName": "web.example.net"}]}
        changed = await endpoints.replace(made)
        assert changed is not None
        assert changed["apiVersion"] == f"{group}/v1beta1"
        define("v1beta1", served=False)
        meta = changed["metadata"]
        with pytest.raises(ProviderRefused):
            await endpoints.delete("decco", "web", meta["uid"], meta["resourceVersion"])
        define("v1beta1")
        assert await endpoints.delete("decco", "web", meta["uid"], meta["resourceVersion"])
        assert await endpoints.get("decco", "web") is None
