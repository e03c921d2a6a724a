"""What is in the way of a move, as far as the objects say it."""

from __future__ import annotations

from typing import Any

import pytest

from decco.moving.survey import not_placed

AGE = {"creationTimestamp": "2026-11-30T12:00:00Z"}


def space(*clusters: dict[str, str]) -> dict[str, Any]:
    spec: dict[str, Any] = {"domainName": "example.net"}
    meta = {"name": "shop", "uid": "u", **AGE}
    return {"metadata": meta, "spec": spec | ({"placement": {"clusters": [*clusters]}} if clusters else {})}


def app(*clusters: dict[str, str]) -> dict[str, Any]:
    spec: dict[str, Any] = {"pod": {"containers": [{"name": "c", "image": "i"}]}}
    spec |= {"placement": {"clusters": [*clusters]}} if clusters else {}
    meta = {"name": "web", "namespace": "shop", "uid": "v", **AGE}
    return {"metadata": meta, "spec": spec}


EAST, WEST = {"id": "east"}, {"id": "west"}
STANDBY = {"id": "west", "role": "Standby"}


@pytest.mark.parametrize(
    ("of_space", "of_app", "about"),
    [
        ((), (), []),
        ((EAST, WEST), (), []),
        ((EAST, WEST), (WEST, EAST), []),
        ((EAST,), (), ["Space shop"]),
        ((WEST,), (), ["Space shop"]),
        ((EAST, STANDBY), (), ["Space shop"]),
        ((EAST, WEST), (EAST,), ["App shop/web"]),
        ((), (EAST, STANDBY), ["App shop/web"]),
        (({"id": "north"},), (), []),  # it runs in neither, as its author wrote
    ],
)
def test_placement_gives_both_clusters_the_same_role(
    of_space: tuple[dict[str, str], ...], of_app: tuple[dict[str, str], ...], about: list[str]
) -> None:
    found = not_placed(space(*of_space), [app(*of_app)], "east", "west")
    assert [text.split(" gives ")[0] for text in found] == [f"spec.placement of {each}" for each in about]
    assert all("the clusters east and west different roles" in text for text in found)
