"""Probes of limits, weights and suspension fail at an edge that ignores them; what a condition names is skipped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from decco.objects import Key, Obj, Resource
from decco.settings import Settings
from decco.verify import runner
from decco.verify.edge import Answer, Refused, Request
from decco.verify.groups import levels
from decco.verify.names import Names
from decco.verify.outcome import NotTested, Outcome
from decco.verify.plan import BY_NAME
from decco.verify.probe import Probe, Result
from decco.verify.world import World

NAMES = Names("b123456", "decco.test", "decco")
BY_EDGE = ("body", "rate", "request", "idle", "endpoint-request", "endpoint-idle")

pytestmark = pytest.mark.looptime


class Edge(World):
    """Answers every request with ``status``, unless it is one of ``refused``; ``said`` is the condition of all."""

    def __init__(self, status: int = 200, said: str = "", body: str = "e/web 8084 slow end", **headers: str) -> None:
        client = SimpleNamespace(patch=self._patched)
        none = cast("Any", None)
        super().__init__(cast("Any", client), none, Settings(), NAMES, none, "image", 1.0)
        self.answer = Answer(status, headers, body)
        self.said = said
        self.asked: list[str] = []
        self.tls = True
        self.routes: list[Obj] = []

    async def _patched(self, *_: Any) -> None:
        return

    async def request(self, request: Request, client: str = "") -> Answer:
        self.asked.append(request.path)
        if not self.answer.status:
            raise Refused("closed")
        return self.answer

    async def unkept(self, resource: Resource, key: Key) -> str:
        return self.said

    async def certificate(self, server: str) -> str:
        if not self.tls:
            raise Refused("closed")
        return "digest"

    async def listed(self, resource: Resource, namespace: str, labels: str = "") -> list[Obj]:
        return self.routes


async def tried(name: str, world: World) -> Result:
    """The result of the probe alone."""
    probe = BY_NAME[name]
    alone = Probe(probe.name, probe.text, probe.message, probe.check, seconds=probe.seconds)
    [result] = await runner.run([alone], world, {name}, lambda _: None, 600.0)
    return result


@pytest.mark.parametrize("name", BY_EDGE)
async def test_an_edge_that_ignores_a_limit(name: str) -> None:
    result = await tried(f"limits/{name}", Edge())
    assert result.outcome is Outcome.FAILED, result
    assert result.code == "DECCO-0829"


@pytest.mark.parametrize("name", [*BY_EDGE, "connections"])
async def test_what_a_condition_names_is_skipped(name: str) -> None:
    said = "served without limits.requestBody, limits.requestRate, limits.connections, limits.timeouts.request"
    result = await tried(f"limits/{name}", Edge(said=f"{said}, limits.timeouts.idle, timeouts.request, timeouts.idle"))
    assert result.outcome is Outcome.SKIPPED
    assert "says so" in result.text


async def test_the_condition_of_another_limit_excuses_nothing() -> None:
    result = await tried("limits/body", Edge(said="served without limits.connections"))
    assert result.outcome is Outcome.FAILED


async def test_an_edge_that_ends_slow_requests() -> None:
    for status in (504, 0):
        assert (await tried("limits/request", Edge(status))).outcome is Outcome.PASSED


async def test_a_client_that_is_not_permitted() -> None:
    assert (await tried("limits/client-cidrs", Edge())).outcome is Outcome.FAILED
    closed = Edge(403)
    assert "TCP" in (await tried("limits/client-cidrs", closed)).text
    closed.tls = False
    assert (await tried("limits/client-cidrs", closed)).outcome is Outcome.PASSED
    assert (await tried("limits/open", closed)).outcome is Outcome.FAILED


@pytest.mark.parametrize("body", ["e/web 8084", "e/share 8080"], ids=["none", "all"])
async def test_an_edge_that_does_not_share(body: str) -> None:
    result = await tried("routing/weight", Edge(body=body))
    assert (result.outcome, result.code) == (Outcome.FAILED, "DECCO-0828")
    assert (await tried("routing/weight", Edge(said="no weights"))).outcome is Outcome.SKIPPED


async def test_the_answer_of_a_suspended_app() -> None:
    assert (await tried("workload/unavailable", Edge(200))).outcome is Outcome.FAILED
    assert (await tried("workload/unavailable", Edge(503))).outcome is Outcome.PASSED
    assert (await tried("workload/retry-after", Edge(503, **{"retry-after": "60"}))).outcome is Outcome.PASSED
    without = Edge(503)
    assert (await tried("workload/retry-after", without)).outcome is Outcome.FAILED
    header = {"add": [{"name": "Retry-After", "value": "60"}]}
    route_filter = {"type": "ResponseHeaderModifier", "responseHeaderModifier": header}
    without.routes = [{"metadata": {"name": "untimed"}, "spec": {"rules": [{"filters": [route_filter]}]}}]
    assert (await tried("workload/retry-after", without)).outcome is Outcome.SKIPPED


async def test_a_level_needs_a_runtime() -> None:
    world = Edge()
    with pytest.raises(NotTested, match="user namespaces"):
        await levels._handler(world)
    handler = {"name": "", "features": {"userNamespaces": True}}
    world.routes = [{"status": {"runtimeHandlers": [handler]}}]
    assert await levels._handler(world) == ""
