"""What the API server makes of a value counts as decco's; whatever means something else does not."""

from __future__ import annotations

from typing import Any

import pytest

from decco.kube.server_values import equal, is_added, is_default

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("within", "name", "value", "beside", "expected"),
    [
        ("metadata", "creationTimestamp", None, {}, True),
        ("spec", "restartPolicy", "Always", {}, True),
        ("spec", "restartPolicy", "Never", {}, False),
        ("initContainers", "restartPolicy", "Always", {}, False),
        ("volumeClaimTemplates", "apiVersion", "v1", {}, True),
        ("volumeClaimTemplates", "kind", "PersistentVolumeClaim", {}, True),
        ("volumeClaimTemplates", "kind", "Service", {}, False),
        ("volumeClaimTemplates", "status", {"phase": "Pending"}, {}, True),
        ("volumeClaimTemplates", "status", {"phase": "Bound"}, {}, False),
        ("spec", "status", {"phase": "Pending"}, {}, False),
        ("template", "kind", "PersistentVolumeClaim", {}, False),
        ("rollingUpdate", "maxUnavailable", 1, {"partition": 0}, True),
        ("rollingUpdate", "maxUnavailable", 2, {"partition": 0}, False),
        ("rollingUpdate", "maxUnavailable", "25%", {"partition": 0}, False),
        ("rollingUpdate", "maxUnavailable", "25%", {}, True),
        ("rollingUpdate", "maxUnavailable", 1, {}, False),
        ("ports", "targetPort", 80, {"port": 80}, True),
        ("ports", "targetPort", 81, {"port": 80}, False),
        ("ports", "targetPort", 80, {}, False),
        ("spec", "serviceAccount", "web", {"serviceAccountName": "web"}, True),
        ("spec", "serviceAccount", "", {"serviceAccountName": ""}, False),
        ("limits", "default", {"cpu": "1000m"}, {"max": {"cpu": "1"}}, True),
        ("limits", "default", {"cpu": "1000m", "memory": "1"}, {"max": {"cpu": "1"}}, False),
        ("limits", "default", {"cpu": "2"}, {"max": {"cpu": "1"}}, False),
        ("ports", "protocol", "TCP", {}, True),
        ("ports", "protocol", "UDP", {}, False),
        ("ports", "unknown", "TCP", {}, False),
    ],
)
def test_fields_that_the_server_adds(within: str, name: str, value: Any, beside: Obj, expected: bool) -> None:
    assert is_added(within, name, value, beside) is expected


@pytest.mark.parametrize(
    ("name", "live", "written", "expected"),
    [
        ("protocol", "TCP", "", True),
        ("protocol", "TCP", None, True),
        ("protocol", "UDP", "", False),
        ("protocol", "TCP", "UDP", False),
        ("timeoutSeconds", 1, 0, True),
        ("timeoutSeconds", 2, 0, False),
        ("weight", 1, 0, False),  # no traffic, where absent is 1
    ],
)
def test_an_empty_value_that_the_server_replaces(name: str, live: Any, written: Any, expected: bool) -> None:
    assert is_default("spec", name, live, written, {}) is expected


@pytest.mark.parametrize(
    ("within", "name", "live", "written", "expected"),
    [
        ("labels", "a", "x", "x", True),
        ("requests", "cpu", "1", "1000m", True),
        ("requests", "cpu", "1", "1001m", False),
        ("requests", "cpu", "x", "1", False),
        ("requests", "cpu", "1", "x", False),
        ("spec", "storage", "1Gi", "1024Mi", True),
        ("labels", "a", "1", "1000m", False),
    ],
)
def test_quantities_have_several_forms(within: str, name: str, live: Any, written: Any, expected: bool) -> None:
    assert equal(within, name, live, written) is expected
