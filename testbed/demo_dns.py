"""The names of the demo: from a zone of BIND, open for queries, or from the controller's memory, read from its log.

There is no load balancer here: the demo itself writes into the status of the edge's Service where the edge is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET

ZONE = "decco.test"
EDGE = "demo-edge"
Answers = set[tuple[str, int, str]]
"""(type, TTL, value)"""
_IN_MEMORY = re.compile(r"dns name in memory\s+name=(?P<name>\S+).*?records=(?P<records>\S+)")
_COLOR = re.compile("\x1b\\[[0-9;]*m")


class Names:
    """``answers(name)`` is what is published at a name; ``settings`` are the controller's, as environment variables."""

    def __init__(self, where: str, provider: dict[str, object], answers: Callable[[str], Answers]) -> None:
        self.where = where
        self.answers = answers
        self.settings = {
            "DECCO_DNS__PROVIDERS": json.dumps([{**provider, "zones": [ZONE]}]),
            "DECCO_EDGE__SERVICE": f"decco/{EDGE}",
            "DECCO_EDGE__NAMESPACE": "edge",
            "DECCO_PROBE__ENABLED": "false",  # nothing answers at the address
        }

    def lines(self, *names: str) -> Iterator[str]:
        """As dig prints them."""
        for name in names:
            found = sorted(self.answers(name))
            yield from (f"{name}.  {ttl}  IN  {rtype}  {value}" for rtype, ttl, value in found)
            if not found:
                yield f"{name}.  no such name"


@contextmanager
def names(folder: Path, log: Path) -> Iterator[Names]:
    """BIND's if ``named`` is installed; ``log`` is the controller's."""
    if line := Bind.missing():
        yield Names(f"in the controller's memory ({line} for a real zone)", {"type": "memory"}, _read_from(log))
        return
    with Bind() as server:
        server.create_zone(ZONE)
        key = folder / "tsig.key"
        key.write_text(KEY_SECRET)
        provider: dict[str, object] = {
            "type": "rfc2136",
            "host": HOST,
            "port": server.port,
            "tsigKeyName": KEY_NAME,
            "tsigSecretFile": str(key),
        }
        yield Names(f"as BIND serves them at {HOST} port {server.port}", provider, server.resolve)


def _read_from(log: Path) -> Callable[[str], Answers]:
    def answers(name: str) -> Answers:
        found: Answers = set()
        for line in _COLOR.sub("", log.read_text(errors="replace")).splitlines():
            match = _IN_MEMORY.search(line)
            if match is None or match["name"] != name:
                continue
            records = [] if match["records"] == "none" else match["records"].split(",")
            found = {(rtype, int(ttl), value) for rtype, ttl, value in (each.split("/") for each in records)}
        return found

    return answers


def edge_service() -> str:
    """The Service in front of the edge, for kubectl apply."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": EDGE, "namespace": "decco"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 443}], "allocateLoadBalancerNodePorts": False},
        }
    )


def edge_status(address: str) -> str:
    return json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}})
