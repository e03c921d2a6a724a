"""What decco sends to the API server, counted: exactly the children, one status, and nothing when nothing happens."""

from __future__ import annotations

from collections import Counter

import pytest

from testbed.audit import AuditEvent
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, pod, tls_secret


def _counted(events: list[AuditEvent], space: str) -> Counter[str]:
    """ "verb resource/subresource" -> how often in this Space; the Events that people read are not children.

    Apps of other tests are still in the cluster, and what they report may change with time alone.
    """
    return Counter(
        f"{event.verb} {event.resource}" + (f"/{event.subresource}" if event.subresource else "")
        for event in events
        if event.resource != "events" and space in (event.namespace, event.name)
    )


class TestOneApp:
    """With the module's controller."""

    @pytest.fixture(autouse=True)
    def _secrets(self, cluster: Cluster) -> None:
        if cluster.get("/api/v1/namespaces/decco/secrets/cost-tls") is None:
            cluster.create(tls_secret("cost-tls"))

    def test_a_space_costs_its_children_and_one_status(self, cluster: Cluster, decco: Decco, name: str) -> None:
        decco.settle()
        mark = cluster.cp.audit_mark()
        cluster.make_space(name, project="foo")
        decco.settle()
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True), name) == {
            "create namespaces": 1,
            "create networkpolicies": 1,
            "create gateways": 1,
            "create httproutes": 1,  # from http to https
            "update spaces/status": 1,
        }

    def test_an_app_costs_its_children_and_one_status(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name, tcpCertAndCaSecretName="cost-tls")
        decco.settle()
        mark = cluster.cp.audit_mark()
        cluster.create(
            app(
                name,
                "web",
                endpoints=[{"name": "web", "port": 8080, "httpPath": "/web"}, {"name": "db", "port": 5432}],
            )
        )
        eventually(lambda: (cluster.app(name, "web") or {}).get("status"), 5)
        decco.settle()
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True), name) == {
            "create networkpolicies": 1,
            "create configmaps": 1,
            "create services": 2,
            "create deployments": 1,
            "create httproutes": 1,
            "create tlsroutes": 1,
            "update apps/status": 1,
        }

    def test_one_changed_child_costs_one_write_and_one_status(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name)
        cluster.create(app(name, "web", httpUrlPath="/a"))
        eventually(lambda: (cluster.app(name, "web") or {}).get("status"), 5)
        decco.settle()
        mark = cluster.cp.audit_mark()
        changed = pod(8080, image="registry.example/app:2")
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"pod": changed}})
        eventually(lambda: "app:2" in str(cluster.deployment(name, "web")), 5)
        decco.settle()
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True), name) == {
            "update deployments": 1,
            "update apps/status": 1,  # observedGeneration
        }

    def test_a_deleted_app_costs_nothing(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name)
        cluster.create(app(name, "web", httpUrlPath="/a"))
        eventually(lambda: (cluster.app(name, "web") or {}).get("status"), 5)
        decco.settle()
        mark = cluster.cp.audit_mark()
        cluster.delete(f"{APIS}/namespaces/{name}/apps/web")
        eventually(lambda: cluster.deployment(name, "web") is None, 40)
        eventually(lambda: cluster.service(name, "web") is None, 40)
        decco.settle()
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True), name) == {}
