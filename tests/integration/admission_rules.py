"""Rules of the cluster's administrator for one namespace: MutatingAdmissionPolicy and ValidatingAdmissionPolicy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import eventually

Obj = dict[str, Any]

ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def _matching(namespace: str, group: str, plural: str, operations: Sequence[str]) -> Obj:
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": list(operations), "resources": [plural]}
    return {
        "resourceRules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }


@contextlib.contextmanager
def mutating(
    cp: ControlPlane,
    namespace: str,
    expression: str,
    *,
    group: str = "apps",
    plural: str = "deployments",
    operations: Sequence[str] = ("CREATE", "UPDATE"),
    unless: str = "false",
) -> Iterator[None]:
    """JSON patches (a CEL list of JSONPatch) for what is created or changed in the namespace, ``unless`` this holds."""
    if cp.request("GET", f"{ADMISSION}/mutatingadmissionpolicies").status == 404:
        pytest.skip("this Kubernetes has no MutatingAdmissionPolicy v1")
    name = f"mutate-{namespace}-{plural}"
    spec: Obj = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": _matching(namespace, group, plural, operations),
        "matchConditions": [{"name": "needed", "expression": f"!({unless})"}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    with _installed(cp, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", name, spec, {"policyName": name}):
        yield


@contextlib.contextmanager
def forbidding(
    cp: ControlPlane, namespace: str, expression: str, *, group: str = "apps", plural: str = "deployments"
) -> Iterator[str]:
    """Refuses what is created or changed in the namespace unless the expression is true; gives the policy's path."""
    name = f"forbid-{namespace}-{plural}"
    spec: Obj = {
        "failurePolicy": "Fail",
        "matchConstraints": _matching(namespace, group, plural, ["CREATE", "UPDATE"]),
        "validations": [{"expression": expression, "message": "not in this cluster"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    with _installed(cp, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", name, spec, binding) as path:
        yield path


@contextlib.contextmanager
def _installed(cp: ControlPlane, plural: str, kind: str, name: str, spec: Obj, binding: Obj) -> Iterator[str]:
    version = {"apiVersion": "admissionregistration.k8s.io/v1"}
    bindings = f"{plural.removesuffix('ies')}ybindings"
    path = f"{ADMISSION}/{plural}/{name}"
    cp.create(f"{ADMISSION}/{plural}", {**version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    try:
        bound = {**version, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": binding}
        cp.create(f"{ADMISSION}/{bindings}", bound)
        yield path
    finally:
        for each in (f"{ADMISSION}/{bindings}/{name}", path):
            assert cp.request("DELETE", each).status in (200, 404)


def in_force(cp: ControlPlane, path: str, probe: Obj, expected: Any) -> None:
    """Waits until a dry run of creating ``probe`` has a result (status and object) of which ``expected`` is true."""

    def ask() -> bool:
        answer = cp.request("POST", f"{path}?dryRun=All", probe)
        return bool(expected(answer.status, answer.json()))

    eventually(ask, 60, "the policy is in force")
