"""What fields of Spaces and Apps need of the cluster, as ``decco doctor`` reports it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from decco import __version__
from decco.kube.errors import NotFound
from decco.objects import (
    CERTIFICATES,
    CLIENT_TRAFFIC_POLICIES,
    GATEWAY_CLASSES,
    GATEWAYS,
    SECRETS,
    SECURITY_POLICIES,
    SPACES,
    Obj,
    Resource,
)
from decco.views.findings import Finding
from decco.views.preflight import needs
from decco.views.preflight.checks import CHECKS, Check, run
from decco.views.preflight.model import ClusterContext
from tests.unit.desired.app_cases import SERVED
from tests.unit.views.stories import secret
from tests.unit.views.test_preflight import Cluster, context, live_space, named, results

ISSUERS = Resource("cert-manager.io", "v1", "issuers", "Issuer")
CLUSTER_ISSUERS = Resource("cert-manager.io", "v1", "clusterissuers", "ClusterIssuer", namespaced=False)


def names(found: list[Finding]) -> list[str]:
    return [each.name for each in found]


async def said(
    check: Check,
    *objects: tuple[Resource, Obj],
    settings: Obj | None = None,
    served: dict[Resource, Resource] | None = None,
) -> list[Finding]:
    given = context(*objects, settings=settings or {})
    return await results(check, replace(given, served=served if served is not None else given.served))


def ready(status: str) -> Obj:
    return {"conditions": [{"type": "Ready", "status": status, "reason": "Why", "message": "no account"}]}


def served(*without: Resource) -> dict[Resource, Resource]:
    return {kind: kind for kind in (*SERVED, CERTIFICATES) if kind not in without}


async def test_nothing_is_reported_of_what_nobody_uses() -> None:
    for check in (needs.issuers, needs.limits, needs.sidecar, needs.autoscalers):
        assert await said(check, live_space()) == []


@pytest.mark.parametrize(
    ("objects", "want"),
    [
        ([], ["issuer-missing"]),
        ([(ISSUERS, named("le", "acme", status=ready("True")))], [""]),
        ([(ISSUERS, named("le", "other", status=ready("True")))], ["issuer-missing"]),
        ([(ISSUERS, named("le", "acme", status=ready("False")))], ["issuer-not-ready"]),
        ([(ISSUERS, named("le", "acme"))], ["issuer-not-ready"]),
    ],
    ids=["none", "ready", "of another namespace", "not ready", "not answered"],
)
async def test_issuers(objects: list[tuple[Resource, Obj]], want: list[str]) -> None:
    issuing = live_space(certificates={"issuerRef": {"name": "le"}})
    assert names(await said(needs.issuers, issuing, *objects, served=served())) == want
    without = await said(needs.issuers, issuing, *objects, served=served(CERTIFICATES))
    assert names(without) == ["cert-manager-missing"]


async def test_the_issuer_of_the_settings_and_those_of_others() -> None:
    settings = {"certificates": {"issuerName": "all"}}
    found = await said(needs.issuers, live_space(), settings=settings, served=served())
    assert [(each.about, each.name) for each in found] == [("clusterissuer all", "issuer-missing")]
    foreign = live_space(
        certificates={"issuerRef": {"name": "x", "kind": "StepIssuer", "group": "certmanager.step.sm"}}
    )
    assert await said(needs.issuers, foreign, served=served()) == []


LIMITED = {"limits": {"clientCidrs": ["192.0.2.0/24"], "connections": 5}}


def gateway_class(controller: str) -> tuple[Resource, Obj]:
    return GATEWAY_CLASSES, named("decco", spec={"controllerName": controller})


ENVOY = gateway_class("gateway.envoyproxy.io/gatewayclass-controller")


@pytest.mark.parametrize(
    ("routing", "objects", "without", "want"),
    [
        ({}, [ENVOY], (), [""]),
        ({}, [], (), [""]),
        ({}, [ENVOY], (SECURITY_POLICIES,), ["limits-kinds-missing"]),
        ({}, [gateway_class("example.com/other")], (), ["limits-not-kept"]),
        ({"backend": "ingress", "ingressDialect": "nginx"}, [], (), ["limits-not-kept"]),
        ({"backend": "none"}, [], (), []),
    ],
    ids=["Envoy", "not known", "no CRD", "another gateway", "no connections in nginx", "no routes"],
)
async def test_limits(
    routing: Obj, objects: list[tuple[Resource, Obj]], without: tuple[Resource, ...], want: list[str]
) -> None:
    settings = {"routing": {"gatewayClassName": "decco", **routing}}
    found = await said(needs.limits, live_space(**LIMITED), *objects, settings=settings, served=served(*without))
    assert names(found) == want


async def test_a_limit_that_the_platform_has_set_itself() -> None:
    """decco writes no policy beside one of the whole Gateway; doctor says so as the condition does."""
    of_gateway = named("all", "edge", spec={"targetRefs": [{"kind": "Gateway", "name": "shared"}]})
    gateway = named("shared", "edge", spec={"gatewayClassName": "decco"})
    objects = [ENVOY, (GATEWAYS, gateway), (CLIENT_TRAFFIC_POLICIES, of_gateway)]
    settings = {"routing": {"parentGateway": "edge/shared"}}
    [found] = await said(needs.limits, live_space(**LIMITED), *objects, settings=settings, served=served())
    assert found.name == "limits-not-kept"
    assert "connections: it would replace ClientTrafficPolicy edge/all of the whole Gateway" in found.text
    of_gateway["spec"]["targetRefs"][0]["name"] = "other"
    [found] = await said(needs.limits, live_space(**LIMITED), *objects, settings=settings, served=served())
    assert found.name == ""


async def test_all_checks_read_the_spaces_once() -> None:
    counted: list[Resource] = []
    given = context(live_space(**LIMITED, egressPolicy="Declared", isolation="UserNamespace"))
    listing = given.client.list_pages

    def list_pages(resource: Resource, **more: Any) -> Any:
        counted.append(resource)
        return listing(resource, **more)

    given.client.list_pages = list_pages  # type: ignore[method-assign]
    about_spaces = ("edge", "egress", "isolation", "secrets", "issuers", "limits", "autoscalers", "mesh", "objects")
    await asyncio.gather(*(run(name, CHECKS[name], given) for name in about_spaces))
    assert counted.count(SPACES) == 1


@pytest.mark.parametrize(
    ("image", "want"),
    [
        (f"example.com/stunnel:{__version__}", ""),
        (f"example.com/stunnel:v{__version__}-rc1", ""),
        ("example.com/stunnel:99.0", ""),
        ("example.com/stunnel:0.0.9", "sidecar-too-old"),
        ("example.com:5000/stunnel", "sidecar-version-unknown"),
        ("example.com/stunnel:latest", "sidecar-version-unknown"),
        ("example.com/stunnel@sha256:0123", "sidecar-version-unknown"),
    ],
)
async def test_the_sidecar_reads_lists_of_revoked_certificates(image: str, want: str) -> None:
    settings = {"sidecar": {"image": image}}
    listed, plain = secret("listed"), secret("plain")
    listed["data"] = {**listed["data"], "ca.crl": "eA=="}
    found = await said(needs.sidecar, (SECRETS, listed), (SECRETS, plain), settings=settings)
    assert names(found) == [want]
    assert "listed" in found[0].text
    assert await said(needs.sidecar, (SECRETS, plain), settings=settings) == []


class Metrics(Cluster):
    """Serves one API of metrics."""

    async def raw(self, path: str) -> Obj:
        if not path.startswith("/apis/metrics.k8s.io"):
            raise NotFound(404, "NotFound", path)
        if path.endswith("v1beta1"):
            return {"resources": [{"name": "pods", "kind": "PodMetrics", "namespaced": True}]}
        return {"versions": [{"version": "v1beta1"}]}


@pytest.mark.parametrize(
    ("kind", "namespace", "want"),
    [
        ("Resource", "acme", [""]),
        ("ContainerResource", "acme", [""]),
        ("External", "acme", ["metrics-missing"]),
        ("External", "elsewhere", []),
    ],
)
async def test_metrics_of_autoscalers(kind: str, namespace: str, want: list[str]) -> None:
    scaler = named("web", namespace, spec={"metrics": [{"type": kind}]})
    cluster: Any = Metrics(live_space(), (needs.AUTOSCALERS, scaler))
    given: ClusterContext = replace(context(), client=cluster)
    assert names(await results(needs.autoscalers, given)) == want
