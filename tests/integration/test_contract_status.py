"""What users and programs can read: conditions, Events, kubectl's output, metrics, flags. Seen from outside only."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.api import RequestFailed
from testbed.certificates import self_signed
from tests.integration.by_hand import accept_listeners, answer_route, now, pods, run_pods
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, tls_secret


@pytest.fixture(autouse=True)
def _ready(decco: Decco, cluster: Cluster) -> None:
    """Every test needs the controller, and a certificate."""
    if cluster.get("/api/v1/namespaces/decco/secrets/status-tls") is None:
        cluster.create(tls_secret("status-tls"))


def secrets_of(cluster: Cluster, name: str) -> Obj:
    """The fields of a Space of this name whose endpoints all have certificates."""
    cluster.create(tls_secret(name))
    return {"httpCertSecretName": name, "tcpCertAndCaSecretName": name}


def status_of(cluster: Cluster, namespace: str, name: str = "web") -> Obj:
    return dict((cluster.app(namespace, name) or {}).get("status") or {})


def reason_of(cluster: Cluster, namespace: str, kind: str, name: str = "web") -> str:
    """A condition of an App as "True" or as its reason; "absent" if it is not there."""
    return _reason_of(cluster.app_condition(namespace, name, kind))


def reason_of_space(cluster: Cluster, name: str, kind: str) -> str:
    return _reason_of(cluster.space_condition(name, kind))


def _reason_of(found: Obj | None) -> str:
    if found is None:
        return "absent"
    return "True" if found["status"] == "True" else str(found["reason"])


def events(cluster: Cluster, namespace: str, kind: str, name: str) -> list[tuple[str, str, str]]:
    """(type, reason, message) of decco's Events about an object, the oldest first."""
    where = namespace or "default"
    found = [
        event
        for event in cluster.items(f"/apis/events.k8s.io/v1/namespaces/{where}/events")
        if event["reportingController"] == "decco-controller"
        and (event["regarding"]["kind"], event["regarding"].get("name")) == (kind, name)
    ]
    found.sort(key=lambda event: str(event["eventTime"]))
    return [(event["type"], event["reason"], event["note"]) for event in found]


def make_ready(cluster: Cluster, namespace: str) -> None:
    accept_listeners(cluster, namespace, "192.0.2.1")
    answer_route(cluster, namespace, "httproutes", "web")
    answer_route(cluster, namespace, "tlsroutes", "db")
    run_pods(cluster, namespace, "web")


ENDPOINTS = [{"name": "web", "port": 8080, "httpPath": "/web"}, {"name": "db", "port": 5432}]


# -- conditions -------------------------------------------------------------------------------------------------------


class TestReady:
    """From nothing to Ready and back, as a person with kubectl sees it."""

    def test_all_becomes_ready_and_kubectl_waits_for_it(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, **secrets_of(cluster, name))
        cluster.create(app(name, "web", endpoints=ENDPOINTS))
        eventually(lambda: reason_of(cluster, name, "WorkloadReady") == "Progressing", 10)
        for kind in ("space", "app"):
            with pytest.raises(RequestFailed, match="timed out"):
                cluster.cp.kubectl("wait", "--for=condition=Ready", kind, "--all", "-n", name, "--timeout=0.1s")
        make_ready(cluster, name)
        waited = ("wait", "--for=condition=Ready", "-n", name, "--timeout=20s")
        assert "condition met" in cluster.cp.kubectl(*waited, "dapp", "web")
        assert "condition met" in cluster.cp.kubectl(*waited, "space", name)
        for obj in (cluster.app(name, "web") or {}, cluster.space(name) or {}):
            status = obj["status"]
            assert status["observedGeneration"] == obj["metadata"]["generation"]
            for each in status["conditions"]:
                assert each["status"] == "True", each
                assert each["observedGeneration"] == obj["metadata"]["generation"]
                assert re.fullmatch(r"[A-Z][A-Za-z]+", each["reason"])
                assert each["message"]
        kinds = [each["type"] for each in status_of(cluster, name)["conditions"]]
        assert kinds == ["Ready", "WorkloadReady", "CertificatesReady", "RoutesReady"]

        # A pod that is no longer ready ends the promise.
        (only,) = pods(cluster, name, "web")
        path = f"/api/v1/namespaces/{name}/pods/{only['metadata']['name']}/status"
        not_ready = {"type": "Ready", "status": "False", "lastTransitionTime": now()}
        cluster.patch(path, {"status": {"conditions": [not_ready]}})
        eventually(lambda: reason_of(cluster, name, "Ready") == "Unavailable", 15)
        run_pods(cluster, name, "web")
        eventually(lambda: reason_of(cluster, name, "Ready") == "True", 15)

    def test_each_change_of_a_condition_is_an_event(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, httpCertSecretName="status-tls", tcpCertAndCaSecretName=name)
        cluster.create(app(name, "web", endpoints=ENDPOINTS))
        eventually(lambda: reason_of(cluster, name, "CertificatesReady") == "SecretMissing", 10)
        cluster.create(tls_secret(name))
        make_ready(cluster, name)
        eventually(lambda: reason_of(cluster, name, "Ready") == "True", 20)

        def heard(kind: str, obj: str, *wanted: tuple[str, str, str]) -> bool:
            """Whether there is an Event of this type and reason about this condition."""
            found = events(cluster, name if kind == "App" else "", kind, obj)
            return all(
                any((type_, reason) == each[:2] and each[2].startswith(f"{condition}: ") for each in found)
                for type_, reason, condition in wanted
            )

        eventually(
            lambda: heard(
                "App",
                "web",
                ("Normal", "Progressing", "WorkloadReady"),
                ("Normal", "Reconciled", "WorkloadReady"),
                ("Warning", "SecretMissing", "CertificatesReady"),
                ("Normal", "Reconciled", "CertificatesReady"),
                ("Normal", "WaitingForEdge", "RoutesReady"),
                ("Normal", "Reconciled", "RoutesReady"),
                ("Normal", "Ready", "Ready"),
            ),
            10,
            str(events(cluster, name, "App", "web")),
        )
        eventually(
            lambda: heard(
                "Space",
                name,
                ("Normal", "Reconciled", "NamespaceReady"),
                ("Normal", "Reconciled", "NetworkReady"),
                ("Warning", "SecretMissing", "CertificatesReady"),
                ("Normal", "Reconciled", "CertificatesReady"),
                ("Normal", "WaitingForEdge", "RoutesReady"),
                ("Normal", "Reconciled", "RoutesReady"),
                ("Normal", "Ready", "Ready"),
            ),
            10,
            str(events(cluster, "", "Space", name)),
        )
        described = cluster.cp.kubectl("describe", "app", "web", "-n", name)
        assert re.search(r"Warning +SecretMissing .* decco-controller +CertificatesReady: no Secret", described)
        assert "decco-controller  Ready: " in cluster.cp.kubectl("describe", "space", name)
        before = len(events(cluster, name, "App", "web"))
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"metadata": {"annotations": {"touched": "1"}}})
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"jobBackoffLimit": None}})
        assert len(events(cluster, name, "App", "web")) == before

    def test_only_a_change_of_the_status_moves_its_time(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name, **secrets_of(cluster, name))
        cluster.create(app(name, "web", endpoints=[]))
        eventually(lambda: reason_of(cluster, name, "WorkloadReady") == "Progressing", 10)
        first = cluster.app_condition(name, "web", "WorkloadReady") or {}
        eventually(lambda: now() > first["lastTransitionTime"], 3)
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"pod": pod(image="registry.example/app:2")}})
        eventually(lambda: status_of(cluster, name)["observedGeneration"] == 2, 5)
        second = cluster.app_condition(name, "web", "WorkloadReady") or {}
        assert second["observedGeneration"] == 2
        assert second["lastTransitionTime"] == first["lastTransitionTime"]
        eventually(lambda: run_pods(cluster, name, "web") and reason_of(cluster, name, "WorkloadReady") == "True", 20)
        third = cluster.app_condition(name, "web", "WorkloadReady") or {}
        assert third["lastTransitionTime"] > first["lastTransitionTime"]

    def test_an_expiring_certificate_is_reported_at_its_expiry(self, cluster: Cluster, name: str) -> None:
        """Nothing changes in the cluster but the time; and a renewed one is taken at once."""
        cluster.make_space(name, tcpCertAndCaSecretName=name)
        cluster.create(app(name, "web", endpoints=[{"name": "db", "port": 8080}]))
        eventually(lambda: reason_of(cluster, name, "CertificatesReady") == "SecretMissing", 10)
        certificate, key = self_signed([f"{name}.example.net", f"db.{name}.example.net"], days=5 / 86_400)
        cluster.create(tls_secret(name, **{"tls.crt": certificate, "tls.key": key}))
        eventually(lambda: reason_of(cluster, name, "CertificatesReady") == "True", 5)
        eventually(lambda: reason_of(cluster, name, "CertificatesReady") == "CertificateExpired", 10)
        eventually(lambda: reason_of_space(cluster, name, "CertificatesReady") == "CertificateExpired", 5)
        assert cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}"), "what runs goes on"
        cluster.patch(f"/api/v1/namespaces/decco/secrets/{name}", {"data": tls_secret(name)["data"]})
        eventually(lambda: reason_of(cluster, name, "CertificatesReady") == "True", 5)
        eventually(lambda: reason_of_space(cluster, name, "CertificatesReady") == "True", 5)

    def test_pods_that_admission_refuses(self, cluster: Cluster, name: str) -> None:
        """Pod Security does not refuse the Deployment, only its pods."""
        cluster.make_space(name)
        cluster.create(app(name, "web", pod=pod(8080, hostNetwork=True), endpoints=[]))
        eventually(lambda: reason_of(cluster, name, "WorkloadReady") == "ReplicaFailure", 30)
        message = (cluster.app_condition(name, "web", "WorkloadReady") or {})["message"]
        assert 'violates PodSecurity "baseline:latest": host namespaces' in message

    def test_a_quota_that_is_used_up(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, resourceQuota={"hard": {"services": "0"}})
        eventually(lambda: _quota_is_in_force(cluster, name), 10)
        cluster.create(app(name, "web", endpoints=[{"name": "web", "port": 8080, "httpPath": "/"}]))
        eventually(lambda: reason_of(cluster, name, "WorkloadReady") == "QuotaExceeded", 10)
        assert cluster.deployment(name, "web"), "one refused child keeps no other back"
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"resourceQuota": {"hard": {"services": "5"}}}})
        eventually(lambda: cluster.service(name, "web"), 40, "reconciled again without an event")


def _quota_is_in_force(cluster: Cluster, namespace: str) -> bool:
    quota = cluster.get(f"/api/v1/namespaces/{namespace}/resourcequotas/decco") or {}
    return (quota.get("status") or {}).get("hard") == quota.get("spec", {}).get("hard", "none")


def test_what_no_longer_applies_disappears(cluster: Cluster, name: str) -> None:
    cluster.make_space(name, **secrets_of(cluster, name))
    cluster.create(app(name, "web", endpoints=ENDPOINTS))
    eventually(lambda: status_of(cluster, name).get("replicas") == 1, 10)
    assert {"url", "endpoints"} <= status_of(cluster, name).keys()
    job = {"endpoints": [], "runAsJob": True, "pod": pod(restartPolicy="Never")}
    cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": job})
    eventually(lambda: status_of(cluster, name)["observedGeneration"] == 2, 5)
    eventually(lambda: status_of(cluster, name).keys() == {"observedGeneration", "conditions", "job"}, 30)
    eventually(
        lambda: reason_of(cluster, name, "CertificatesReady") == reason_of(cluster, name, "RoutesReady") == "absent", 5
    )
    assert reason_of_space(cluster, name, "CertificatesReady") == "True"
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"httpCertSecretName": None, "tcpCertAndCaSecretName": None}})
    eventually(lambda: reason_of_space(cluster, name, "CertificatesReady") == "absent", 5)


# -- kubectl ----------------------------------------------------------------------------------------------------------


class TestKubectl:
    """Columns, short names, categories, explain."""

    def test_columns(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, project="team-1", **secrets_of(cluster, name))
        cluster.create(app(name, "web", httpUrlPath="/w", initialReplicas=3))
        eventually(lambda: status_of(cluster, name).get("replicas") == 3, 10)
        spaces = cluster.cp.kubectl("get", "spaces", name).splitlines()
        assert spaces[0].split() == ["NAME", "DOMAIN", "PROJECT", "HOSTNAME", "READY", "AGE"]
        assert spaces[1].split()[:5] == [name, "example.net", "team-1", f"{name}.example.net", "False"]
        apps = cluster.cp.kubectl("get", "apps", "-n", name).splitlines()
        assert apps[0].split() == ["NAME", "URL", "REPLICAS", "READY", "AGE"]
        assert apps[1].split()[:4] == ["web", f"https://{name}.example.net/w", "3", "False"]
        both = cluster.cp.kubectl("get", "decco", "-n", name, "-o", "name").split()
        assert f"space.decco.platform9.com/{name}" in both
        assert "app.decco.platform9.com/web" in both
        # `kubectl delete all --all` must not delete Apps.
        assert "app.decco.platform9.com" not in cluster.cp.kubectl("get", "all", "-n", name, "-o", "name")

    def test_explain_documents_every_field(self, cluster: Cluster) -> None:
        for path in (
            "space.spec",
            "space.status",
            "app.spec",
            "app.spec.endpoints",
            "app.spec.tlsEgresses",
            "app.status",
        ):
            text = cluster.cp.kubectl("explain", path)
            fields = re.findall(r"^  (\w+)\t<.*>(?: -required-)?\n((?:    .*\n|  enum.*\n)*)", text, re.MULTILINE)
            assert fields, text
            assert all(description.strip() for _, description in fields), (path, fields)

    def test_the_crds_that_decco_prints_are_applied(self, cluster: Cluster) -> None:
        printed = _program("decco.cli.main", "crds")
        assert printed.returncode == 0, printed.stderr
        reason_of = cluster.cp.kubectl("apply", "--dry-run=server", "-f", "-", input=printed.stdout)
        assert reason_of.count("customresourcedefinition.apiextensions.k8s.io/") == 2


# -- the program ------------------------------------------------------------------------------------------------------

METRICS = """
decco_reconcile_total decco_reconcile_time_seconds decco_reconcile_errors_total decco_active_workers
decco_workqueue_depth decco_workqueue_adds_total decco_workqueue_queue_duration_seconds decco_workqueue_retries_total
decco_workqueue_work_duration_seconds decco_workqueue_unfinished_work_seconds
decco_workqueue_longest_running_processor_seconds decco_api_requests_total decco_watch_last_event_timestamp_seconds
decco_dns_calls_total decco_certificate_expiry_timestamp_seconds decco_leader decco_build_info
"""
FLAGS = (
    "--kubeconfig --context --namespace --config --metrics-bind-address --log-format --log-level --dry-run --version"
)


def _program(module: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
    argv = [sys.executable, "-m", module, *words]
    return subprocess.run(argv, env={**clean, **environment}, capture_output=True, text=True, check=False, timeout=30)


class TestProgram:
    """``decco-controller`` itself: metrics, health, flags, settings."""

    def test_metrics_are_there_from_the_start(self, decco: Decco) -> None:
        page = decco.get("/metrics")
        there = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}
        assert set(METRICS.split()) <= there
        assert "decco_leader 1.0" in page
        for controller in ("space", "app"):
            for result in ("success", "requeue", "error"):
                assert f'decco_reconcile_total{{controller="{controller}",result="{result}"}}' in page
        assert decco.get("/healthz").startswith("ok")
        assert decco.get("/readyz").startswith("ok")

    def test_the_expiry_of_a_certificate_is_a_metric_as_long_as_it_is_used(
        self, cluster: Cluster, decco: Decco, name: str
    ) -> None:
        sample = f'decco_certificate_expiry_timestamp_seconds{{secret="status-tls",space="{name}"}}'
        cluster.make_space(name, httpCertSecretName="status-tls")
        eventually(lambda: decco.metric(sample) > 1.7e9, 10)
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: sample not in decco.get("/metrics"), 15)

    def test_flags(self) -> None:
        text = _program("decco.cli.controller", "--help").stdout
        assert all(flag in text for flag in FLAGS.split())
        assert re.fullmatch(r"decco-controller \S+ .*\n", _program("decco.cli.controller", "--version").stdout)

    def test_the_later_source_of_a_setting_is_the_stronger(self, tmp_path: Path) -> None:
        file = tmp_path / "settings.yaml"
        file.write_text("namespace: of-file\nlogLevel: error\nedge: {namespace: of-file, cidrs: ['2001:db8::/32']}\n")
        variables = {"DECCO_LOG_LEVEL": "warning", "DECCO_EDGE__NAMESPACE": "of-environment", "DECCO_NAMESPACE": "lost"}
        words = ("--config", str(file), "--namespace", "of-flag", "--print-config")
        printed = _program("decco.cli.controller", *words, **variables)
        assert printed.returncode == 0, printed.stderr
        assert "namespace: of-flag\n" in printed.stdout
        assert "logLevel: warning\n" in printed.stdout
        assert "  namespace: of-environment\n" in printed.stdout
        assert "2001:db8::/32" in printed.stdout
        # What it prints is a file that it reads.
        again = tmp_path / "again.yaml"
        again.write_text(printed.stdout)
        assert _program("decco.cli.controller", "--config", str(again), "--print-config").stdout == printed.stdout

    def test_wrong_settings_end_it_with_a_line_for_each(self, tmp_path: Path) -> None:
        file = tmp_path / "settings.yaml"
        file.write_text("routing:\n  backend: gatway\nedgee: 1\n")
        words = ("--config", str(file), "--log-level", "loud")
        ended = _program("decco.cli.controller", *words, DECCO_EDGE__CIDRS="10.0.0.1/8", DECCO_FOO="1")
        assert ended.returncode == 2
        lines = ended.stderr.splitlines()
        assert len(lines) == 5, lines
        for wanted in (
            "settings.yaml:2: routing.backend",
            "settings.yaml:3: edgee",
            "--log-level",
            "CIDRS",
            "DECCO_FOO",
        ):
            assert sum(wanted in line for line in lines) == 1, (wanted, lines)

    def test_log_lines_are_json(self, decco: Decco) -> None:
        lines = [json.loads(line) for line in decco.log.read_text().splitlines()]
        assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
