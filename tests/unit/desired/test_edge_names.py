"""The names that ingress controllers derive from objects do not collide, neither by accident nor on purpose.

Each function below derives names as its controller does; the source is named beside it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from uuid import UUID

import pytest

from decco.desired.app import app_children
from decco.desired.names import edge_port_name
from decco.desired.routing import space_routing
from decco.desired.shares import Canary, HttpEndpoint
from decco.objects import Obj
from tests.unit.desired.app_cases import GOOD_SECRETS, app, objs, space_inputs

RESERVED = re.compile(r"(.*-)?[0-9a-f]{8,}")
"""Port names that the policies keep for decco."""

Names = Iterator[tuple[str, str]]
"""A name of a controller, and its kind."""


def nginx(made: list[Obj]) -> Names:
    """ingress-nginx: upstreamName (internal/ingress/controller/util.go), ConfigureCACert (internal/net/ssl/ssl.go)."""
    for obj in made:
        space = obj["metadata"]["namespace"]
        for service, port in backends(obj):
            yield "upstream", f"{space}-{service}-{port}"
        secret = annotation(obj, "nginx.ingress.kubernetes.io/proxy-ssl-secret")
        if secret:
            yield "authority", "ca-" + secret.replace("/", "-") + ".pem"
        for tls in obj.get("spec", {}).get("tls", ()) if obj["kind"] == "Ingress" else ():
            yield "certificate", f"{space}/{tls['secretName']}"


def traefik(made: list[Obj]) -> Names:
    """Traefik: provider.Normalize over ``<namespace>-<name>`` (pkg/provider/kubernetes/{ingress,crd})."""
    for obj in made:
        space = obj["metadata"]["namespace"]
        for rule in obj["spec"]["rules"] if obj["kind"] == "Ingress" else ():
            for path in rule["http"]["paths"]:
                yield "router", normalized(f"{space}-{obj['metadata']['name']}-{rule['host']}{path['path']}")
        for service, port in backends(obj):
            yield "service", normalized(f"{space}-{service}-{port}")
        if obj["kind"] in ("Middleware", "ServersTransport", "TLSOption"):
            yield obj["kind"], normalized(f"{space}-{obj['metadata']['name']}")
        if obj["kind"] == "IngressRouteTCP":
            for route in obj["spec"]["routes"]:
                yield "tcp", normalized(f"{space}-{obj['metadata']['name']}-{route['match']}")
            if "secretName" in obj["spec"].get("tls", {}):
                yield "certificate", f"{space}/{obj['spec']['tls']['secretName']}"


def haproxy(made: list[Obj]) -> Names:
    """HAProxy Ingress: buildID (pkg/haproxy/types/backend.go)."""
    for obj in made:
        for service, port in backends(obj):
            yield "backend", f"{obj['metadata']['namespace']}_{service}_{port}"


CONTROLLERS: dict[str, Callable[[list[Obj]], Names]] = {"haproxy": haproxy, "nginx": nginx, "traefik": traefik}


def normalized(name: str) -> str:
    return "-".join(part for part in re.split(r"[^A-Za-z0-9]", name) if part)


def annotation(obj: Obj, name: str) -> str | None:
    value: str | None = obj["metadata"].get("annotations", {}).get(name)
    return value


def backends(obj: Obj) -> set[tuple[str, str]]:
    """(Service, port) of each path of an Ingress."""
    paths = [p for r in obj["spec"]["rules"] for p in r["http"]["paths"]] if obj["kind"] == "Ingress" else []
    services = [path["backend"]["service"] for path in paths]
    return {(each["name"], str(each["port"].get("name") or each["port"]["number"])) for each in services}


def made(dialect: str, space: str, endpoint: str, secret: str, seed: int = 0, domain: str = "example.net") -> list[Obj]:
    """What decco writes for a Space with one endpoint of each kind."""
    routing = {"backend": "ingress", "ingressDialect": dialect}
    options = {"domainName": domain, "encryptHttp": True, "httpCertSecretName": secret}
    secrets = {secret: GOOD_SECRETS["http"], "tcp": GOOD_SECRETS["tcp"]}
    uid = str(UUID(int=random.Random(f"{space}/{seed}").getrandbits(128), version=4))
    endpoints = [
        {"name": endpoint, "port": 8080, "httpPath": "/x", "rewritePath": "/y"},
        {"name": f"{endpoint}-80", "port": 8081},
    ]
    inputs = replace(
        app({"endpoints": endpoints}, routing=routing, space=options, space_name=space, secrets=secrets), uid=uid
    )
    of_space = replace(space_inputs(routing=routing, secrets=secrets), space=inputs.space)
    share = Canary("next", 5, (HttpEndpoint(f"{endpoint}-n", "/x", 80),), serving=True, uid=f"next-{uid}")
    inputs = replace(inputs, space=replace(inputs.space, uid=f"space-{uid}"), canaries=(share,))
    of_space = replace(of_space, space=replace(of_space.space, uid=f"space-{uid}"))
    return [*objs(app_children(inputs)), *(child.obj for child in space_routing(of_space))]


def splits(text: str) -> Iterator[tuple[str, str]]:
    """All that a namespace and a name may be that a hyphen joins to ``text``."""
    parts = text.split("-")
    pairs = (("-".join(parts[:at]), "-".join(parts[at:])) for at in range(1, len(parts)))
    return (pair for pair in pairs if pair[1][0].isalpha())


@pytest.mark.parametrize("dialect", CONTROLLERS)
def test_spaces_whose_names_join_to_one_text_have_different_names_at_the_edge(dialect: str) -> None:
    texts = ["foo-east-web", "a-b-c-d", "x-h-80-h-http", "evil1-prod-web-80", "s-tls-tls-443", "a-http-deadbeef0"]
    for text in texts:
        sets = [set(CONTROLLERS[dialect](made(dialect, *split, split[1]))) for split in splits(text)]
        assert all(sets)
        assert all(one.isdisjoint(other) for one, other in combinations(sets, 2))


@pytest.mark.parametrize("dialect", CONTROLLERS)
def test_generated_spaces_have_different_names_at_the_edge(dialect: str) -> None:
    chance = random.Random(20)

    def name() -> str:
        return "-".join(chance.choice(("a", "b80", "tls", "http")) for _ in range(chance.randint(1, 3)))

    cases = {(f"s-{name()}", name(), name()) for _ in range(60)}
    by_space = {case[0]: set(CONTROLLERS[dialect](made(dialect, *case))) for case in sorted(cases)}
    for one, other in combinations(by_space, 2):
        assert by_space[one].isdisjoint(by_space[other])


@pytest.mark.parametrize("dialect", ["nginx", "traefik"])
def test_who_knows_all_names_but_not_the_uid_cannot_make_the_same(dialect: str) -> None:
    """The same Space, App and endpoint again: only the UIDs differ, which the API server chooses."""
    first, second = (set(CONTROLLERS[dialect](made(dialect, "a", "web", "http", seed))) for seed in (1, 2))
    assert {name for name in first & second if name[0] not in ("certificate", "tcp")} == set()


def test_the_border_between_a_space_and_its_domain_is_no_border_for_traefik() -> None:
    """bank of prod.victim.test with endpoint prod-web, and bank-prod of victim.test with endpoint web."""
    first = set(traefik(made("traefik", "bank", "prod-web", "http", domain="prod.victim.test")))
    second = set(traefik(made("traefik", "bank-prod", "web", "http", domain="victim.test")))
    assert first.isdisjoint(second)


@pytest.mark.parametrize("protocol", ["http", "https", "tls"])
def test_port_names_of_ingress_controllers_have_a_form_of_their_own(protocol: str) -> None:
    """Whatever the hyphen at which the name is split, the last part is reserved."""
    name = edge_port_name(protocol, "uid", "web")
    assert len(name) == 15
    parts = name.split("-")
    assert all(RESERVED.fullmatch("-".join(parts[at:])) for at in range(len(parts)))
