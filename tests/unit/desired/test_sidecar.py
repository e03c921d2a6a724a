from __future__ import annotations

from typing import Any

import pytest

from decco.desired.model import EgressTarget, SecretState
from decco.objects import Obj
from tests.unit.desired.app_cases import GOOD_SECRETS, addresses, app, config_of, pod_of, secret, settings

TARGET = {("gamma", "db"): EgressTarget("db.gamma.svc", 443, "db.gamma.decco.test")}


def container(spec: dict[str, Any] | None = None, **more: Any) -> Obj:
    found: Obj = pod_of(app(spec, **more))["initContainers"][0]
    return found


def test_it_passes_pod_security_restricted() -> None:
    """The fields that Pod Security ``restricted`` requires, and beyond it a read-only root."""
    made = container()
    assert made["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert made["restartPolicy"] == "Always"
    assert all(port["containerPort"] > 1024 for port in made["ports"])
    assert all(mount["readOnly"] and "subPath" not in mount for mount in made["volumeMounts"])


def test_settings_reach_the_container() -> None:
    inputs = app()
    sidecar = {
        "image": "registry.test/stunnel:9",
        "imagePullPolicy": "Always",
        "resources": {"limits": {"memory": "1Gi"}},
        "runAsUser": 1234,
    }
    changed = settings().model_validate({"routing": {"backend": "none"}, "sidecar": sidecar})
    object.__setattr__(inputs, "settings", changed)
    made = pod_of(inputs)["initContainers"][0]
    assert (made["image"], made["imagePullPolicy"]) == ("registry.test/stunnel:9", "Always")
    assert made["resources"] == {"limits": {"memory": "1Gi"}}
    assert (made["securityContext"]["runAsUser"], made["securityContext"]["runAsGroup"]) == (1234, 1234)


def test_the_user_is_left_to_a_cluster_that_chooses_it() -> None:
    inputs = app()
    changed = settings().model_validate({"sidecar": {"runAsUser": None}})
    object.__setattr__(inputs, "settings", changed)
    context = pod_of(inputs)["initContainers"][0]["securityContext"]
    assert context["runAsNonRoot"] is True
    assert {"runAsUser", "runAsGroup", "fsGroup"}.isdisjoint(context)


def test_the_probe_is_at_a_listener_that_the_kubelet_can_reach() -> None:
    made = container({"endpoints": [{"name": "b", "port": 1}, {"name": "a", "port": 2}]})
    assert made["startupProbe"] == {
        "tcpSocket": {"port": made["ports"][0]["name"]},
        "periodSeconds": 1,
        "failureThreshold": 60,
    }
    only_egress = container({"endpoints": [], "tlsEgresses": [{"localPort": 5432, "fqdn": "x.test"}]})
    assert "startupProbe" not in only_egress
    assert "ports" not in only_egress


@pytest.mark.parametrize(
    ("spec", "space"),
    [
        ({"endpoints": []}, {}),
        ({"httpUrlPath": "/"}, {}),
        ({"endpoints": [{"name": "a", "port": 1, "disableTlsTermination": True}]}, {}),
        ({"endpoints": [{"name": "a", "port": 1, "isMetricsEndpoint": True}]}, {"encryptHttp": True}),
        ({}, {"tcpCertAndCaSecretName": None}),
        ({"httpUrlPath": "/"}, {"encryptHttp": True, "httpCertSecretName": None}),
    ],
    ids=["no endpoint", "plain HTTP", "TLS in the container", "metrics", "TCP without Secret", "HTTP without Secret"],
)
def test_a_pod_with_nothing_to_encrypt_has_no_sidecar(spec: dict[str, Any], space: dict[str, Any]) -> None:
    inputs = app(spec, space=space)
    assert "initContainers" not in pod_of(inputs)
    assert "volumes" not in pod_of(inputs)
    assert "ConfigMap/web-stunnel" not in addresses(inputs)


def test_each_secret_is_mounted_once_and_as_a_directory() -> None:
    pod = pod_of(
        app(
            {
                "endpoints": [
                    {"name": "a", "port": 1},
                    {"name": "b", "port": 2},
                    {"name": "c", "port": 3, "certAndCaSecretName": "own.with.dots"},
                    {"name": "d", "port": 4, "httpPath": "/"},
                ],
                "tlsEgresses": [
                    {"localPort": 5, "fqdn": "x.test"},
                    {"localPort": 6, "fqdn": "x.test", "certAndCaSecretName": "client"},
                ],
            },
            space={"encryptHttp": True},
        )
    )
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in pod["initContainers"][0]["volumeMounts"]}
    assert {path: volume.get("secret", volume.get("configMap")) for path, volume in mounts.items()} == {
        "/etc/decco/stunnel": {"name": "web-stunnel", "defaultMode": 0o444},
        "/etc/decco/tls/client": {"secretName": "client", "defaultMode": 0o444},
        "/etc/decco/tls/http": {"secretName": "http", "defaultMode": 0o444},
        "/etc/decco/tls/own.with.dots": {"secretName": "own.with.dots", "defaultMode": 0o444},
        "/etc/decco/tls/tcp": {"secretName": "tcp", "defaultMode": 0o444},
    }
    paths = [mount["mountPath"] for mount in pod["initContainers"][0]["volumeMounts"]]
    assert paths == sorted(paths)
    assert len(volumes) == len(pod["volumes"]) == len(mounts)
    assert all(len(name) <= 63 and "." not in name for name in volumes)


# -- what restarts pods and what does not -----------------------------------------------------------------------------

BASE: dict[str, Any] = {
    "endpoints": [{"name": "a", "port": 1}, {"name": "b", "port": 2}],
    "tlsEgresses": [{"localPort": 5432, "endpoint": "db", "spaceName": "gamma"}],
}


def _changed(endpoint: dict[str, Any] | None = None, egress: dict[str, Any] | None = None) -> dict[str, Any]:
    first, second = BASE["endpoints"]
    return {
        "endpoints": [{**first, **(endpoint or {})}, second],
        "tlsEgresses": [{**BASE["tlsEgresses"][0], **(egress or {})}],
    }


LIVE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "verified clients": (_changed({"verifyTcpClientCert": True}), {}),
    "allowed clients": (_changed({"allowedClients": ["x.test"]}), {}),
    "container port": (_changed({"port": 3}), {}),
    "server verification": (_changed(egress={"disableServerCertVerification": True}), {}),
    "target gone": (BASE, {"targets": {}}),
    "target moved": (BASE, {"targets": {("gamma", "db"): EgressTarget("db.gamma.svc", 1, "x.gamma.decco.test")}}),
    "another target": (_changed(egress={"endpoint": None, "spaceName": None, "fqdn": "x.test"}), {}),
    "no ca.crt": (BASE, {"secrets": {**GOOD_SECRETS, "tcp": secret("tcp", has_ca=False)}}),
}


@pytest.mark.parametrize("case", LIVE)
def test_content_is_loaded_live_and_leaves_the_pod_alone(case: str) -> None:
    spec, more = LIVE[case]
    before, after = app(BASE, targets=TARGET), app(spec, **{"targets": TARGET, **more})
    assert pod_of(after) == pod_of(before)
    assert config_of(after) != config_of(before)


STRUCTURE: dict[str, dict[str, Any]] = {
    "another endpoint": {**BASE, "endpoints": [*BASE["endpoints"], {"name": "c", "port": 3}]},
    "one endpoint less": {**BASE, "endpoints": BASE["endpoints"][:1]},
    "another Secret": _changed({"certAndCaSecretName": "own"}),
    "another client Secret": _changed(egress={"certAndCaSecretName": "client"}),
    "TLS in the container": _changed({"disableTlsTermination": True}),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_structure_changes_the_pod(case: str) -> None:
    assert pod_of(app(STRUCTURE[case], targets=TARGET)) != pod_of(app(BASE, targets=TARGET))


def test_neither_the_order_of_the_spec_nor_the_state_of_a_secret_changes_the_pod() -> None:
    turned = {**BASE, "endpoints": BASE["endpoints"][::-1]}
    before = pod_of(app(BASE, targets=TARGET))
    assert pod_of(app(turned, targets=TARGET)) == before
    for state in SecretState:
        lost = app(BASE, targets=TARGET, secrets={"tcp": secret("tcp", state)})
        assert pod_of(lost) == before
        assert config_of(lost) == config_of(app(BASE, targets=TARGET))
    assert pod_of(app(BASE, targets=TARGET, secrets={})) == before


def test_a_low_local_port_is_allowed_to_a_process_without_rights() -> None:
    low = {"endpoints": [], "tlsEgresses": [{"localPort": p, "fqdn": "x.test"} for p in (5432, 443, 80)]}
    sysctl = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}
    assert pod_of(app(low))["securityContext"] == {"sysctls": [sysctl]}
    high = {"endpoints": [], "tlsEgresses": [{"localPort": 1024, "fqdn": "x.test"}]}
    assert "securityContext" not in pod_of(app(high))
