from __future__ import annotations

import pytest

from decco.desired.pod_refusals import advice
from decco.objects import Obj
from tests.unit.desired.app_cases import app, by_address

WITH = by_address(app({}))["Deployment", "web"]
WITHOUT = by_address(app({"endpoints": []}))["Deployment", "web"]
NOBODYS = "change the pod, or what refuses it"


QUOTA = (
    'pods "web-…" is forbidden: exceeded quota: decco, requested: limits.memory=256Mi, used: limits.memory=0, '
    "limited: limits.memory=200Mi"
)
USER = (
    'pods "web-…" is forbidden: unable to validate against any security context constraint: [provider restricted-v2: '
    ".initContainers[0].runAsUser: Invalid value: 65532: must be in the ranges: [1, 2]]"
)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (QUOTA, ("spec.resourceQuota of the Space", "sidecar counts", "limits.memory 128Mi", "requests.cpu 10m")),
        (
            'pods "web-…" is forbidden: failed quota: decco: must specify limits.cpu for: web',
            ("spec.resourceQuota of the Space", "TLS sidecar counts"),
        ),
        (
            'pods "web-…" is forbidden: [minimum memory usage per Container is 64Mi, but request is 16Mi]',
            ("spec.limitRange of the Space", "requests.memory 16Mi"),
        ),
        (USER, ("sidecar.runAsUser",)),
        (
            'admission webhook "w" denied the request: container decco-tls has no cpu limit',
            ("the TLS sidecar that decco adds", "sidecar.*"),
        ),
    ],
)
def test_what_decco_adds_is_not_for_the_pods_author_to_change(cause: str, words: tuple[str, ...]) -> None:
    found = advice(cause, WITH)
    assert [word for word in words if word not in found] == []
    assert "change the pod" not in found


@pytest.mark.parametrize(
    ("cause", "workload"),
    [
        ('violates PodSecurity "baseline:latest": privileged (container "main" must not set it)', WITH),
        ("exceeded quota: of-the-tenant, requested: pods=1", WITH),
        ("container decco-tls has no cpu limit", WITHOUT),
        ("initContainers[0].runAsUser: Invalid value", WITHOUT),
    ],
)
def test_what_the_author_wrote_is(cause: str, workload: Obj) -> None:
    assert advice(cause, workload) == NOBODYS


def test_without_a_sidecar_none_is_mentioned() -> None:
    assert "sidecar" not in advice("exceeded quota: decco, requested: limits.cpu=1", WITHOUT)
