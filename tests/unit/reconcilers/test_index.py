"""Who uses which name in a Space, and who calls whom."""

from __future__ import annotations

from typing import Any

import pytest

from decco.objects import Key, Obj, key_of
from decco.reconcilers.facts import AppFacts, app_facts
from decco.reconcilers.index import AppIndex
from tests.unit.reconcilers.world import app

FQDN = "acme.example.net"


def index_of(*apps: Obj) -> AppIndex:
    index = AppIndex()
    for each in apps:
        index.replace(key_of(each), app_facts(each))
    return index


def asked(index: AppIndex, obj: Obj) -> dict[str, str]:
    return index.taken(key_of(obj), app_facts(obj), FQDN)


# older App's endpoint, younger App's endpoint -> what the younger may not use
CONTESTS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "nothing in common": ({"name": "a"}, {"name": "b"}, set()),
    "a name": ({"name": "a"}, {"name": "a", "httpPath": "/"}, {"name:a"}),
    "a path": ({"name": "a", "httpPath": "/x"}, {"name": "b", "httpPath": "/x"}, {"path:/x"}),
    "a path with a slash": ({"name": "a", "httpPath": "/x"}, {"name": "b", "httpPath": "/x/"}, {"path:/x"}),
    "the second of several paths": (
        {"name": "a", "httpPaths": [{"path": "/v"}, {"path": "/x/"}]},
        {"name": "b", "httpPath": "/x"},
        {"path:/x"},
    ),
    "a path at names that both list": (
        {"name": "a", "httpPath": "/x", "httpHostnames": ["a.x", "b.x"]},
        {"name": "b", "httpPath": "/x", "httpHostnames": ["b.x", "c.x"]},
        {"path:/x@b.x"},
    ),
    "a path at a name and at all names": (
        {"name": "a", "httpPath": "/x", "httpHostnames": ["a.x", "*.x.y"]},
        {"name": "b", "httpPath": "/x"},
        {"path:/x@a.x", "path:/x@*.x.y"},
    ),
    "a path at all names and at a name": (
        {"name": "a", "httpPath": "/x"},
        {"name": "b", "httpPath": "/x", "httpHostnames": ["a.x"]},
        {"path:/x@a.x"},
    ),
    "a path at different names": (
        {"name": "a", "httpPath": "/x", "httpHostnames": ["*.x.y"]},
        {"name": "b", "httpPath": "/x", "httpHostnames": ["a.x.y"]},
        set(),
    ),
    "a path below": ({"name": "a", "httpPath": "/x"}, {"name": "b", "httpPath": "/x/y"}, set()),
    "a hostname": (
        {"name": "a", "hostname": "h.example.org"},
        {"name": "b", "hostname": "h.example.org"},
        {"hostname:h.example.org"},
    ),
    "an explicit name meets a default": (
        {"name": "a"},
        {"name": "b", "hostname": f"a.{FQDN}"},
        {f"hostname:a.{FQDN}"},
    ),
    "a default meets an explicit name": (
        {"name": "a", "hostname": f"b.{FQDN}"},
        {"name": "b"},
        {f"hostname:b.{FQDN}"},
    ),
    "an HTTP endpoint has no default hostname": (
        {"name": "a", "httpPath": "/"},
        {"name": "b", "hostname": f"a.{FQDN}"},
        set(),
    ),
    "an explicit name frees the default": (
        {"name": "a", "hostname": "h.example.org"},
        {"name": "b", "hostname": f"a.{FQDN}"},
        set(),
    ),
    "a deeper name is another": ({"name": "a"}, {"name": "b", "hostname": f"x.a.{FQDN}"}, set()),
    "a clear text Service": (
        {"name": "a", "createClearTextService": True},
        {"name": "a-cleartext"},
        {"name:a-cleartext"},
    ),
    "a clear text Service of the younger": (
        {"name": "a-cleartext"},
        {"name": "a", "createClearTextService": True},
        {"name:a-cleartext"},
    ),
}


@pytest.mark.parametrize("name", CONTESTS)
def test_the_younger_goes_without(name: str) -> None:
    first, second, wanted = CONTESTS[name]
    older, younger = app("older", "acme", first, age=20), app("younger", "acme", second, age=10)
    index = index_of(younger, older)
    assert asked(index, younger) == dict.fromkeys(wanted, "older")
    assert asked(index, older) == {}
    index.replace(key_of(older), None)
    assert asked(index, younger) == {}


@pytest.mark.parametrize("name", CONTESTS)
def test_a_contest_is_seen_from_both_sides(name: str) -> None:
    """A deleted Space must find the waiting claimants."""
    first, second, wanted = CONTESTS[name]
    older, younger = app("older", "acme", first, age=20), app("younger", "acme", second, age=10)
    index = index_of(older, younger)
    for mine, theirs in ((older, younger), (younger, older)):
        found = {other for _, other, _ in index.contests(key_of(mine), app_facts(mine), FQDN)}
        assert found == ({key_of(theirs)} if wanted else set())


def test_spaces_are_apart() -> None:
    here, there = app("web", "acme", {"name": "a"}), app("web", "other", {"name": "a"}, age=50)
    assert asked(index_of(here, there), here) == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_several_older_apps_the_oldest_is_named(order: tuple[int, ...]) -> None:
    apps = [app(f"app-{number}", "acme", {"name": "a"}, age=50 - number) for number in range(3)]
    index = index_of(*(apps[number] for number in order))
    assert asked(index, apps[2]) == {"name:a": "app-0"}
    assert asked(index, apps[1]) == {"name:a": "app-0"}


def test_without_a_space_only_what_is_written_is_compared() -> None:
    mine, theirs = app("a", "acme", {"name": "a"}), app("b", "acme", {"name": "b", "hostname": f"a.{FQDN}"}, age=50)
    index = index_of(mine, theirs)
    assert list(index.contests(key_of(mine), app_facts(mine), None)) == []


# -- egresses ---------------------------------------------------------------------------------------------------------


def caller(name: str, namespace: str, *targets: tuple[str | None, str]) -> Obj:
    egresses = [
        {"localPort": 1 + number, "endpoint": endpoint} | ({"spaceName": target} if target else {})
        for number, (target, endpoint) in enumerate(targets)
    ]
    return app(name, namespace, tlsEgresses=egresses)


def test_callers() -> None:
    here, there = caller("here", "acme", (None, "db"), (None, "gone")), caller("there", "other", ("acme", "db"))
    index = index_of(here, there)
    assert index.callers("acme", "db") == [Key("acme", "here"), Key("other", "there")]
    assert index.callers("other", "db") == []
    assert set(index.callers_of_space("acme")) == {Key("acme", "here"), Key("other", "there")}
    index.replace(key_of(here), None)
    assert index.callers("acme", "db") == [Key("other", "there")]
    assert index.callers("acme", "gone") == []


def test_an_endpoint_is_the_oldest_claimants() -> None:
    younger = app("younger", "acme", {"name": "db", "tlsListenPort": 2}, age=10)
    older = app("older", "acme", {"name": "db", "tlsListenPort": 1}, age=20)
    found = index_of(younger, older).endpoint("acme", "db")
    assert found is not None
    assert found.service_port == 1
    assert index_of(older).endpoint("acme", "other") is None


def test_a_clear_text_service_is_no_endpoint_to_call() -> None:
    older = app("older", "acme", {"name": "a", "createClearTextService": True}, age=20)
    younger = app("younger", "acme", {"name": "a-cleartext"}, age=10)
    assert index_of(older, younger).endpoint("acme", "a-cleartext") is None


def test_what_is_removed_leaves_nothing() -> None:
    index = AppIndex()
    obj = app(
        "web", "acme", {"name": "a", "httpPath": "/"}, {"name": "b"}, tlsEgresses=[{"localPort": 1, "endpoint": "x"}]
    )
    facts: AppFacts = app_facts(obj)
    index.replace(key_of(obj), facts)
    index.replace(key_of(obj), None)
    assert index._claimants.groups == {}
    assert index._egress.groups == {}
