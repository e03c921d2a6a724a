"""Neighbours: foreign objects are never written to, names have one owner, Secrets are copied only by consent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, http_app, space, tls_secret
from tests.sample import full

REQUEUE_SECONDS = 25.0


def _reason(condition: Obj | None) -> str:
    return (condition or {}).get("reason", "") if (condition or {}).get("status") == "False" else ""


def _writes_to(cluster: Cluster, mark: int, **wanted: str) -> list[Any]:
    """Successful writes to what is described; a refused creation is not a write."""
    return [
        event
        for event in cluster.cp.audit("decco", since=mark, writes=True)
        if event.code < 400 and all(getattr(event, field) == value for field, value in wanted.items())
    ]


class TestForeignObjects:
    """Condition Conflict, and not one write."""

    def test_a_foreign_namespace(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"a": "b"}}})
        before = cluster.get(f"/api/v1/namespaces/{name}")
        mark = cluster.cp.audit_mark()
        cluster.create(space(name, project="foo"))
        eventually(lambda: _reason(cluster.space_condition(name, "NamespaceReady")) == "Conflict", 5)
        assert _reason(cluster.space_condition(name, "Ready")) == "Conflict"
        cluster.create(app(name, "web", httpUrlPath="/web"))
        eventually(lambda: _reason(cluster.app_condition(name, "web", "Ready")) == "NamespaceNotReady", 5)
        decco.settle()
        assert _writes_to(cluster, mark, namespace=name, resource="deployments") == []
        assert _writes_to(cluster, mark, resource="namespaces", name=name) == []
        assert _writes_to(cluster, mark, namespace=name, resource="networkpolicies") == []
        assert cluster.get(f"/api/v1/namespaces/{name}") == before
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: cluster.space(name) is None, 5)
        assert cluster.get(f"/api/v1/namespaces/{name}") == before

    def test_a_foreign_namespace_goes_and_the_space_takes_its_place(
        self, cluster: Cluster, decco: Decco, name: str
    ) -> None:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        cluster.create(space(name))
        eventually(lambda: _reason(cluster.space_condition(name, "NamespaceReady")) == "Conflict", 5)
        cluster.delete(f"/api/v1/namespaces/{name}")
        eventually(
            lambda: (cluster.space_condition(name, "NetworkReady") or {}).get("status") == "True", REQUEUE_SECONDS + 15
        )
        decco.settle()

    @pytest.mark.parametrize(
        ("kind", "resource", "condition", "obj"),
        [
            ("Service", "services", "WorkloadReady", {"spec": {"ports": [{"port": 1}], "selector": {"a": "b"}}}),
            pytest.param("ConfigMap", "configmaps", "WorkloadReady", {"data": {"a": "b"}}, marks=full),
            pytest.param(
                "NetworkPolicy", "networkpolicies", "WorkloadReady", {"spec": {"podSelector": {}}}, marks=full
            ),
        ],
    )
    def test_a_foreign_child_of_an_app(
        self, cluster: Cluster, decco: Decco, name: str, kind: str, resource: str, condition: str, obj: Obj
    ) -> None:
        names = {"Service": "db", "ConfigMap": "web-stunnel", "NetworkPolicy": "app-web"}
        versions = {"NetworkPolicy": "networking.k8s.io/v1"}
        if cluster.get("/api/v1/namespaces/decco/secrets/conflict-tls") is None:
            cluster.create(tls_secret("conflict-tls"))
        cluster.make_space(name, tcpCertAndCaSecretName="conflict-tls")
        foreign = cluster.create(
            {
                "apiVersion": versions.get(kind, "v1"),
                "kind": kind,
                "metadata": {"name": names[kind], "namespace": name},
                **obj,
            }
        )
        mark = cluster.cp.audit_mark()
        cluster.create(app(name, "web", endpoints=[{"name": "db", "port": 5432}]))
        eventually(lambda: "Conflict" in str((cluster.app(name, "web") or {}).get("status", {})), 5)
        assert _reason(cluster.app_condition(name, "web", "Ready")) == "Conflict"
        decco.settle()
        assert _writes_to(cluster, mark, resource=resource, name=names[kind]) == []
        root = "/apis/networking.k8s.io/v1" if kind == "NetworkPolicy" else "/api/v1"
        path = f"{root}/namespaces/{name}/{resource}/{names[kind]}"
        assert cluster.get(path) == foreign
        cluster.delete(path)
        eventually(lambda: (cluster.get(path) or {"metadata": {}})["metadata"].get("ownerReferences"), REQUEUE_SECONDS)
        eventually(lambda: "Conflict" not in str((cluster.app(name, "web") or {})["status"]), 5)

    def test_a_foreign_secret_of_the_wanted_name(self, cluster: Cluster, decco: Decco, name: str) -> None:
        """Named by the Space, it is a conflict; its content is not touched."""
        cluster.create(tls_secret(f"{name}-http"))
        cluster.make_space(name)
        foreign = cluster.create(tls_secret(f"{name}-http", namespace=name, share=None))
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"httpCertSecretName": f"{name}-http"}})
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "Conflict", 5)
        cluster.create(http_app(name, "web"))
        eventually(lambda: _reason(cluster.app_condition(name, "web", "CertificatesReady")) == "Conflict", 5)
        decco.settle()
        assert cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}-http") == foreign

    def test_a_restart_does_not_forget_that_the_name_of_a_secret_is_taken(
        self, cluster: Cluster, decco: Decco, name: str
    ) -> None:
        """No listener for it comes and goes again."""
        cluster.create(tls_secret(f"{name}-http"))
        cluster.make_space(name)
        cluster.create(tls_secret(f"{name}-http", namespace=name, share=None))
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"httpCertSecretName": f"{name}-http"}})
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "Conflict", 5)
        decco.settle()
        gateway = f"/apis/gateway.networking.k8s.io/v1/namespaces/{name}/gateways/decco"
        before = cluster.get(gateway)
        assert before is not None
        decco.stop()
        decco.start()
        decco.settle()
        assert cluster.get(gateway) == before


class TestHostnames:
    """Two Spaces with overlapping claims: the older wins, the other reports that and takes over on its deletion."""

    @pytest.mark.parametrize(
        ("older", "younger"),
        [
            # x.<older>.<domain> lies below the older Space's FQDN
            (("{n}-a", {"domainName": "overlap.test"}), ("{n}-b", {"domainName": "{n}-a.overlap.test"})),
            (
                ("{n}-a", {"domainName": "overlap.test", "hostnames": ["shop.{n}.test"]}),
                ("{n}-b", {"domainName": "overlap.test", "hostnames": ["shop.{n}.test"]}),
            ),
            (
                ("{n}-a", {"domainName": "overlap.test", "hostnames": ["x.{n}-b.overlap.test"]}),
                ("{n}-b", {"domainName": "overlap.test"}),
            ),
        ],
        ids=["subtree", "hostname", "hostname-in-subtree"],
    )
    def test_the_older_wins(
        self, cluster: Cluster, decco: Decco, name: str, older: tuple[str, Obj], younger: tuple[str, Obj]
    ) -> None:
        def made(pair: tuple[str, Obj]) -> tuple[str, Obj]:
            text = {
                key: [entry.format(n=name) for entry in value] if isinstance(value, list) else value.format(n=name)
                for key, value in pair[1].items()
            }
            return pair[0].format(n=name), text

        first, first_spec = made(older)
        second, second_spec = made(younger)
        cluster.make_space(first, domain=first_spec.pop("domainName"), **first_spec)
        eventually(lambda: cluster.space_condition(first, "Ready"), 5)
        # creationTimestamp counts seconds; the UID decides within one.
        eventually(lambda: _second_of_now() > _created(cluster, first), 3)
        cluster.make_space(second, domain=second_spec.pop("domainName"), **second_spec)
        eventually(lambda: _reason(cluster.space_condition(second, "Ready")) == "HostnameConflict", 5)
        assert _reason(cluster.space_condition(first, "Ready")) != "HostnameConflict"
        cluster.create(http_app(second, "web"))
        decco.settle()
        cluster.delete(f"{APIS}/spaces/{first}")
        eventually(
            lambda: _reason(cluster.space_condition(second, "Ready")) != "HostnameConflict",
            30,
            "the younger takes over",
        )
        eventually(lambda: cluster.get(f"/apis/gateway.networking.k8s.io/v1/namespaces/{second}/httproutes/web"), 5)

    def test_a_lost_fqdn_has_no_listener_and_no_route(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(f"{name}-a", domain="lost.test")
        eventually(lambda: _second_of_now() > _created(cluster, f"{name}-a"), 3)
        cluster.make_space("sub", domain=f"{name}-a.lost.test")
        cluster.create(http_app("sub", "web"))
        eventually(lambda: _reason(cluster.app_condition("sub", "web", "Ready")), 5)
        decco.settle()
        gateway = cluster.get("/apis/gateway.networking.k8s.io/v1/namespaces/sub/gateways/decco")
        assert gateway is None or all("hostname" not in listener for listener in gateway["spec"]["listeners"])
        assert cluster.items("/apis/gateway.networking.k8s.io/v1/namespaces/sub/httproutes") == []
        assert "decco.platform9.com/fqdn" not in (
            (cluster.get("/api/v1/namespaces/sub") or {})["metadata"].get("annotations") or {}
        )
        cluster.delete(f"{APIS}/spaces/sub")

    def test_two_apps_of_a_space_want_one_name(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name)
        cluster.create(app(name, "first", endpoints=[{"name": "web", "port": 8080, "httpPath": "/a"}]))
        eventually(lambda: cluster.service(name, "web"), 5)
        created = cluster.app(name, "first")["metadata"]["creationTimestamp"]  # type: ignore[index]
        eventually(lambda: _second_of_now() > created, 3)
        cluster.create(app(name, "second", endpoints=[{"name": "web", "port": 8081, "httpPath": "/b"}]))
        eventually(lambda: _reason(cluster.app_condition(name, "second", "Ready")) == "EndpointConflict", 5)
        decco.settle()
        first = cluster.app(name, "first") or {}
        assert (cluster.service(name, "web") or {})["metadata"]["ownerReferences"][0]["uid"] == first["metadata"]["uid"]
        cluster.delete(f"{APIS}/namespaces/{name}/apps/first")
        second = (cluster.app(name, "second") or {})["metadata"]["uid"]

        def taken_over() -> bool:
            service = cluster.service(name, "web") or {"metadata": {}}
            owners = service["metadata"].get("ownerReferences") or [{}]
            return bool(owners[0].get("uid") == second)

        eventually(taken_over, 20)


def _second_of_now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _created(cluster: Cluster, name: str) -> str:
    return str((cluster.space(name) or {})["metadata"]["creationTimestamp"])


class TestSecrets:
    """Copied only if their owner consents; changes and revocations are followed."""

    def test_consent_change_revocation(self, cluster: Cluster, decco: Decco, name: str) -> None:
        source = f"/api/v1/namespaces/decco/secrets/{name}"
        copy = f"/api/v1/namespaces/{name}/secrets/{name}"
        cluster.create(tls_secret(name, share="somebody-else"))
        cluster.make_space(name, httpCertSecretName=name)
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "SecretMissing", 5)
        assert cluster.get(copy) is None
        cluster.patch(
            source, {"metadata": {"annotations": {"decco.platform9.com/share-with": f"somebody-else, {name}"}}}
        )
        eventually(lambda: cluster.get(copy), 2)
        eventually(lambda: (cluster.space_condition(name, "CertificatesReady") or {}).get("status") == "True", 2)
        fresh = tls_secret(name)["data"]
        cluster.patch(source, {"data": fresh})
        eventually(lambda: (cluster.get(copy) or {})["data"] == fresh, 2)
        cluster.patch(source, {"metadata": {"labels": {"decco.platform9.com/share": None}}})
        eventually(lambda: cluster.get(copy) is None, 2)
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) != "", 2)

    def test_absent_annotation_means_not_shared(self, cluster: Cluster, decco: Decco, name: str) -> None:
        secret = tls_secret(name)
        del secret["metadata"]["annotations"]
        cluster.create(secret)
        cluster.make_space(name, httpCertSecretName=name)
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "SecretMissing", 5)

    def test_a_deleted_source(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.create(tls_secret(name))
        cluster.make_space(name, httpCertSecretName=name)
        eventually(lambda: cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}"), 5)
        cluster.delete(f"/api/v1/namespaces/decco/secrets/{name}")
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "SecretDeleted", 15)
        assert cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}"), "the Secret may be created again"
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "SecretMissing", 90)
        eventually(lambda: cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}") is None, 15)

    def test_half_a_key_is_reported_and_the_last_good_copy_stays(
        self, cluster: Cluster, decco: Decco, name: str
    ) -> None:
        secret = tls_secret(name)
        secret["type"] = "Opaque"
        cluster.create(secret)
        cluster.make_space(name, httpCertSecretName=name)
        good = eventually(lambda: cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}"), 5)
        cluster.patch(f"/api/v1/namespaces/decco/secrets/{name}", {"data": {"tls.key": None}})
        eventually(lambda: _reason(cluster.space_condition(name, "CertificatesReady")) == "SecretInvalid", 5)
        decco.settle()
        assert cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}") == good

    def test_an_apps_own_secret_is_used_as_it_is(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name)
        local = cluster.create(tls_secret("mine", f"db.{name}.example.net", namespace=name, share=None))
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 5432, "certAndCaSecretName": "mine"}]))
        eventually(lambda: (cluster.app_condition(name, "db", "CertificatesReady") or {}).get("status") == "True", 5)
        decco.settle()
        assert cluster.get(f"/api/v1/namespaces/{name}/secrets/mine") == local
        assert "mine" in str((cluster.deployment(name, "db") or {})["spec"]["template"]["spec"]["volumes"])
