"""What is created again in another cluster, and when a Space counts as served there."""

from __future__ import annotations

from typing import Any

import pytest

from decco.moving.side import created_again, not_ready

SPACE: dict[str, Any] = {
    "apiVersion": "decco.platform9.com/v1beta2",
    "kind": "Space",
    "metadata": {
        "name": "shop",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-11-30T12:00:00Z",
        "finalizers": ["decco.platform9.com/dns"],
        "labels": {"team": "a"},
        "annotations": {
            "note": "n",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "decco.platform9.com/transfer": "a.example=b",
            "decco.platform9.com/move": "to west",
        },
        "managedFields": [],
    },
    "spec": {"domainName": "example.net"},
}


def test_it_is_created_as_its_author_wrote_it() -> None:
    made = created_again(SPACE, **{"decco.platform9.com/move": "from east"})
    assert made["metadata"] == {
        "name": "shop",
        "labels": {"team": "a"},
        "annotations": {"note": "n", "decco.platform9.com/move": "from east"},
    }
    assert made["spec"] == SPACE["spec"]
    assert set(made) == {"apiVersion", "kind", "metadata", "spec"}


def status(generation: int = 3, **conditions: str) -> dict[str, Any]:
    found = [{"type": kind, "status": value, "reason": "R", "message": "m"} for kind, value in conditions.items()]
    return {**SPACE, "status": {"observedGeneration": generation, "conditions": found}}


@pytest.mark.parametrize(
    ("obj", "dns", "text"),
    [
        (SPACE, False, "Space shop has no status yet"),
        (status(2, Ready="True"), False, "Space shop has no status yet"),
        (status(RoutesReady="True"), False, "Space shop has no status yet"),
        (status(Ready="False", DNSReady="False", RoutesReady="True"), False, ""),
        (status(Ready="False", DNSReady="False", RoutesReady="True"), True, "Space shop: DNSReady is False, R: m"),
        (status(Ready="False", RoutesReady="Unknown"), False, "Space shop: RoutesReady is Unknown, R: m"),
        (status(Ready="True", DNSReady="True", RoutesReady="True"), True, ""),
    ],
)
def test_when_it_is_served(obj: dict[str, Any], dns: bool, text: str) -> None:
    assert not_ready(obj, dns=dns) == text
