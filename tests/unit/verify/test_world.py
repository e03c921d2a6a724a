"""What counts as Ready: only what not every edge has may lack, and only where a run asks for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from decco.kube.client import Client
from decco.objects import APPS, SPACES, Key, Obj
from decco.verify.names import Names
from decco.verify.outcome import Failed
from decco.verify.world import World

NAMES = Names("b123456", "decco.test", "decco")
LIMITED = Key("", NAMES.space("f"))


def condition(kind: str, status: str, reason: str) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason} of {kind}"}


def world(*conditions: Obj) -> World:
    obj = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": list(conditions)}}

    async def get(*_: Any) -> Obj:
        return obj

    none = cast("Any", None)
    return World(cast("Client", SimpleNamespace(get=get)), none, none, NAMES, none, "image", 1.0)


UNKEPT = condition("RoutesReady", "False", "RouteNotSupported")
NOT_READY = condition("Ready", "False", "RouteNotSupported")


async def test_a_condition_names_what_the_edge_does_not_keep() -> None:
    limited = world(NOT_READY, UNKEPT)
    await limited.ready(SPACES, LIMITED)
    assert await limited.unkept(SPACES, LIMITED) == "RouteNotSupported of RoutesReady"
    with pytest.raises(Failed, match="RoutesReady: RouteNotSupported"):
        await limited.ready(SPACES, Key("", NAMES.space("a")))
    with pytest.raises(Failed, match="RouteNotSupported"):
        await limited.ready(APPS, Key(NAMES.space("e"), "web"))


@pytest.mark.parametrize("other", [condition("DNSReady", "False", "ZoneNotFound"), None])
async def test_anything_else_is_not_ready(other: Obj | None) -> None:
    wrong = condition("RoutesReady", "False", "GatewayPending") if other is None else UNKEPT
    limited = world(NOT_READY, wrong, *([other] if other else []))
    with pytest.raises(Failed):
        await limited.ready(SPACES, LIMITED)


async def test_what_is_kept_is_not_named() -> None:
    ready = world(condition("Ready", "True", "Reconciled"), condition("RoutesReady", "True", "Reconciled"))
    await ready.ready(SPACES, LIMITED)
    assert await ready.unkept(SPACES, LIMITED) == ""
