"""The picture that decco is explained with: shared services, two customers with regions, and who reaches whom.

``global`` has no project and serves everybody (consul). The customer ``foo`` has a main Space and two regions, ``bar``
one region; each customer is a project. The main Spaces have keystone, the regions nova, all of them mysql.

``CONNECTIONS`` is the whole of it as questions, for whatever can answer: the evaluator, network namespaces with an
enforcer, or real pods on a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

SECRETS = {"httpCertSecretName": "policies", "tcpCertAndCaSecretName": "policies"}

SPACES: dict[str, dict[str, str]] = {
    "global": {},
    "foo": {"project": "foo"},
    "foo-east": {"project": "foo"},
    "foo-west": {"project": "foo"},
    "bar": {"project": "bar"},
    "bar-west": {"project": "bar"},
}

PLAIN_PORTS = {"consul": 8500, "mysql": 3306, "keystone": 5000, "nova": 8774}
"""What the containers listen on for their endpoints, all of them in plain text."""
UNDECLARED_PORT = 9999
"""What every container listens on too, say for debugging, and no endpoint declares."""


def _pod(name: str) -> dict[str, Any]:
    container = {
        "name": name,
        "image": "registry.example/app:1",
        "ports": [{"containerPort": PLAIN_PORTS[name]}],
    }
    return {"containers": [container]}


def _tcp(name: str) -> dict[str, Any]:
    return {"pod": _pod(name), "endpoints": [{"name": name, "port": PLAIN_PORTS[name]}]}


def _http(name: str) -> dict[str, Any]:
    return {"pod": _pod(name), "endpoints": [{"name": name, "port": PLAIN_PORTS[name], "httpPath": f"/{name}"}]}


_MAIN = {"keystone": _http("keystone"), "mysql": _tcp("mysql")}
_REGION = {"nova": _http("nova"), "mysql": _tcp("mysql")}
APPS: dict[str, dict[str, dict[str, Any]]] = {
    "global": {"consul": _tcp("consul")},
    "foo": _MAIN,
    "foo-east": _REGION,
    "foo-west": _REGION,
    "bar": _MAIN,
    "bar-west": _REGION,
}
"""Specs of Apps by Space and name."""

# By hand, from the contract: a Space without project serves anybody; one of a project serves that project's Spaces and
# the edge. Whoever is in the same Space ("all") reaches every port, whoever else ("yes") only those that an endpoint
# declares: keystone's and nova's port by path, and of consul and mysql the TLS listener, never the plain text port.
CONNECTIVITY = """
from \\ to           global  foo   foo-east  foo-west  bar   bar-west
global              all     -     -         -         -     -
foo                 yes     all   yes       yes       -     -
foo-east            yes     yes   all       yes       -     -
foo-west            yes     yes   yes       all       -     -
bar                 yes     -     -         -         all   yes
bar-west            yes     -     -         -         yes   all
edge-system/proxy   yes     yes   yes       yes       yes   yes
foreign/tool        yes     -     -         -         -     -
edge-host           yes     yes   yes       yes       yes   yes
world               yes     -     -         -         -     -
"""
CLIENTS = {
    "global": "global/consul",
    "foo": "foo/keystone",
    "foo-east": "foo-east/nova",
    "foo-west": "foo-west/nova",
    "bar": "bar/keystone",
    "bar-west": "bar-west/mysql",
    "edge-host": "edge host",
}
"""The client pod of a row of the table; the others are named by it as they are."""


class Connection(NamedTuple):
    """One question: ``port`` is a number, or the name of the endpoint whose Service leads to the pod's port."""

    source: str
    to: str
    port: int | str
    allowed: bool


def connections(text: str = CONNECTIVITY) -> list[Connection]:
    """All questions of the table: each client to each App, at its endpoint, its plain text port, and another one."""
    return list(_connections(text))


def _connections(text: str) -> Iterator[Connection]:
    head, *rows = (line.split() for line in text.strip().splitlines())
    spaces = head[3:]
    for row in rows:
        source = CLIENTS.get(row[0], row[0])
        for space, mark in zip(spaces, row[1:], strict=True):
            if mark not in {"all", "yes", "-"}:
                raise ValueError(f"{mark!r} in the row of {row[0]} is not one of all, yes, -")
            for name, spec in APPS[space].items():
                to = f"{space}/{name}"
                if source == to:
                    continue  # whether a pod reaches itself is not subject to network policies
                by_path = "httpPath" in spec["endpoints"][0]
                yield Connection(source, to, name, mark != "-")
                if not by_path:
                    yield Connection(source, to, PLAIN_PORTS[name], mark == "all")
                yield Connection(source, to, UNDECLARED_PORT, mark == "all")


CONNECTIONS = connections()


def describe(asked: Connection, resolve: Callable[[str, int | str], int | None], actual: bool) -> str:
    """One line for a connection that is not as it should be."""
    words = {True: "open", False: "closed"}
    port = resolve(asked.to, asked.port)
    name = f"{asked.port} ({port})" if isinstance(asked.port, str) else str(port)
    return f"{asked.source} -> {asked.to} : {name}/TCP expected {words[asked.allowed]}, is {words[actual]}"
