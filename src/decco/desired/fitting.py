"""The sidecar's resources, so that the Space's own quota and limits do not refuse what decco adds to a pod.

The sidecar gets the setting ``sidecar.resources``. It changes only where a pod with it would be refused: a quota that
requires a limit, a LimitRange with a minimum, maximum or ratio. Values that the LimitRange's defaults provide are left
to them. A conflict that cannot be resolved is a problem of the Space, whether it has Apps or not.

The rules are those of the LimitRanger admission (Kubernetes, plugin/pkg/admission/limitranger) and of the defaults of
LimitRange (pkg/apis/core/v1/defaults.go).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from decco.api.types import SpaceSpec
from decco.desired.endpoints import objects
from decco.desired.quantities import Quantity, divided, quantity
from decco.desired.quota_scopes import Part, hard_parts, must_be_stated
from decco.objects import Obj

_NAME: Final = re.compile("[-A-Za-z0-9._/]{1,253}")
"""A name of a resource. Names and amounts appear in messages and are not validated before."""
ADDED: Final[Mapping[str, tuple[str, str]]] = {
    "cpu": ("10m", "200m"),
    "memory": ("16Mi", "128Mi"),
    "ephemeral-storage": ("16Mi", "128Mi"),  # its log, which the kubelet rotates
}
"""Request and limit of the sidecar where the Space requires one and the setting has none."""


@dataclass(frozen=True, slots=True)
class Fit:
    """``problems`` state why pods with the sidecar are still refused, and what to change."""

    resources: Obj
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Range:
    """The items of one type of a LimitRange together: each of them is enforced."""

    min: dict[str, Quantity] = field(default_factory=dict)
    max: dict[str, Quantity] = field(default_factory=dict)
    ratio: dict[str, Quantity] = field(default_factory=dict)
    default: dict[str, Quantity] = field(default_factory=dict)
    default_request: dict[str, Quantity] = field(default_factory=dict)


def fit(resources: Obj, space: SpaceSpec, pod: Obj | None = None) -> Fit:
    """The sidecar's resources in a pod of the Space; ``pod`` is the user's PodSpec, None for any pod."""
    return _Fitting(resources, space, pod).run()


class _Fitting:
    def __init__(self, resources: Obj, space: SpaceSpec, pod: Obj | None) -> None:
        self._made = copy.deepcopy(resources)
        self._requests, self._limits = _amounts(resources.get("requests")), _amounts(resources.get("limits"))
        self._container = _range(space.limit_range, "Container")
        self._pod = _range(space.limit_range, "Pod")
        self._stated = must_be_stated(space.resource_quota, pod)
        self._hard = hard_parts(space.resource_quota)
        self._final: dict[Part, Quantity] = {}
        self._problems: list[str] = []

    def run(self) -> Fit:
        ranged = self._container
        names = {*self._requests, *self._limits, *(name for _, name in self._stated)}
        names |= {*ranged.min, *ranged.max, *ranged.ratio}
        for name in sorted(names):
            self._resource(name)
        self._compare_with_quota()
        for name, most in sorted(self._pod.max.items()):
            own = self._final.get(("limits", name)) or self._final.get(("requests", name))
            if own is not None and own.amount > most.amount:
                self._problems.append(
                    f"limitRange grants a pod at most {most.text} of {name}, and decco's TLS sidecar alone has "
                    f"{own.text}; {_cure('limitRange')}"
                )
        return Fit(self._made, tuple(self._problems))

    def _resource(self, name: str) -> None:
        ranged = self._container
        given_request, given_limit = self._requests.get(name), self._limits.get(name)
        # The values that the API server derives from the setting alone.
        limit = given_limit or ranged.default.get(name)
        request = given_request or given_limit or ranged.default_request.get(name)
        before = request, limit
        least, most, ratio = ranged.min.get(name), ranged.max.get(name), ranged.ratio.get(name)
        added = ADDED.get(name)
        if request is None and (("requests", name) in self._stated or ratio):
            request = quantity(added[0]) if added else None
        if limit is None and (("limits", name) in self._stated or most or ratio):
            limit = quantity(added[1]) if added else None
        if request is None and limit is None and added is None:
            if ratio:
                self._problems.append(
                    f"limitRange requires {name} of each container, and decco's TLS sidecar has none; "
                    f"{_cure('limitRange')}"
                )
            return
        if request is not None and least is not None and request.amount < least.amount:
            request = least
        if limit is not None and most is not None and limit.amount > most.amount:
            limit = most
        if request is not None and limit is not None and limit.amount < request.amount:
            if most is not None and request.amount > most.amount:
                self._problems.append(
                    f"limitRange grants a container at most {most.text} of {name}, and decco's TLS sidecar needs "
                    f"{request.text}; {_cure('limitRange')}"
                )
                return
            limit = request
        ratios = [each for each in (ratio, self._pod.ratio.get(name)) if each is not None and each.amount > 0]
        for each in ratios:
            if request is not None and limit is not None and limit.amount > request.amount * each.amount:
                request = divided(limit, each, milli=name == "cpu")
        self._set(name, before, request, limit)

    def _set(
        self,
        name: str,
        before: tuple[Quantity | None, Quantity | None],
        request: Quantity | None,
        limit: Quantity | None,
    ) -> None:
        new_limit = limit is not None and limit != before[1]
        # Without a request of its own, a container with a limit requests all of it.
        new_request = request is not None and (request != before[0] or (new_limit and name not in self._requests))
        if new_limit and limit is not None:
            self._made.setdefault("limits", {})[name] = limit.text
        if new_request and request is not None:
            self._made.setdefault("requests", {})[name] = request.text
        for part, value in (("requests", request), ("limits", limit)):
            if value is not None:
                self._final[part, name] = value

    def _compare_with_quota(self) -> None:
        for part, amount in sorted(self._hard.items(), key=lambda item: item[0]):
            granted, own = quantity(amount), self._final.get(part)
            if granted is not None and own is not None and own.amount > granted.amount:
                self._problems.append(
                    f"resourceQuota grants {'.'.join(part)} {granted.text}, and decco's TLS sidecar alone has "
                    f"{own.text} in each pod; {_cure('resourceQuota')}"
                )


def _cure(spec_field: str) -> str:
    return f"change spec.{spec_field} of the Space, or the setting sidecar.resources"


def _range(limit_range: Obj | None, kind: str) -> _Range:
    found = _Range()
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
