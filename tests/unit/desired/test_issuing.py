"""Why a certificate is not issued, from objects as cert-manager 1.21 writes them."""

from __future__ import annotations

from typing import Any

import pytest

from decco.api.types import IssuerRef
from decco.desired.issuing import (
    MOST_CHALLENGES,
    UNKNOWN,
    Cause,
    cause_at_challenges,
    cause_at_issuer,
    cause_at_requests,
    issuer_resource,
)

Obj = dict[str, Any]
REF = IssuerRef(name="letsencrypt", kind="ClusterIssuer")


def with_ready(status: str, message: str, **meta: Any) -> Obj:
    condition = {"type": "Ready", "status": status, "message": message}
    return {"metadata": {"name": "x", **meta}, "status": {"conditions": [condition]}}


def challenge(name: str, reason: str, state: str = "pending") -> Obj:
    spec = {"dnsName": name, "type": "DNS-01"}
    return {"metadata": {"name": "c"}, "spec": spec, "status": {"state": state, "reason": reason}}


def test_where_an_issuer_is() -> None:
    cluster, own = issuer_resource(REF), issuer_resource(IssuerRef(name="ca"))
    assert cluster is not None
    assert own is not None
    assert (cluster.plural, cluster.namespaced) == ("clusterissuers", False)
    assert (own.plural, own.namespaced) == ("issuers", True)
    assert issuer_resource(IssuerRef(name="ca", kind="StepIssuer", group="certmanager.step.sm")) is None


@pytest.mark.parametrize(
    ("live", "cause"),
    [
        (None, Cause("ClusterIssuer letsencrypt does not exist", lasts=True)),
        (with_ready("True", "registered"), UNKNOWN),
        ({"metadata": {"name": "x"}}, UNKNOWN),
        (
            with_ready("False", "Failed to register\n account:  dial"),
            Cause("ClusterIssuer letsencrypt is not ready: Failed to register account: dial", lasts=True),
        ),
    ],
)
def test_an_issuer(live: Obj | None, cause: Cause) -> None:
    assert cause_at_issuer(REF, live) == cause


def test_challenges_of_other_names_and_passed_ones_do_not_count() -> None:
    every = [
        challenge("a.test", "dns: bad authentication"),
        challenge("b.test", "other"),
        challenge("a.test", "ok", "valid"),
        {"metadata": {"name": "new"}, "spec": {"dnsName": "a.test"}},
    ]
    assert cause_at_challenges(every, ["*.a.test"]).text == "DNS-01 challenge for a.test: dns: bad authentication"
    assert cause_at_challenges(every, ["c.test"]) == UNKNOWN
    many = [challenge("a.test", f"cause {number}") for number in range(9)]
    assert cause_at_challenges(many, ["a.test"]).text.count("challenge for") == MOST_CHALLENGES


def test_the_text_is_the_same_at_each_attempt() -> None:
    texts = {
        cause_at_challenges([challenge("a.test", f"read udp {side}:{port}->192.0.2.53:53: i/o timeout")], ["a.test"])
        for side in ("192.0.2.1", "[2001:db8::1]")
        for port in (40001, 40002)
    }
    assert texts == {Cause("DNS-01 challenge for a.test: read udp 192.0.2.53:53: i/o timeout")}


def test_the_latest_request_of_the_certificate() -> None:
    def request(certificate: str, day: int, message: str, status: str = "False") -> Obj:
        annotations = {"cert-manager.io/certificate-name": certificate}
        return with_ready(status, message, annotations=annotations, creationTimestamp=f"2026-11-{day:02d}T00:00:00Z")

    every = [
        request("a", 2, "second"),
        request("a", 1, "first"),
        request("b", 3, "third"),
        with_ready("False", "foreign"),
    ]
    assert cause_at_requests(every, "a") == Cause("second")
    assert cause_at_requests([*every, request("a", 4, "issued", "True")], "a") == UNKNOWN
    assert cause_at_requests(every, "c") == UNKNOWN
