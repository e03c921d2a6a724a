"""What the model of the API server answers where a right was taken, against the real one."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.test_policies import as_user
from tests.simulation.model import answers
from tests.simulation.model.kinds import BY_NAME


@pytest.mark.parametrize(
    ("path", "verb", "kind", "namespace", "name"),
    [
        ("/api/v1/secrets", "list", "Secret", "", ""),
        ("/api/v1/namespaces/default/secrets", "list", "Secret", "default", ""),
        ("/api/v1/namespaces/default/secrets?watch=1", "watch", "Secret", "default", ""),
        ("/api/v1/namespaces/default/secrets/x", "get", "Secret", "default", "x"),
        ("/apis/apps/v1/namespaces/default/deployments/x", "get", "Deployment", "default", "x"),
        ("/apis/decco.platform9.com/v1beta2/spaces/x", "get", "Space", "", "x"),
    ],
)
def test_a_right_that_is_lacking(
    control_plane: ControlPlane, path: str, verb: str, kind: str, namespace: str, name: str
) -> None:
    answer = as_user(control_plane, "nobody").request("GET", path)
    expected = answers.denied("nobody", verb, BY_NAME[kind], namespace, name)
    assert answer.status == expected.code
    assert comparable(answer.json()) == comparable(expected.status())


def comparable(status: Any) -> Any:
    details = {name: value for name, value in (status.get("details") or {}).items() if value}
    return {**status, "metadata": {}, "details": details}
