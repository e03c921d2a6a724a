"""What decco sends to the API server, counted: exactly the children, one status, and nothing when nothing happens."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from testbed.audit import AuditEvent
from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, pod, space, tls_secret

SETTLED_APPS = 200
SETTLED_SPACES = 20
IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "10"))
"""How long the quiet is listened to; `make idle` listens for 60 s."""
TOUCHES = 1000


def _counted(events: list[AuditEvent]) -> Counter[str]:
    """ "verb resource/subresource" -> how often; the Events that people read are not children."""
    return Counter(
        f"{event.verb} {event.resource}" + (f"/{event.subresource}" if event.subresource else "")
        for event in events
        if event.resource != "events"
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
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True)) == {
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
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True)) == {
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
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True)) == {
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
        eventually(lambda: cluster.deployment(name, "web") is None, 10)
        eventually(lambda: cluster.service(name, "web") is None, 10)
        decco.settle()
        assert _counted(cluster.cp.audit("decco", since=mark, writes=True)) == {}


def test_nothing_to_do_means_nothing_sent(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    """200 Apps settled: a time of quiet, a restart of the controller and 1,000 touches of an annotation: no write at all,
    and no read but LIST and WATCH.
    """
    cluster.create(tls_secret("idle-tls"))
    first = Decco(control_plane, tmp_path).start()
    try:
        spaces = [f"idle-{number:02d}" for number in range(SETTLED_SPACES)]
        for each in spaces:
            cluster.create(space(each, project="p", tcpCertAndCaSecretName="idle-tls"))
        for each in spaces:
            eventually(lambda each=each: cluster.condition(cluster.space(each), "NetworkReady"), 20)
        for number in range(SETTLED_APPS):
            cluster.create(_app_in_all_its_variety(spaces[number % SETTLED_SPACES], number))
        first.settle(quiet=2.0, seconds=120)
        mark = cluster.cp.audit_mark()
        time.sleep(IDLE_SECONDS)
        assert _of_spaces_and_apps(cluster.cp.audit("decco", since=mark)) == []
    finally:
        assert first.stop() == 0

    mark = cluster.cp.audit_mark()
    second = Decco(control_plane, tmp_path).start()
    try:
        second.settle(quiet=2.0)
        assert second.metric("decco_reconcile_total{") >= SETTLED_APPS + SETTLED_SPACES
        for number in range(TOUCHES):
            namespace = spaces[number % SETTLED_SPACES]
            path = f"{APIS}/namespaces/{namespace}/apps/app-{number % SETTLED_APPS:03d}"
            cluster.patch(path, {"metadata": {"annotations": {"unrelated": str(number)}}})
        second.settle(quiet=2.0)
        events = cluster.cp.audit("decco", since=mark)
        assert [event for event in events if event.writes] == []
        discovery = {"/apis/gateway.networking.k8s.io", "/apis/traefik.io", "/apis/decco.platform9.com"}
        reads = {
            event.verb
            for event in events
            if not any(event.uri.startswith(path) for path in discovery) or event.resource
        }
        assert reads <= {"list", "watch"}, Counter((event.verb, event.uri) for event in events)
    finally:
        assert second.stop() == 0


def _of_spaces_and_apps(events: list[AuditEvent]) -> list[AuditEvent]:
    """All but the ends and renewals of watches."""
    return [event for event in events if event.verb != "watch"]


def _app_in_all_its_variety(namespace: str, number: int) -> dict[str, object]:
    """Every fifth App is of the same kind; values in them are such as the API server writes in another way."""
    name = f"app-{number:03d}"
    match number % 5:
        case 0:
            return app(namespace, name, httpUrlPath=f"/{name}")
        case 1:
            return app(namespace, name)
        case 2:
            odd = pod(8080, hostNetwork=False, nodeSelector={}, securityContext={}, terminationGracePeriodSeconds=0)
            odd["containers"][0] |= {
                "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": 1}},
                "env": [{"name": "EMPTY", "value": ""}],
                "command": [],
                "livenessProbe": {"httpGet": {"port": "8080", "path": "/"}, "initialDelaySeconds": 0},
                "stdin": False,
            }
            return app(namespace, name, pod=odd, endpoints=[])
        case 3:
            return app(namespace, name, runAsJob=True, pod=pod(restartPolicy="Never"))
        case _:
            egress = {
                "localPort": 6000,
                "endpoint": f"app-{number - 3:03d}",
                "spaceName": f"idle-{(number - 3) % 20:02d}",
            }
            return app(namespace, name, endpoints=[], tlsEgresses=[egress])
