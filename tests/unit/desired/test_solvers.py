"""Who reaches the pods that answer a certificate authority by HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from decco.api.types import SpaceSpec
from decco.desired.issued import with_issuer
from decco.desired.model import Obj, SpaceFacts
from decco.desired.solvers import SOLVER_LABELS, SOLVER_PORT, solver_policy
from decco.settings import Settings

SERVED: dict[str, dict[str, Any]] = {
    "a Secret by name": {"httpCertSecretName": "own"},
    "an issuer": {"certificates": {"issuerRef": {"name": "ca"}}},
    "a further name": {"httpHostnames": [{"name": "www.example.org", "certSecretName": "www"}]},
    "a further name from an issuer": {
        "certificates": {"issuerRef": {"name": "ca"}},
        "httpHostnames": [{"name": "www.example.org"}],
    },
}
"""How a Space comes to a certificate for HTTPS: in each case the certificate may be obtained by HTTP-01."""


def policy(settings: dict[str, Any], **spec: Any) -> Obj | None:
    known = Settings.model_validate(settings)
    space = SpaceFacts(
        name="acme",
        uid="uid-acme",
        generation=1,
        created="2026-11-30T08:00:00Z",
        spec=SpaceSpec.model_validate({"domainName": "example.net", **spec}),
    )
    found = solver_policy(with_issuer(space, known), known.edge)
    assert len(found) <= 1
    return found[0].obj if found else None


@pytest.mark.parametrize("project", [None, "red"])
@pytest.mark.parametrize("served", SERVED)
def test_the_edge_reaches_them(served: str, project: str | None) -> None:
    found = policy({"edge": {"namespace": "edge", "cidrs": ["192.0.2.0/24"]}}, project=project, **SERVED[served])
    assert found is not None
    assert found["spec"] == {
        "podSelector": {"matchLabels": SOLVER_LABELS},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}},
                    {"ipBlock": {"cidr": "192.0.2.0/24"}},
                ],
                "ports": [{"protocol": "TCP", "port": SOLVER_PORT}],
            }
        ],
    }


@pytest.mark.parametrize("served", SERVED)
def test_an_edge_that_is_not_known(served: str) -> None:
    """It may be anywhere, so all reach them; a Space with a project is closed, and has the condition EdgeUnknown."""
    found = policy({}, **SERVED[served])
    assert found is not None
    assert "from" not in found["spec"]["ingress"][0]
    assert policy({}, project="red", **SERVED[served]) is None


def test_a_space_without_https_has_none() -> None:
    assert policy({"edge": {"namespace": "edge"}}) is None
    assert policy({"edge": {"namespace": "edge"}}, tcpCertAndCaSecretName="own") is None
