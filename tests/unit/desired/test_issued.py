"""Certificates from an issuer: which are written, and what takes their place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from decco.api.types import HttpHostname, SpaceSpec
from decco.desired import reasons
from decco.desired.issued import (
    HTTP,
    TCP,
    certificate_view,
    issued_children,
    issuing_problem,
    with_former,
    with_issuer,
)
from decco.desired.issuing import UNKNOWN, Cause
from decco.desired.model import Claims, Obj, SpaceInputs
from decco.settings import Settings
from tests.unit.desired.app_cases import space_inputs
from tests.unit.goldens import check_golden

WWW = "www.example.org"


def inputs(project: str | None = None, **settings: object) -> SpaceInputs:
    made = space_inputs(certificates={"issuerRef": {"name": "ca"}}, httpHostnames=[{"name": WWW}], project=project)
    spec = made.space.spec.model_copy(
        update={"http_cert_secret_name": None, "tcp_cert_and_ca_secret_name": None, "hostnames": ()}
    )
    known = Settings.model_validate(settings)
    space = with_issuer(replace(made.space, spec=spec), known)
    claims = Claims(granted=frozenset({space.fqdn, WWW}))
    return replace(made, space=space, settings=known, claims=claims, issued=frozenset(space.issued))


def test_its_children() -> None:
    check_golden("issued/space", [child.obj for child in issued_children(inputs(edge={"namespace": "edge"}))])


def test_no_certificate_for_a_name_that_the_space_does_not_hold() -> None:
    made = inputs()
    lost = replace(made, claims=Claims(granted=frozenset({WWW})))
    names = [child.obj["spec"]["dnsNames"] for child in issued_children(lost) if "dnsNames" in child.obj["spec"]]
    assert names == [[WWW]]


def test_a_supplied_secret_takes_precedence() -> None:
    made = inputs().space
    spec = made.spec.model_copy(
        update={"http_cert_secret_name": "own", "http_hostnames": (HttpHostname(name=WWW, cert_secret_name="www"),)}
    )
    space = with_issuer(replace(made, spec=spec.model_copy(update={"tcp_cert_and_ca_secret_name": None})), Settings())
    assert set(space.issued) == {TCP}
    assert space.spec.http_cert_secret_name == "own"


def test_the_settings_are_the_default() -> None:
    made = inputs().space
    spec = SpaceSpec(domain_name="example.net")
    plain = replace(made, spec=spec, issuer=None, issued={})
    assert with_issuer(plain, Settings()) is plain
    found = with_issuer(plain, Settings.model_validate({"certificates": {"issuerName": "public"}}))
    assert found.issuer is not None
    assert (found.issuer.name, found.issuer.kind) == ("public", "ClusterIssuer")
    assert found.spec.http_cert_secret_name == HTTP


def test_former_secrets_take_the_place_of_issued_ones() -> None:
    space = with_former(inputs().space, {HTTP: "old"})
    assert (space.spec.http_cert_secret_name, space.spec.tcp_cert_and_ca_secret_name) == ("old", TCP)


@pytest.mark.parametrize(
    ("conditions", "served", "reason"),
    [
        ([], True, reasons.CERTIFICATE_ISSUING),
        ([{"type": "Issuing", "status": "True", "message": "waits"}], True, reasons.CERTIFICATE_ISSUING),
        (
            [{"type": "Issuing", "status": "False", "reason": "Failed", "message": "a\nb"}],
            True,
            reasons.CERTIFICATE_NOT_ISSUED,
        ),
        ([], False, reasons.CERT_MANAGER_MISSING),
    ],
)
def test_why_a_certificate_is_not_there(conditions: list[Obj], served: bool, reason: str) -> None:
    view = certificate_view({"status": {"conditions": conditions, "revision": 2}})
    problem = issuing_problem(inputs().space, HTTP, view, UNKNOWN, served=served)
    assert problem.reason == reason
    assert "\n" not in problem.message


def test_the_cause_is_reported_and_decides_whether_it_ends_by_itself() -> None:
    space, view = inputs().space, certificate_view({"status": {"conditions": []}})
    waiting = issuing_problem(space, HTTP, view, Cause("HTTP-01 challenge for a.test: no such host"), served=True)
    assert (waiting.reason, waiting.message[-45:]) == (
        reasons.CERTIFICATE_ISSUING,
        " ca: HTTP-01 challenge for a.test: no such host"[-45:],
    )
    lasting = issuing_problem(space, HTTP, view, Cause("Issuer ca does not exist", lasts=True), served=True)
    assert lasting.reason == reasons.CERTIFICATE_NOT_ISSUED
    assert "Issuer ca does not exist; see its status" in lasting.message
