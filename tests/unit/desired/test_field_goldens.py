"""Golden YAML of the fields of an App and a Space that change objects of several kinds, one case for each field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from decco.desired.app import app_children
from decco.desired.model import AppInputs, SecretState
from decco.desired.shares import Canary, HttpEndpoint
from decco.settings import Settings
from tests.unit.desired.app_cases import GOOD_SECRETS, POD, app, objs, secret
from tests.unit.goldens import check_golden

TIMED = [
    {"name": "site", "port": 8080, "httpPath": "/site", "timeouts": {"request": "30s", "idle": "1m500ms"}},
    {"name": "db", "port": 5432, "timeouts": {"idle": "10m"}},
]
PULLING = Settings.model_validate(
    {"routing": {"parentGateway": "edge/shared"}, "sidecar": {"imagePullSecrets": ["mirror"]}}
)
CASES: dict[str, AppInputs] = {
    "app/disruption-budget": app({"replicas": 3, "endpoints": [], "disruptionBudget": {"maxUnavailable": "25%"}}),
    "app/suspended": app({"suspend": True, "initialReplicas": 2, "endpoints": [TIMED[0]]}),
    "app/timeouts": app({"endpoints": TIMED}),
    "app/pull-secrets": replace(
        app(
            {"pod": {**POD, "imagePullSecrets": [{"name": "regcred"}]}, "endpoints": [{"name": "db", "port": 5432}]},
            space={"secrets": ["regcred"]},
            secrets={**GOOD_SECRETS, **{name: secret(name, SecretState.COPY) for name in ("regcred", "mirror")}},
        ),
        settings=PULLING,
    ),
    "routing/app-http-paths": app(
        {
            "endpoints": [
                {"name": "site", "port": 8080, "httpPaths": [{"path": "/a"}, {"path": "/b", "rewritePath": "/"}]},
            ]
        }
    ),
    "routing/app-protocols": app(
        {
            "endpoints": [
                {"name": name, "port": 8080 + at, "httpPath": f"/{name}", "appProtocol": name}
                for at, name in enumerate(("http", "h2c", "grpc", "websocket"))
            ]
        }
    ),
    "routing/app-canary": replace(
        app({"endpoints": [{"name": "site", "port": 8080, "httpPath": "/site"}]}),
        canaries=(Canary("next", 5, (HttpEndpoint("next", "/site", 80),), serving=True, uid="uid-next"),),
    ),
    **{
        f"routing/ingress-{dialect}-timeouts": app(
            {"endpoints": [TIMED[0]]}, routing={"backend": "ingress", "ingressDialect": dialect}
        )
        for dialect in ("haproxy", "nginx")
    },
}


@pytest.mark.parametrize("golden", CASES)
def test_goldens(golden: str) -> None:
    check_golden(golden, objs(app_children(CASES[golden])))
