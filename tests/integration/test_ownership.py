"""Objects that lost their owner reference: after a restore, an orphaning deletion, or by somebody's hand.

Each decision is the same before and after a restart, so each test here runs controllers of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, space, tls_secret
from tests.integration.loop import assert_no_defects
from tests.sample import full

SECONDS = 30.0
GATEWAY = "/apis/gateway.networking.k8s.io/v1"
COLLECTIONS = [
    f"{root}/namespaces/{{n}}/{plural}"
    for root, plurals in (
        ("/api/v1", ("secrets", "configmaps", "services", "resourcequotas", "limitranges", "persistentvolumeclaims")),
        ("/apis/apps/v1", ("deployments",)),
        ("/apis/batch/v1", ("jobs",)),
        ("/apis/networking.k8s.io/v1", ("networkpolicies",)),
        (GATEWAY, ("gateways", "httproutes", "tlsroutes")),
    )
    for plural in plurals
]
OF_A_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")


class Runs:
    """The controller, which a test may stop and start."""

    def __init__(self, cp: ControlPlane, folder: Path) -> None:
        self._cp, self._folder = cp, folder
        self.decco: Decco | None = None

    def start(self) -> Decco:
        self.decco = Decco(self._cp, self._folder).start()
        return self.decco

    def stop(self) -> None:
        if self.decco is not None:
            assert self.decco.stop() == 0, self.decco.tail()
            assert_no_defects(self.decco)
        self.decco = None

    def restart(self) -> Decco:
        self.stop()
        return self.start()


@pytest.fixture
def runs(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Runs]:
    runs = Runs(control_plane, tmp_path)
    runs.start()
    yield runs
    runs.stop()


def make(cluster: Cluster, name: str) -> None:
    """A Space with one of each kind of child, two Apps and a Job, and a PersistentVolumeClaim that stands for data."""
    if cluster.get("/api/v1/namespaces/decco/secrets/owner-tls") is None:
        cluster.create(tls_secret("owner-tls"))
    limits = {"resourceQuota": {"hard": {"pods": "9"}}, "limitRange": {"limits": [{"type": "Container"}]}}
    cluster.make_space(name, httpCertSecretName="owner-tls", tcpCertAndCaSecretName="owner-tls", **limits)
    endpoints = [{"name": "web", "port": 8080, "httpPath": "/"}, {"name": "db", "port": 5432}]
    cluster.create(app(name, "web", endpoints=endpoints))
    cluster.create(app(name, "migrate", endpoints=[], runAsJob=True))
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    claim["spec"] |= {"resources": {"requests": {"storage": "1Mi"}}}  # type: ignore[operator]
    cluster.cp.create(f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)
    eventually(lambda: cluster.deployment(name, "web"), SECONDS)
    eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{name}/tlsroutes/db"), SECONDS)
    eventually(lambda: cluster.get(f"/apis/batch/v1/namespaces/{name}/jobs/migrate"), SECONDS)


def recorded(cluster: Cluster, name: str) -> list[tuple[str, Obj]]:
    """(collection, object) of all that a backup tool keeps of a namespace, without what a server adds."""
    found: list[tuple[str, Obj]] = [("/api/v1/namespaces", cluster.get(f"/api/v1/namespaces/{name}") or {})]
    for collection in COLLECTIONS:
        path = collection.format(n=name)
        found += [(path, obj) for obj in cluster.items(path) if obj["metadata"]["name"] != "kube-root-ca.crt"]
    return [(path, without_server(obj)) for path, obj in found]


def without_server(obj: Obj) -> Obj:
    kept = {key: value for key, value in obj.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in OF_A_SERVER}
    spec = kept.get("spec")
    if isinstance(spec, dict) and "podReplacementPolicy" in spec:  # a Job: its selector is the server's
        del spec["selector"]
        labels = spec["template"]["metadata"]["labels"]
        for label in [label for label in labels if label.endswith(("controller-uid", "job-name"))]:
            del labels[label]
    if isinstance(spec, dict) and "clusterIP" in spec:
        spec = {key: value for key, value in spec.items() if key not in ("clusterIP", "clusterIPs")}
        kept["spec"] = spec
    return kept


def uids(cluster: Cluster, name: str) -> dict[str, str]:
    return {what: obj["metadata"]["uid"] for what, obj in everything(cluster, name).items()}


def versions(cluster: Cluster, name: str) -> dict[str, str]:
    """Without those that other controllers go on writing to."""
    found = everything(cluster, name).items()
    return {what: obj["metadata"]["resourceVersion"] for what, obj in found if obj["metadata"]["name"] != "data"}


def everything(cluster: Cluster, name: str) -> dict[str, Obj]:
    found = {"namespace": cluster.get(f"/api/v1/namespaces/{name}") or {"metadata": {"uid": ""}}}
    for collection in COLLECTIONS:
        for obj in cluster.items(collection.format(n=name)):
            found[f"{collection.rpartition('/')[2]}/{obj['metadata']['name']}"] = obj
    return found


def owners(cluster: Cluster, name: str) -> dict[str, str]:
    """What each child says is its controller, by kind and name."""
    found = {}
    for collection in COLLECTIONS:
        for obj in cluster.items(collection.format(n=name)):
            if (obj["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "decco":
                refs = [ref for ref in obj["metadata"].get("ownerReferences") or [] if ref.get("controller")]
                what = f"{collection.rpartition('/')[2]}/{obj['metadata']['name']}"
                found[what] = refs[0]["uid"] if refs else ""
    return found


def is_whole(cluster: Cluster, name: str) -> bool:
    """Whether namespace and children belong to the Space and Apps that are there now; fails with what does not."""
    made = cluster.space(name)
    namespace = cluster.get(f"/api/v1/namespaces/{name}")
    assert made is not None, "no Space"
    assert namespace is not None, "no namespace"
    known = {made["metadata"]["uid"], *(each["metadata"]["uid"] for each in cluster.items(apps_of(name)))}
    refs = namespace["metadata"].get("ownerReferences") or [{}]
    assert refs[0].get("uid") in known, f"the namespace is another's: {namespace}"
    children = owners(cluster, name)
    strange = {child: owner for child, owner in children.items() if owner not in known}
    assert not strange, f"of another owner: {strange}; status: {made.get('status')}"
    assert len(children) > 10, f"only {sorted(children)}; status: {made.get('status')}"
    ready = cluster.space_condition(name, "NetworkReady") or {}
    assert ready.get("status") == "True", f"NetworkReady: {ready}"
    return True


def apps_of(name: str) -> str:
    return f"{APIS}/namespaces/{name}/apps"


def gone(cluster: Cluster, name: str) -> None:
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: cluster.space(name) is None, SECONDS)
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{name}") is None, 60, "the namespace goes with its Space")


def orphan(cluster: Cluster, path: str) -> None:
    """kubectl delete --cascade=orphan"""
    answer = cluster.cp.request("DELETE", path, {"propagationPolicy": "Orphan"})
    assert answer.status == 200, answer.body
    eventually(lambda: cluster.get(path) is None, SECONDS)


def message_of(cluster: Cluster, name: str, kind: str, reason: str) -> str:
    found = cluster.space_condition(name, kind) or {}
    return str(found["message"]) if found.get("reason") == reason else ""


class TestRestore:
    """A backup tool creates all as it was, without owner references, under new UIDs."""

    @pytest.mark.parametrize(
        ("order", "running"),
        [
            ("namespace children apps space", False),
            pytest.param("namespace children space apps", False, marks=full),
            pytest.param("namespace apps children space", True, marks=full),
            pytest.param("space namespace apps children", True, marks=full),
        ],
    )
    def test_all_is_taken_back(self, cluster: Cluster, runs: Runs, name: str, order: str, running: bool) -> None:
        make(cluster, name)
        assert runs.decco is not None
        runs.decco.settle()
        backup = recorded(cluster, name)
        made, apps = cluster.space(name) or {}, cluster.items(apps_of(name))
        gone(cluster, name)
        if not running:
            runs.stop()

        def restore(objects: list[tuple[str, Obj]]) -> None:
            for path, obj in objects:
                answer = cluster.cp.request("POST", path, obj)
                assert answer.status in (201, 409), (path, answer.status, answer.body)  # 409: decco was faster

        parts = {
            "namespace": backup[:1],
            "children": backup[1:],
            "space": [(f"{APIS}/spaces", without_server(made))],
            "apps": [(apps_of(name), without_server(each)) for each in apps],
        }
        for part in order.split():
            restore(parts[part])
        restored = uids(cluster, name)
        assert "persistentvolumeclaims/data" in restored
        if not running:
            runs.start()
        eventually(lambda: is_whole(cluster, name), SECONDS)
        assert uids(cluster, name).items() >= restored.items(), "nothing that was restored is deleted or replaced"
        if not running:
            job = cluster.get(f"/apis/batch/v1/namespaces/{name}/jobs/migrate") or {}
            assert job["metadata"]["generation"] == 1, "a Job that was restored is not suspended: its pods go on"
        runs.decco.settle()
        before = versions(cluster, name)
        runs.restart().settle()
        assert versions(cluster, name) == before, "a restart changes nothing"
        assert is_whole(cluster, name)
        cluster.delete(f"{APIS}/spaces/{name}")

    def test_a_network_policy_without_the_hash_annotation_is_put_right(
        self, cluster: Cluster, runs: Runs, name: str
    ) -> None:
        labels = {"app.kubernetes.io/managed-by": "decco", "decco.platform9.com/space": name}
        annotations = {"decco.platform9.com/fqdn": f"{name}.example.net", "decco.platform9.com/hash": "0" * 24}
        cluster.cp.create(
            "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels, "annotations": annotations}}
        )
        policies = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies"
        opened = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
        made = cluster.cp.create(policies, {"metadata": {"name": "decco", "labels": labels}, "spec": opened})
        cluster.make_space(name)
        policy = cluster.get(f"{policies}/decco") or {}
        assert policy["metadata"]["uid"] == made["metadata"]["uid"]
        assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
        cluster.delete(f"{APIS}/spaces/{name}")

    def test_what_was_restored_and_is_not_wanted_is_reported_and_stays(
        self, cluster: Cluster, runs: Runs, name: str
    ) -> None:
        """decco is not among its field managers: it may be a copy that somebody made by hand."""
        cluster.make_space(name)
        cluster.create(app(name, "web", endpoints=[]))
        labels = {
            "app.kubernetes.io/managed-by": "decco",
            "decco.platform9.com/space": name,
            "decco.platform9.com/app": "web",
        }
        meta = {"name": "old", "labels": labels, "annotations": {"decco.platform9.com/hash": "0" * 24}}
        services = f"/api/v1/namespaces/{name}/services"
        cluster.cp.create(services, {"metadata": meta, "spec": {"ports": [{"port": 80}]}})
        note = eventually(lambda: event(cluster, name, "LeftOver"), SECONDS)
        assert f"Service {name}/old" in note
        assert f"kubectl delete services old --namespace {name}" in note
        assert runs.decco is not None
        runs.decco.settle()
        assert cluster.get(f"{services}/old") is not None
        cluster.delete(f"{APIS}/spaces/{name}")


def event(cluster: Cluster, namespace: str, reason: str) -> str:
    events = cluster.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    return next((str(each["note"]) for each in events if each.get("reason") == reason), "")


class TestOrphaning:
    """kubectl delete --cascade=orphan, and an object of the same name again."""

    @pytest.mark.parametrize("restart", [False, True], ids=["same-process", "after-restart"])
    def test_a_space_of_the_same_domain_and_project_takes_its_namespace_back(
        self, cluster: Cluster, runs: Runs, name: str, restart: bool
    ) -> None:
        make(cluster, name)
        before = uids(cluster, name)
        made = cluster.space(name) or {}
        orphan(cluster, f"{APIS}/spaces/{name}")
        if restart:
            runs.restart()
        cluster.create(space(name, **made["spec"] | {"domain": made["spec"].pop("domainName")}))
        eventually(lambda: is_whole(cluster, name), SECONDS)
        assert uids(cluster, name).items() >= before.items()
        cluster.delete(f"{APIS}/spaces/{name}")

    @pytest.mark.parametrize(
        "restart", [pytest.param(False, id="same-process"), pytest.param(True, id="after-restart", marks=full)]
    )
    @pytest.mark.parametrize("other", [{"domain": "evil.test", "project": "bank"}, {"project": "widgets"}, {}], ids=str)
    def test_a_space_of_another_domain_or_project_gets_nothing(
        self, cluster: Cluster, runs: Runs, name: str, restart: bool, other: dict[str, Any]
    ) -> None:
        cluster.make_space(name, project="bank")
        path = f"/api/v1/namespaces/{name}"
        orphan(cluster, f"{APIS}/spaces/{name}")
        eventually(lambda: not (cluster.get(path) or {})["metadata"].get("ownerReferences"), SECONDS)
        before = cluster.get(path)
        if restart:
            runs.restart()
        cluster.create(space(name, **other))
        said = eventually(lambda: message_of(cluster, name, "NamespaceReady", "Conflict"), SECONDS)
        assert f"of '{name}.example.net' and project 'bank'" in said
        assert runs.decco is not None
        runs.decco.settle()
        assert cluster.get(path) == before
        cluster.delete(f"{APIS}/spaces/{name}")
        cluster.delete(path)

    def test_what_an_app_left_on_purpose_is_not_removed_and_is_taken_back(
        self, cluster: Cluster, runs: Runs, name: str
    ) -> None:
        make(cluster, name)
        deployment = cluster.deployment(name, "web") or {}
        made = cluster.app(name, "web") or {}
        orphan(cluster, f"{apps_of(name)}/web")
        runs.restart().settle()
        left = cluster.deployment(name, "web") or {}
        assert left["metadata"]["uid"] == deployment["metadata"]["uid"]
        assert "Deployment" in eventually(lambda: space_event(cluster, name, "LeftOver"), SECONDS)
        cluster.create(app(name, "web", **made["spec"]))
        eventually(lambda: is_whole(cluster, name), SECONDS)
        assert (cluster.deployment(name, "web") or {})["metadata"]["uid"] == deployment["metadata"]["uid"]
        cluster.delete(f"{APIS}/spaces/{name}")

    def test_a_namespace_that_outlives_its_space_is_reported(self, cluster: Cluster, runs: Runs, name: str) -> None:
        cluster.make_space(name)
        runs.stop()
        cluster.patch(f"/api/v1/namespaces/{name}", {"metadata": {"ownerReferences": None}})
        cluster.delete(f"{APIS}/spaces/{name}")
        decco = runs.start()
        eventually(lambda: f"kubectl delete namespaces {name}" in decco.tail(10_000), SECONDS)
        assert cluster.get(f"/api/v1/namespaces/{name}") is not None
        cluster.delete(f"/api/v1/namespaces/{name}")


def space_event(cluster: Cluster, name: str, reason: str) -> str:
    """Events about cluster-scoped objects are in the namespace default."""
    events = cluster.items("/apis/events.k8s.io/v1/namespaces/default/events")
    notes = (str(e["note"]) for e in events if e.get("reason") == reason and e["regarding"].get("name") == name)
    return " ".join(notes)


WANTED_NO_MORE = [
    "/api/v1/namespaces/{n}/services/web",
    "/api/v1/namespaces/{n}/resourcequotas/decco",
    "/api/v1/namespaces/{n}/limitranges/decco",
    "/api/v1/namespaces/{n}/secrets/owner-tls",
    "/api/v1/namespaces/{n}/configmaps/web-stunnel",
    "/apis/batch/v1/namespaces/{n}/jobs/migrate",
    "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies/app-web",
    GATEWAY + "/namespaces/{n}/httproutes/web",
    GATEWAY + "/namespaces/{n}/tlsroutes/db",
]


def want_no_more(cluster: Cluster, name: str) -> None:
    nothing = dict.fromkeys(("resourceQuota", "limitRange", "httpCertSecretName", "tcpCertAndCaSecretName"))
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": nothing})
    cluster.patch(f"{apps_of(name)}/web", {"spec": {"endpoints": []}})
    cluster.patch(f"{apps_of(name)}/migrate", {"spec": {"runAsJob": False}})


class TestWithoutOwnerReference:
    def test_what_is_not_wanted_any_more_is_removed_although_it_lost_its_owner_while_decco_was_down(
        self, cluster: Cluster, runs: Runs, name: str
    ) -> None:
        make(cluster, name)
        assert runs.decco is not None
        runs.decco.settle()
        runs.stop()
        for path in WANTED_NO_MORE:
            cluster.patch(path.format(n=name), {"metadata": {"ownerReferences": None}})
        want_no_more(cluster, name)
        runs.start()
        for path in WANTED_NO_MORE:
            eventually(lambda path=path: cluster.get(path.format(n=name)) is None, SECONDS, path)  # type: ignore[misc]
        cluster.delete(f"{APIS}/spaces/{name}")

    def test_the_same_in_the_moment_in_which_it_is_dropped(self, cluster: Cluster, runs: Runs, name: str) -> None:
        cluster.make_space(name)
        names = [f"r{number}" for number in range(8)]
        for each in names:
            cluster.create(app(name, each, endpoints=[{"name": each, "port": 8080}]))
            eventually(lambda each=each: cluster.service(name, each), SECONDS)  # type: ignore[misc]
            cluster.patch(f"/api/v1/namespaces/{name}/services/{each}", {"metadata": {"ownerReferences": None}})
            cluster.patch(f"{apps_of(name)}/{each}", {"spec": {"endpoints": []}})
        for each in names:
            eventually(lambda each=each: cluster.service(name, each) is None, SECONDS)  # type: ignore[misc]
        cluster.delete(f"{APIS}/spaces/{name}")

    @pytest.mark.parametrize(
        "restart", [pytest.param(False, id="same-process"), pytest.param(True, id="after-restart", marks=full)]
    )
    def test_an_object_without_owner_and_labels_has_no_owner(
        self, cluster: Cluster, runs: Runs, name: str, restart: bool
    ) -> None:
        cluster.make_space(name)
        cluster.create(app(name, "web", endpoints=[{"name": "web", "port": 8080}]))
        path = f"/api/v1/namespaces/{name}/services/web"
        eventually(lambda: cluster.get(path), SECONDS)
        assert runs.decco is not None
        runs.decco.settle()
        runs.stop()
        nothing = {"ownerReferences": None, "labels": None, "annotations": None}
        theirs = cluster.patch(path, {"metadata": nothing})
        runs.start()
        eventually(lambda: (cluster.app_condition(name, "web", "Ready") or {}).get("reason") == "Conflict", SECONDS)
        if restart:
            runs.restart().settle()
        assert cluster.get(path) == theirs
        cluster.delete(f"{APIS}/spaces/{name}")

    def test_a_forged_owner_reference_does_not_make_a_namespace_decco_s(
        self, cluster: Cluster, runs: Runs, name: str
    ) -> None:
        """Who may write namespaces waits for the Space's Secrets in one of that name."""
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made = cluster.create(space(name, httpCertSecretName="owner-tls"))
        eventually(lambda: message_of(cluster, name, "NamespaceReady", "Conflict"), SECONDS)
        reference = {"apiVersion": made["apiVersion"], "kind": "Space", "name": name, "uid": made["metadata"]["uid"]}
        labels = {"app.kubernetes.io/managed-by": "decco"}
        meta = {"labels": labels, "ownerReferences": [{**reference, "controller": True}]}
        forged = cluster.patch(f"/api/v1/namespaces/{name}", {"metadata": meta})
        runs.restart().settle()
        assert message_of(cluster, name, "NamespaceReady", "Conflict")
        assert cluster.get(f"/api/v1/namespaces/{name}") == forged
        assert cluster.items(f"/api/v1/namespaces/{name}/secrets") == []
        cluster.delete(f"{APIS}/spaces/{name}")


def test_a_secret_of_a_tenant_with_labels_but_no_sign_of_a_copy_is_not_overwritten(
    cluster: Cluster, runs: Runs, name: str
) -> None:
    cluster.make_space(name)
    if cluster.get("/api/v1/namespaces/decco/secrets/owner-tls") is None:
        cluster.create(tls_secret("owner-tls"))
    theirs = tls_secret("owner-tls", namespace=name, share=None)
    theirs["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "decco", "decco.platform9.com/space": name}
    made = cluster.create(theirs)
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"httpCertSecretName": "owner-tls"}})
    eventually(lambda: message_of(cluster, name, "CertificatesReady", "Conflict"), SECONDS)
    assert cluster.get(f"/api/v1/namespaces/{name}/secrets/owner-tls") == made
    cluster.create(app(name, "web", pod=pod(8080), endpoints=[]))
    cluster.delete(f"{APIS}/spaces/{name}")


@full
def test_a_copied_owner_reference_in_another_namespace_is_nobodys(cluster: Cluster, runs: Runs, name: str) -> None:
    """Whoever may write in one namespace can copy what identifies the children of another Space or App."""
    other = f"{name}-b"
    for each in (name, other):
        cluster.make_space(each)
    cluster.create(app(name, "web", endpoints=[]))
    eventually(lambda: cluster.deployment(name, "web"), SECONDS)
    path = f"/api/v1/namespaces/{other}/configmaps/forged"
    for owner in (cluster.space(name), cluster.app(name, "web")):
        assert owner is not None
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
        labels = {"app.kubernetes.io/managed-by": "decco", "decco.platform9.com/space": name}
        meta = {"name": "forged", "namespace": other, "labels": labels, "finalizers": ["test.example/hold"]}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "ownerReferences": [reference]}})
        cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"labels": {"touch": owner["kind"].lower()}}})
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"initialReplicas": 2}})
        assert runs.decco is not None
        runs.decco.settle()
        mark = cluster.cp.audit_mark()
        runs.restart().settle()
        writes = cluster.cp.audit("decco-controller", since=mark, writes=True)
        assert not [each for each in writes if (each.namespace, each.name) == (other, "forged")]
        cluster.patch(path, {"metadata": {"finalizers": None}})
        cluster.delete(path)
        eventually(lambda: cluster.get(path) is None, SECONDS)
