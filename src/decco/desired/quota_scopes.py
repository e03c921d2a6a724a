"""The requests and limits that a Space's ResourceQuota requires of the containers of a pod.

The rules of the quota admission (Kubernetes, pkg/quota/v1/evaluator/core/pods.go): a quota on CPU or memory refuses a
pod of which any container does not state that request or limit; other resources count as zero.
"""

from __future__ import annotations

from typing import Any, Final

from decco.desired.endpoints import objects
from decco.objects import Obj

Part = tuple[str, str]
"""("requests" or "limits", name of a resource)."""

_STATED: Final = ("cpu", "memory")
_AMOUNTS: Final = (*_STATED, "ephemeral-storage")


def hard_parts(quota: Obj | None) -> dict[Part, Any]:
    """What the quota's ``hard`` grants of each part; ``cpu`` is another name of ``requests.cpu``."""
    hard = (quota or {}).get("hard")
    found: dict[Part, Any] = {}
    for key, amount in hard.items() if isinstance(hard, dict) else ():
        part, dot, name = str(key).partition(".")
        if str(key) in _AMOUNTS:
            found["requests", str(key)] = amount
        elif dot and part in ("requests", "limits") and name in _AMOUNTS:
            found[part, name] = amount
    return found


def must_be_stated(quota: Obj | None, pod: Obj | None) -> frozenset[Part]:
    """What each container must state. ``pod`` is the PodSpec, None for any pod: each quota then applies."""
    if quota is None or (pod is not None and not _in_scope(quota, pod)):
        return frozenset()
    return frozenset(part for part in hard_parts(quota) if part[1] in _STATED)


def _in_scope(quota: Obj, pod: Obj) -> bool:
    scopes = quota.get("scopes")
    selector = quota.get("scopeSelector")
    expressions = [{"scopeName": name, "operator": "Exists"} for name in (scopes if isinstance(scopes, list) else ())]
    expressions += objects(selector.get("matchExpressions")) if isinstance(selector, dict) else []
    return all(_matches(expression, pod) for expression in expressions)


def _matches(expression: Obj, pod: Obj) -> bool:
    """A pod with the sidecar has requests, so it is never BestEffort."""
    scope, operator, values = expression.get("scopeName"), expression.get("operator"), expression.get("values")
    terminating: bool = pod.get("activeDeadlineSeconds") is not None
    if scope == "BestEffort":
        return False
    if scope in ("Terminating", "NotTerminating"):
        return terminating is (scope == "Terminating")
    if scope != "PriorityClass":
        return True
    given = pod.get("priorityClassName")
    listed = given in values if isinstance(values, list) else False
    answers = {"In": listed, "NotIn": not listed, "Exists": bool(given), "DoesNotExist": not given}
    return bool(answers.get(str(operator), True))
