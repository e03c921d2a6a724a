"""A Secret with a new defect: it is reported, and the last good copy stays. A project without an edge."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests import tls_certificates
from tests.integration.harness import Cluster, Decco, Obj, eventually, own_control_plane, space, tls_secret
from tests.integration.loop import assert_no_defects
from tests.tls_certificates import Template

HTTP = "/api/v1/namespaces/{}/secrets/http"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_control_plane() as cp:
        yield Cluster(cp)


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    decco = Decco(cluster.cp, tmp_path_factory.mktemp("decco"), edge__namespace="").start()
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)


def content(**template: Any) -> dict[str, str]:
    made = Template(**{"sans": ("shown.example.net",), **template}).make()
    return {name: base64.b64encode(value).decode() for name, value in tls_certificates.secret(made).items()}


def condition(cluster: Cluster, space: str, name: str) -> Obj:
    found = cluster.get(f"/apis/decco.platform9.com/v1beta2/spaces/{space}") or {}
    return next((each for each in found.get("status", {}).get("conditions", ()) if each["type"] == name), {})


def test_a_defect_is_reported_and_the_last_good_copy_stays(cluster: Cluster, decco: Decco) -> None:
    good = content()
    cluster.create({**tls_secret("http"), "data": good})
    cluster.make_space("shown", httpCertSecretName="http")

    def copied() -> dict[str, str] | None:
        return (cluster.get(HTTP.format("shown")) or {}).get("data")

    eventually(lambda: copied() == good)
    for template, reason in (
        ({"sans": ("other.example.net",)}, "CertificateNameMismatch"),
        ({"since": tls_certificates.NOW + tls_certificates.DAY}, "CertificateNotYetValid"),
        ({"until": tls_certificates.NOW - tls_certificates.DAY}, "CertificateExpired"),
        ({"key": tls_certificates.key_of("P-224")}, "SecretInvalid"),
    ):
        cluster.patch(HTTP.format("decco"), {"data": content(**template)})
        eventually(lambda reason=reason: condition(cluster, "shown", "CertificatesReady").get("reason") == reason)
        assert copied() == good, reason
    better = content()
    cluster.patch(HTTP.format("decco"), {"data": better})
    eventually(lambda: copied() == better)


def test_a_project_without_an_edge(cluster: Cluster, decco: Decco) -> None:
    cluster.create(space("closed", project="team"))
    eventually(lambda: condition(cluster, "closed", "NetworkReady").get("reason") == "EdgeUnknown")
