"""Fields that are passed on to Kubernetes have the form that the CRD declares; other fields may have any."""

from __future__ import annotations

from typing import Any

import pytest

from decco.api.declared import problem_of
from decco.api.parse import InvalidObjectError, parse_app
from tests.unit.api.rows import Obj, app

CLAIM = {"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"deployment": {"minReadySeconds": "5"}}, "spec.deployment: minReadySeconds must be a whole number"),
        ({"deployment": {"minReadySeconds": True}}, "spec.deployment: minReadySeconds must be a whole number"),
        ({"deployment": {"minReadySeconds": 2**63}}, "spec.deployment: minReadySeconds must be a number of 64 bits"),
        ({"deployment": {"paused": 1}}, "spec.deployment: paused must be true or false"),
        ({"deployment": {"strategy": []}}, "spec.deployment: strategy must be an object"),
        ({"job": {"managedBy": {}}}, "spec.job: managedBy must be text"),
        ({"job": {"managedBy": "a" * 254}}, "spec.job: managedBy must have at most 253 characters"),
        ({"statefulSet": {"volumeClaimTemplates": {}}}, "spec.statefulSet: volumeClaimTemplates must be a list"),
        (
            {"statefulSet": {"volumeClaimTemplates": [CLAIM, None]}},
            "spec.statefulSet: volumeClaimTemplates[1] must be an object",
        ),
        (
            {"statefulSet": {"volumeClaimTemplates": [{"metadata": {"labels": {"secret;key": 1}}}]}},
            "spec.statefulSet: volumeClaimTemplates[0].metadata.labels[] must be text",
        ),
    ],
)
def test_another_form_than_the_declared_is_refused(spec: Obj, message: str) -> None:
    with pytest.raises(InvalidObjectError) as error:
        parse_app(app(**spec))
    assert error.value.problems == (message,)


@pytest.mark.parametrize(
    "spec",
    [
        {
            "deployment": {
                "minReadySeconds": None,
                "paused": False,
                "strategy": {"type": [1]},
                "futureField": [{"a": 1}],
            }
        },
        {"job": {"completions": 2**63 - 1, "backoffLimit": -(2**63), "managedBy": "a" * 253}},
        {"statefulSet": {"volumeClaimTemplates": [CLAIM, {"metadata": {"labels": None, "other": 1}}, {}]}},
    ],
)
def test_what_has_the_declared_form_is_kept_as_it_is(spec: Obj) -> None:
    (kind,) = spec
    parsed: Any = parse_app(app(**spec))
    assert {"deployment": parsed.deployment, "job": parsed.job, "statefulSet": parsed.stateful_set}[kind] == spec[kind]


def test_a_map_may_have_so_many_keys() -> None:
    schema = {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string", "maxLength": 1}}
    assert problem_of(schema, {"a": "b"}, "x") == ""
    assert problem_of(schema, {"a": "b", "c": "d"}, "x") == "x must have at most 1 keys"
    assert problem_of(schema, {"a": "bb"}, "x") == "x[] must have at most 1 characters"
