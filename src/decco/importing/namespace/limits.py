"""Limits of Ingresses -> limits of the Space.

An annotation limits the paths of one Ingress, and a limit of a Space all of its Apps: so one becomes the other only if
all Ingresses have the same. Nothing is made stricter or weaker to fit.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

from decco.api.formats import BYTE_SIZE
from decco.api.limits import MAX_CLIENT_CIDRS, MAX_RATE, RateUnit
from decco.importing.namespace.inventory import Part
from decco.objects import Obj

PREFIX = "nginx.ingress.kubernetes.io"
CLIENTS = (f"{PREFIX}/whitelist-source-range", f"{PREFIX}/allowlist-source-range")
"""Two names of one annotation; the older one first."""
BODY, CONNECTIONS = f"{PREFIX}/proxy-body-size", f"{PREFIX}/limit-connections"
RATES = {f"{PREFIX}/limit-rps": RateUnit.SECOND, f"{PREFIX}/limit-rpm": RateUnit.MINUTE}
CONVERTED = (*CLIENTS, BODY, *RATES, CONNECTIONS)
_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3}
"""Powers of 1024."""


def clients_of(ingress: Part) -> tuple[str, ...] | None:
    """The networks from which clients may connect; () if from all, None if that cannot be read."""
    given = [text for name in CLIENTS if (text := _value(ingress, name)) is not None]
    if not given:
        return ()
    found: set[str] = set()
    for text in re.split(r"\s*,\s*", given[0].strip()):
        try:
            found.add(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            return None
    return tuple(sorted(found)) if len(given) == 1 and len(found) <= MAX_CLIENT_CIDRS else None


def common_clients(ingresses: Sequence[Part]) -> tuple[str, ...]:
    """The networks that all of these Ingresses name; () if one names others or none."""
    named = {clients_of(ingress) for ingress in ingresses}
    return (named.pop() or ()) if len(named) == 1 else ()


def limits_of(ingresses: Sequence[Part]) -> Obj:
    """The limits of the Space for these Ingresses, whose paths are served; with remarks on what is lost."""
    limits: Obj = {}
    _take(limits, "requestBody", ingresses, (BODY,), _body)
    _take(limits, "requestRate", ingresses, tuple(RATES), _rate)
    for ingress in ingresses:
        if _value(ingress, CONNECTIONS) is not None:
            text = "it counts the connections of one client, and limits.connections those of all: set that, or none"
            _remark(ingress, CONNECTIONS, "limit-not-convertible", text)
    return limits


def _take(
    limits: Obj, field: str, ingresses: Sequence[Part], names: Sequence[str], read: Callable[[Part], object]
) -> None:
    having = [(each, name) for each in ingresses for name in names if _value(each, name) is not None]
    values = [read(ingress) for ingress in ingresses]
    if not having:
        return
    for ingress, name in having:
        found = read(ingress)
        if found is None:
            text = f"limits.{field} has no such value: set the nearest one, if it is to hold for the whole Space"
            _remark(ingress, name, "limit-not-convertible", text)
        elif found and any(value != found for value in values):
            text = (
                f"limits.{field} holds for all Apps of a Space, and another Ingress has another limit or none: left "
                "out; set it, or have a Space of its own for what it protects"
            )
            _remark(ingress, name, "limit-of-some", text)
        elif found:
            _remark(ingress, name, "limit-converted", f"it becomes limits.{field} of the Space{_BUT.get(field, '')}")
            limits[field] = found


_BUT = {
    "requestRate": ": counted for each path, and answered with 429; whether there may be a burst depends on the edge",
}


def _body(ingress: Part) -> object:
    """The size; "" is any size, as "0" says; None cannot be expressed."""
    text = _value(ingress, BODY)
    if text is None:
        return _ABSENT
    match = re.fullmatch("([0-9]{1,12})([bkmg]?)", text.strip().lower())
    if match is None:
        return None
    size = int(match[1]) * 1024 ** _UNITS[match[2]]
    if not size:
        return ""
    forms = (f"{size // unit}{suffix}" for suffix, unit in (("Mi", 1024**2), ("Ki", 1024)) if size % unit == 0)
    return next((form for form in forms if BYTE_SIZE.matches(form)), None)


def _rate(ingress: Part) -> object:
    given = {name: text for name in RATES if (text := _value(ingress, name)) is not None}
    if not given:
        return _ABSENT
    [(name, text), *others] = given.items()
    if others or not re.fullmatch("[0-9]{1,7}", text.strip()) or int(text) > MAX_RATE:
        return None
    return {"requests": int(text), "unit": RATES[name].value} if int(text) else ""


_ABSENT = object()
"""An Ingress without the annotation. The edge's default is unknown, so it differs from every value."""


def _value(ingress: Part, name: str) -> str | None:
    found = ingress.annotations.get(name)
    return str(found) if found is not None else None


def _remark(ingress: Part, name: str, message: str, text: str) -> None:
    ingress.remark(f"metadata.annotations[{name}]", message, text)
