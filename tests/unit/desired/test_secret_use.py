"""What of a usable content is a defect for one use, at one time."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from decco.desired import reasons
from decco.desired.model import Problem, SecretFacts, SecretState, SecretView
from decco.desired.routing.edge import edge_keys
from decco.desired.secret_content import inspect
from decco.desired.secret_use import CLIENT, SERVER, Use, covers, defects, worse
from decco.desired.secrets import problem_of
from decco.settings import RoutingSettings
from tests.images.pki import DAY, Authority

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NAMES = Use(frozenset({"acme.example.net"}), frozenset({SERVER}))


def facts(**more: Any) -> SecretFacts:
    return SecretFacts(type="kubernetes.io/tls", digest="d", has_ca=True, **more)


@pytest.mark.parametrize(
    ("dns_name", "hostname", "is_for"),
    [
        ("acme.example.net", "acme.example.net", True),
        ("ACME.example.net", "acme.example.net", True),
        ("*.example.net", "acme.example.net", True),
        ("*.example.net", "example.net", False),
        ("*.example.net", "a.acme.example.net", False),
        ("*.net", "example.net", False),
        ("*", "net", False),
        ("a*.example.net", "acme.example.net", False),
        ("acme.*.net", "acme.example.net", False),
        ("acme.example.net.", "acme.example.net", False),
        (".example.net", "acme.example.net", False),
        ("", "acme.example.net", False),
    ],
)
def test_covers(dns_name: str, hostname: str, is_for: bool) -> None:
    assert covers([dns_name], hostname) is is_for


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, None),
        ({"dns_names": ("*.example.net",)}, None),
        ({"dns_names": ("other.example.net",)}, reasons.CERTIFICATE_NAME_MISMATCH),
        ({"dns_names": ()}, reasons.CERTIFICATE_NAME_MISMATCH),
        ({"not_before": NOW}, None),
        ({"not_before": NOW + SECOND}, reasons.CERTIFICATE_NOT_YET_VALID),
        ({"not_after": NOW + SECOND}, None),
        ({"not_after": NOW}, reasons.CERTIFICATE_EXPIRED),
        ({"usages": frozenset({CLIENT})}, reasons.SECRET_INVALID),
        ({"usages": frozenset({SERVER})}, None),
        ({"key_kind": "Ed448"}, None),
        ({"problem": Problem(reasons.SECRET_INVALID, "x")}, reasons.SECRET_INVALID),
    ],
)
def test_each_defect_has_its_reason(given: dict[str, Any], reason: str | None) -> None:
    assert [each.reason for each in defects(facts(**given), NAMES, NOW).values()] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("routing", "controller", "refused"),
    [
        ({}, None, {"P-521", "Ed25519", "Ed448"}),
        ({}, "gateway.envoyproxy.io/gatewayclass-controller", {"P-521", "Ed25519", "Ed448"}),
        ({}, "traefik.io/gateway-controller", {"Ed448"}),
        ({"backend": "ingress", "ingressDialect": "traefik"}, None, {"Ed448"}),
        ({"backend": "ingress", "ingressDialect": "haproxy"}, None, set()),
        ({"backend": "ingress", "ingressDialect": "nginx"}, None, set()),
        ({"backend": "none"}, None, set()),
    ],
)
def test_keys_of_the_edge(routing: dict[str, Any], controller: str | None, refused: set[str]) -> None:
    keys = edge_keys(RoutingSettings.model_validate(routing), controller)
    every = {"RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"}
    assert every - keys == refused
    for kind in every:
        assert bool(defects(facts(key_kind=kind), Use(keys=keys), NOW)) is (kind in refused)


def test_a_content_is_worse_only_by_a_defect_of_its_own() -> None:
    use = Use(frozenset({"a.example.net", "b.example.net"}))
    both, one, none = (
        defects(facts(dns_names=names), use, NOW) for names in ((), ("a.example.net",), tuple(use.names))
    )
    assert worse(both, one)
    assert worse(one, none)
    assert not worse(one, one)
    assert not worse(none, both)


def test_many_missing_names_are_one_short_message() -> None:
    use = Use(frozenset(f"{number}.example.net" for number in range(50)))
    found = reasons.combine(defects(facts(dns_names=tuple(f"x{n}.example.net" for n in range(50))), use, NOW).values())
    assert found is not None
    assert "and 45 more" in found.message
    assert len(found.message) < 600


def test_a_defect_of_the_source_is_reported_while_the_copy_is_good() -> None:
    view = SecretView("tls", SecretState.COPY, facts(), source=facts(not_before=NOW + SECOND))
    problem = problem_of(view, space="acme", fqdn="acme.example", controller_namespace="decco", now=NOW)
    assert problem == Problem(
        reasons.CERTIFICATE_NOT_YET_VALID,
        "Secret tls: the certificate is not valid before 2026-06-01 12:00:01 UTC; wait, or renew it; its last good "
        "copy stays in use",
    )
    pending = SecretView("tls", SecretState.PENDING, facts(not_before=NOW + SECOND))
    problem = problem_of(pending, space="acme", fqdn="acme.example", controller_namespace="decco", now=NOW)
    assert problem is not None
    assert problem.reason == reasons.CERTIFICATE_NOT_YET_VALID


def test_it_is_said_whose_certificate_has_expired() -> None:
    """A reader looks at the first one, which may be valid."""
    now = datetime.now(UTC)
    root = Authority()
    old = root.intermediate()
    builder = root._builder(old._name, old._key.public_key(), -DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    old._between = builder.sign(root._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    texts = []
    for leaf in (old.leaf("acme.example.net"), root.leaf("acme.example.net", expired=True)):
        data = {key: b64encode(value).decode() for key, value in leaf.secret.items()}
        [problem] = defects(inspect("kubernetes.io/tls", data), NAMES, now).values()
        assert problem.reason == reasons.CERTIFICATE_EXPIRED
        texts.append(problem.message.partition(" expired")[0])
    assert texts == ["certificate 2 of tls.crt, of an issuer,", "the certificate"]
