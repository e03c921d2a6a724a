"""Which routes answer probes as those of endpoints that start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.answers import PROBE_DOMAIN, STARTING_DOMAIN, probe_rule
from decco.kube.entry import Entry
from decco.objects import APPS, DEPLOYMENTS, HTTP_ROUTES, Key, Obj
from decco.reconcilers.caches import Caches
from decco.reconcilers.kinds import KINDS
from decco.reconcilers.starting import starting_endpoints
from tests.unit.desired.app_cases import SERVED, app
from tests.unit.reconcilers.world import owned, stored

PARENT = {"kind": "ListenerSet", "group": "gateway.networking.k8s.io", "name": "decco", "sectionName": "https"}
READY, NONE_READY = {"readyReplicas": 1}, {}
STARTING, STARTED = f"d.{STARTING_DOMAIN}", f"d.{PROBE_DOMAIN}"


def route(answer: str, reported: str = "", of: int = 2) -> Obj:
    """``reported``: "" for nothing, "accepted", or "no endpoints", of a generation of the two that it had."""
    spec = {"parentRefs": [PARENT], "rules": [probe_rule({"type": "Exact", "value": "/x"}, answer)]}
    found: Obj = {"spec": spec, "meta": {"generation": 2}}
    conditions = [{"type": "Accepted", "status": "True", "observedGeneration": of}]
    if reported == "no endpoints":
        refused = {"type": "ResolvedRefs", "status": "False", "reason": "NoReadyEndpoints", "observedGeneration": of}
        conditions.append(refused)
    if reported:
        found["status"] = {"parents": [{"parentRef": PARENT, "conditions": conditions}]}
    return found


def found(live: Obj | None, status: dict[str, Any], replicas: int = 1, **changed: Any) -> frozenset[str]:
    """Of an App with one HTTP endpoint ``web`` with this route and this Deployment."""
    parts = {"endpoints": [{"name": "web", "port": 8080, "httpPath": "/"}], **changed.pop("spec", {})}
    inputs = replace(app(parts, routing=changed.pop("routing", None)), simulated=changed.pop("simulated", False))
    obj = stored(APPS, inputs.name, inputs.namespace, uid=inputs.uid)
    caches = Caches(inputs.settings, KINDS, SERVED)
    caches.apps.put(obj, own=False)
    entry = caches.apps.get(Key(inputs.namespace, inputs.name))
    assert isinstance(entry, Entry)
    if live is not None:
        caches.children[HTTP_ROUTES].put(owned(HTTP_ROUTES, "web", obj, **live), own=False)
    workload = owned(DEPLOYMENTS, inputs.name, obj, spec={"replicas": replicas}, status=status)
    caches.children[DEPLOYMENTS].put(workload, own=False)
    return starting_endpoints(caches, entry, inputs)


@pytest.mark.parametrize(
    ("live", "status", "starts"),
    [
        (None, NONE_READY, True),
        (None, READY, False),
        (route(STARTING), NONE_READY, True),
        (route(STARTING), READY, True),
        (route(STARTING, "accepted", of=1), READY, True),
        (route(STARTING, "no endpoints"), READY, True),
        (route(STARTING, "accepted"), NONE_READY, True),
        (route(STARTING, "accepted"), READY, False),
        (route(STARTED), NONE_READY, False),
        (route(STARTED, "accepted"), NONE_READY, False),
        (route(STARTED, "no endpoints"), NONE_READY, True),
        (route(STARTED, "no endpoints", of=1), READY, True),
    ],
)
def test_an_endpoint_starts_until_the_gateway_reports_its_pods(
    live: Obj | None, status: dict[str, Any], *, starts: bool
) -> None:
    assert found(live, status) == (frozenset({"web"}) if starts else frozenset())


def test_what_is_rendered_is_how_it_will_be_in_the_end() -> None:
    assert found(None, NONE_READY, simulated=True) == frozenset()
    assert found(route(STARTING), NONE_READY, simulated=True) == frozenset({"web"})


@pytest.mark.parametrize(
    "changed",
    [
        {"replicas": 0},
        {"spec": {"suspend": True}},
        {"spec": {"endpoints": [{"name": "web", "port": 8080, "httpPath": "/", "probePath": "/healthz"}]}},
        {"routing": {"backend": "ingress", "parentGateway": None}},
    ],
)
def test_where_no_answer_is_asked_for_nothing_starts(changed: dict[str, Any]) -> None:
    assert found(route(STARTED, "no endpoints"), NONE_READY, **changed) == frozenset()
