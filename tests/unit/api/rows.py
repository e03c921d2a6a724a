"""A row of the admission table, and the objects that rows are made of."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """``bad`` is refused at ``field`` by a message that contains ``says``; ``good`` differs little and is accepted."""

    id: str
    bad: Obj
    good: Obj
    field: str
    says: str
    parsed: bool = True
    """Whether parsing finds it too; False where only the API server checks, and nothing can go wrong later."""
    parsed_at: str = ""
    """The field that parsing blames, if it is another."""


def space(name: str = "acme", **spec: Any) -> Obj:
    spec = {"domainName": "example.com", **spec}
    spec = {key: value for key, value in spec.items() if value is not None}
    return {"apiVersion": "decco.platform9.com/v1beta2", "kind": "Space", "metadata": {"name": name}, "spec": spec}


def app(name: str = "web", **spec: Any) -> Obj:
    spec = {"pod": pod(8080, 9090), **spec}
    spec = {key: value for key, value in spec.items() if value is not None}
    return {
        "apiVersion": "decco.platform9.com/v1beta2",
        "kind": "App",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def pod(*ports: int) -> Obj:
    container: Obj = {"name": "c", "image": "busybox"}
    if ports:
        container["ports"] = [{"containerPort": port} for port in ports]
    return {"containers": [container]}


def endpoints(*each: Obj) -> Obj:
    """An App with these endpoints; name and port are filled in."""
    return app(endpoints=[{"name": f"e{i}", "port": 8000 + i, **one} for i, one in enumerate(each)])


def put(obj: Obj, field: str, value: Any) -> Obj:
    """A copy of ``obj`` with the value at a path such as spec.endpoints[0].port; None takes the field away."""
    made: Obj = copy.deepcopy(obj)
    *way, last = [int(part) if part.isdigit() else part for part in field.replace("[", ".").replace("]", "").split(".")]
    place: Any = made
    for part in way:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return made
