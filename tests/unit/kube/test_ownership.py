"""Reading managedFields. The samples are what a Kubernetes 1.37 API server wrote, not what we think that it writes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from decco.kube.ownership import EVERYTHING, MISSING, Path, foreign_paths, lookup
from decco.objects import Obj


def by(manager: str, fields: str, subresource: str = "") -> Obj:
    entry: Obj = {"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1"}
    if subresource:
        entry["subresource"] = subresource
    return {**entry, "fieldsV1": orjson.loads(fields)}


def item(**keys: Any) -> frozenset[tuple[str, Any]]:
    return frozenset(keys.items())


# A Deployment that decco made, after `kubectl scale`, `rollout restart`, `set env`, `set image` and a strategic patch
# that adds hostNetwork, a container and a toleration.
DEPLOYMENT = [
    by("kubectl", '{"f:spec":{"f:replicas":{}}}', "scale"),
    by(
        "decco",
        '{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:progressDeadlineSeconds":{},"f:selector":{},'
        '"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},"f:template":{"f:spec":{"f:containers":'
        '{"k:{\\"name\\":\\"main\\"}":{".":{},"f:args":{},"f:env":{".":{},"k:{\\"name\\":\\"A\\"}":{".":{},"f:name":{},'
        '"f:value":{}}},"f:name":{},"f:resources":{}}},"f:dnsPolicy":{}}}}}',
    ),
    by(
        "kube-controller-manager",
        '{"f:metadata":{"f:annotations":{".":{},"f:deployment.kubernetes.io/revision":{}}},"f:status":{"f:conditions":'
        '{".":{},"k:{\\"type\\":\\"Available\\"}":{".":{},"f:status":{},"f:type":{}}},"f:observedGeneration":{}}}',
        "status",
    ),
    by(
        "kubectl-patch",
        '{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\\"name\\":\\"spy\\"}":{".":{},"f:image":{},'
        '"f:name":{},"f:resources":{}}},"f:hostNetwork":{},"f:tolerations":{}}}}}',
    ),
    by(
        "kubectl-rollout",
        '{"f:spec":{"f:template":{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/restartedAt":{}}}}}}',
    ),
    by(
        "kubectl-set",
        '{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\\"name\\":\\"main\\"}":{"f:env":'
        '{"k:{\\"name\\":\\"B\\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{}}}}}}}',
    ),
]
POD = ("spec", "template", "spec")
CONTAINERS = (*POD, "containers")

SAMPLES: dict[str, tuple[list[Obj], set[Path]]] = {
    "a Deployment changed by kubectl in every way": (
        DEPLOYMENT,
        {
            ("spec", "replicas"),
            (*CONTAINERS, item(name="spy"), "image"),
            (*CONTAINERS, item(name="spy"), "name"),
            (*CONTAINERS, item(name="spy"), "resources"),
            (*POD, "hostNetwork"),
            (*POD, "tolerations"),
            ("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"),
            (*CONTAINERS, item(name="main"), "env", item(name="B"), "name"),
            (*CONTAINERS, item(name="main"), "env", item(name="B"), "value"),
            (*CONTAINERS, item(name="main"), "image"),
        },
    ),
    "a Deployment that only decco and the controllers wrote": (DEPLOYMENT[1:3], set()),
    "a NetworkPolicy whose selector and rules (atomic) were changed": (
        [
            by("decco", '{"f:spec":{"f:policyTypes":{}}}'),
            by("kubectl-patch", '{"f:spec":{"f:ingress":{},"f:podSelector":{}}}'),
        ],
        {("spec", "ingress"), ("spec", "podSelector")},
    ),
    "a Service that was given a port": (
        [
            by("decco", '{"f:spec":{"f:selector":{},"f:type":{}}}'),
            by(
                "kubectl-patch",
                '{"f:spec":{"f:ports":{"k:{\\"port\\":9000,\\"protocol\\":\\"TCP\\"}":{".":{},"f:name":{},"f:port":{}}}}}',
            ),
        ],
        {
            ("spec", "ports", item(port=9000, protocol="TCP"), "name"),
            ("spec", "ports", item(port=9000, protocol="TCP"), "port"),
        },
    ),
    "a Secret with a key, a label and a finalizer of others": (
        [
            by("decco", '{"f:data":{},"f:type":{}}'),
            by("kubectl-label", '{"f:metadata":{"f:labels":{".":{},"f:x":{}}}}'),
            by("kubectl-patch", '{"f:data":{"f:b":{}},"f:metadata":{"f:finalizers":{"v:\\"z.z/z\\"":{}}}}'),
        ],
        {("data", "b")},
    ),
    "a set whose items are owned one by one": (
        [by("decco", "{}"), by("x", '{"f:spec":{"f:hosts":{"v:\\"a\\"":{},"v:\\"b\\"":{}}}}')],
        {("spec", "hosts")},
    ),
    "an item that is owned as such": (
        [by("decco", "{}"), by("x", '{"f:spec":{"f:list":{"k:{\\"name\\":\\"a\\"}":{".":{}}}}}')],
        {("spec", "list", item(name="a"))},
    ),
    "an entry without fields": ([by("decco", "{}"), {"manager": "x"}], set()),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_foreign_paths(name: str) -> None:
    managed, expected = SAMPLES[name]
    assert set(foreign_paths(managed)) == expected


@pytest.mark.parametrize("managed", [[], [by("kubectl", '{"f:data":{"f:a":{}}}')]])
def test_without_decco_among_the_writers_everything_is_foreign(managed: list[Obj]) -> None:
    """Somebody sent ``managedFields: [{}]``: from then on the API server notes no writer at all."""
    assert foreign_paths(managed) == EVERYTHING


def test_too_many_paths_are_not_kept() -> None:
    many = {"f:data": {f"f:{number}": {} for number in range(5000)}}
    managed = [by("decco", "{}"), {"manager": "x", "fieldsV1": many}]
    assert foreign_paths(managed) == EVERYTHING


def test_many_managers_with_few_paths_each_are_bounded_too() -> None:
    managed = [by("decco", "{}")] + [by(f"m{n}", f'{{"f:data":{{"f:{n}":{{}}}}}}') for n in range(5000)]
    assert foreign_paths(managed) == EVERYTHING


# What any tenant may write into the managedFields of its own objects; the API server takes all of these.
def nested(levels: int, step: str = "f:a") -> Obj:
    deep: Obj = {}
    for _ in range(levels):
        deep = {step: deep}
    return deep


MADE_UP: dict[str, tuple[Obj, set[Path]]] = {
    "a key with a list": ({"f:data": {'k:{"name":["x"]}': {"f:z": {}}}}, {("data",)}),
    "a key with a map": ({"f:data": {'k:{"name":{"a":1}}': {"f:z": {}}}}, {("data",)}),
    "a key that is null": ({"f:data": {"k:null": {}}}, {("data",)}),
    "a key that is not JSON": ({"f:data": {"k:{": {}}}, {("data",)}),
    "a key without fields": ({"f:data": {"k:{}": {}}}, {("data", frozenset())}),
    "indices and values": ({"f:data": {"i:3": {}, 'v:{"x":[1]}': {}}}, {("data",)}),
    "an unknown step": ({"f:data": {"q:zz": {}}}, {("data",)}),
    "as deep as JSON goes": ({"f:data": nested(900)}, {("data", *["a"] * 31)}),
    "keys as deep as JSON goes": ({"f:data": nested(900, "k:{}")}, {("data", *[frozenset()] * 31)}),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_fields_do_no_harm(name: str) -> None:
    fields, expected = MADE_UP[name]
    assert set(foreign_paths([by("decco", "{}"), {"manager": "evil", "fieldsV1": fields}])) == expected


SERVICE = {
    "spec": {
        "ports": [
            {"name": "a", "port": 443, "protocol": "TCP", "targetPort": 8443},
            {"name": "b", "port": 443, "protocol": "UDP"},
            {"name": "c", "port": 80},
        ],
        "selector": {"app": "web"},
        "empty": None,
    }
}
LOOKUPS: list[tuple[Path, Any]] = [
    ((), SERVICE),
    (("spec", "selector", "app"), "web"),
    (("spec", "empty"), None),
    (("spec", "none"), MISSING),
    (("spec", "selector", "app", "deeper"), MISSING),
    (("spec", "ports", item(port=443, protocol="UDP"), "name"), "b"),
    (("spec", "ports", item(port=80, protocol="TCP"), "name"), "c"),  # protocol was left to the default
    (("spec", "ports", item(port=9000, protocol="TCP")), MISSING),
    (("spec", "ports", item(port=9000, protocol="TCP"), "name"), MISSING),
    (("spec", "selector", item(name="a")), MISSING),
    (("spec", "ports", "name"), MISSING),
]


@pytest.mark.parametrize(("path", "expected"), LOOKUPS)
def test_lookup(path: Path, expected: Any) -> None:
    assert lookup(SERVICE, path) is expected or lookup(SERVICE, path) == expected
