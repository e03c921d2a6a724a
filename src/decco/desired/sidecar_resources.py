"""The sidecar's resources, so that the Space's own quota and limits do not refuse what decco adds to a pod.

The sidecar gets the setting ``sidecar.resources``. It changes only where a pod with it would be refused: a quota that
requires a limit, a LimitRange with a minimum, maximum or ratio. Values that the LimitRange's defaults provide are left
to them. A conflict that cannot be resolved is a problem of the Space, whether it has Apps or not.

The rules are those of the LimitRanger admission (Kubernetes, plugin/pkg/admission/limitranger), of the defaults of
LimitRange (pkg/apis/core/v1/defaults.go), and of the quota admission (pkg/quota/v1/evaluator/core/pods.go): a quota on
CPU or memory refuses a pod of which any container does not state that request or limit; other resources count as zero.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from decco.api.types import SpaceSpec
from decco.desired.endpoints import objects
from decco.frozen import frozen
from decco.objects import Obj
from decco.quantities import Quantity, divided, quantity

Part = tuple[str, str]
"""("requests" or "limits", name of a resource)."""

ADDED: Final[Mapping[str, tuple[str, str]]] = {
    "cpu": ("10m", "200m"),
    "memory": ("16Mi", "128Mi"),
    "ephemeral-storage": ("16Mi", "128Mi"),  # its log, which the kubelet rotates
}
"""Request and limit of the sidecar where the Space requires one and the setting has none."""
_STATED: Final = ("cpu", "memory")
_NAME: Final = re.compile("[-A-Za-z0-9._/]{1,253}")
"""A name of a resource. Names and amounts appear in messages and are not validated before."""


@frozen
class Fit:
    """``problems`` state why pods with the sidecar are still refused, and what to change."""

    resources: Obj
    problems: tuple[str, ...]


def fit(resources: Obj, space: SpaceSpec, pod: Obj | None = None) -> Fit:
    """The sidecar's resources in a pod of the Space; ``pod`` is the user's PodSpec, None for any pod."""
    return _Fitting(resources, space, pod).run()


class _Fitting:
    def __init__(self, resources: Obj, space: SpaceSpec, pod: Obj | None) -> None:
        self._resources = copy.deepcopy(resources)
        self._requests, self._limits = _amounts(resources.get("requests")), _amounts(resources.get("limits"))
        self._container = _limits(space.limit_range, "Container")
        self._pod = _limits(space.limit_range, "Pod")
        self._hard = _hard_parts(space.resource_quota)
        applies = pod is None or _in_scope(space.resource_quota or {}, pod)
        self._stated = {part for part in self._hard if part[1] in _STATED} if applies else set()
        self._final: dict[Part, Quantity] = {}

    def run(self) -> Fit:
        ranged = self._container
        names = {*self._requests, *self._limits, *(name for _, name in self._stated)}
        names |= {*ranged.min, *ranged.max, *ranged.ratio}
        problems = [problem for name in sorted(names) if (problem := self._fit(name)) is not None]
        for part, amount in sorted(self._hard.items(), key=lambda item: item[0]):
            granted, own = quantity(amount), self._final.get(part)
            if granted and own and own.amount > granted.amount:
                problems.append(
                    f"resourceQuota grants {'.'.join(part)} {granted.readable}, and decco's TLS sidecar alone has "
                    f"{own.readable} in each pod; {_cure('resourceQuota')}"
                )
        for name, most in sorted(self._pod.max.items()):
            own = self._final.get(("limits", name)) or self._final.get(("requests", name))
            if own and own.amount > most.amount:
                problems.append(
                    f"limitRange grants a pod at most {most.readable} of {name}, and decco's TLS sidecar alone has "
                    f"{own.readable}; {_cure('limitRange')}"
                )
        return Fit(self._resources, tuple(problems))

    def _fit(self, name: str) -> str | None:
        """Sets the request and the limit of one resource; returns why there is no fitting one."""
        ranged = self._container
        least, most, ratio = ranged.min.get(name), ranged.max.get(name), ranged.ratio.get(name)
        # The values that the API server derives from the setting alone.
        derived_limit = self._limits.get(name) or ranged.default.get(name)
        derived_request = self._requests.get(name) or self._limits.get(name) or ranged.default_request.get(name)
        request, limit = derived_request, derived_limit
        added = ADDED.get(name)
        if added and request is None and (("requests", name) in self._stated or ratio):
            request = quantity(added[0])
        if added and limit is None and (("limits", name) in self._stated or most or ratio):
            limit = quantity(added[1])
        if ratio and request is None and limit is None:
            return (
                f"limitRange requires {name} of each container, and decco's TLS sidecar has none; {_cure('limitRange')}"
            )
        if request and least and request.amount < least.amount:
            request = least
        if limit and most and limit.amount > most.amount:
            limit = most
        if request and limit and limit.amount < request.amount:
            if most and request.amount > most.amount:
                return (
                    f"limitRange grants a container at most {most.readable} of {name}, and decco's TLS sidecar needs "
                    f"{request.readable}; {_cure('limitRange')}"
                )
            limit = request
        for each in (ratio, self._pod.ratio.get(name)):
            if each and each.amount > 0 and request and limit and limit.amount > request.amount * each.amount:
                request = divided(limit, each, milli=name == "cpu")
        new_limit = limit is not None and limit != derived_limit
        if limit:
            self._final["limits", name] = limit
            if new_limit:
                self._resources.setdefault("limits", {})[name] = limit.text
        if request:
            self._final["requests", name] = request
            # Without a request of its own, a container with a limit requests all of it.
            if request != derived_request or (new_limit and name not in self._requests):
                self._resources.setdefault("requests", {})[name] = request.text
        return None


def _cure(spec_field: str) -> str:
    return f"change spec.{spec_field} of the Space, or the setting sidecar.resources"


# -- LimitRange -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Limits:
    """The items of one type of a LimitRange together: each of them is enforced."""

    min: dict[str, Quantity] = field(default_factory=dict)
    max: dict[str, Quantity] = field(default_factory=dict)
    ratio: dict[str, Quantity] = field(default_factory=dict)
    default: dict[str, Quantity] = field(default_factory=dict)
    default_request: dict[str, Quantity] = field(default_factory=dict)


def _limits(limit_range: Obj | None, kind: str) -> _Limits:
    found = _Limits()
    for item in objects((limit_range or {}).get("limits")):
        if item.get("type") != kind:
            continue
        least, most = _amounts(item.get("min")), _amounts(item.get("max"))
        _keep(found.min, least, largest=True)
        _keep(found.max, most, largest=False)
        _keep(found.ratio, _amounts(item.get("maxLimitRequestRatio")), largest=False)
        default = {**most, **_amounts(item.get("default"))}
        found.default |= default
        found.default_request |= {**least, **default, **_amounts(item.get("defaultRequest"))}
    return found


def _keep(into: dict[str, Quantity], more: Mapping[str, Quantity], *, largest: bool) -> None:
    for name, value in more.items():
        known = into.get(name)
        if known is None or (value.amount > known.amount) == largest:
            into[name] = value


def _amounts(value: object) -> dict[str, Quantity]:
    if not isinstance(value, dict):
        return {}
    named = {str(name): quantity(amount) for name, amount in value.items()}
    return {name: found for name, found in named.items() if found is not None and _NAME.fullmatch(name)}


# -- ResourceQuota ----------------------------------------------------------------------------------------------------


def _hard_parts(quota: Obj | None) -> dict[Part, Any]:
    """What the quota's ``hard`` grants of each part; ``cpu`` is another name of ``requests.cpu``."""
    hard = (quota or {}).get("hard")
    found: dict[Part, Any] = {}
    for key, amount in hard.items() if isinstance(hard, dict) else ():
        part, dot, name = str(key).partition(".")
        if str(key) in ADDED:
            found["requests", str(key)] = amount
        elif dot and part in ("requests", "limits") and name in ADDED:
            found[part, name] = amount
    return found


def _in_scope(quota: Obj, pod: Obj) -> bool:
    scopes, selector = quota.get("scopes"), quota.get("scopeSelector")
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
