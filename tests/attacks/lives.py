"""What lives in a recorded life: settings of the controller, and Apps."""

from __future__ import annotations

import json

from tests.integration.harness import Obj, app

UNREACHABLE = {
    "type": "rfc2136",
    "zones": ["example.net"],
    "host": "127.0.0.1",
    "port": 9,
    "tsigKeyName": "k",
    "secretName": "dns-key",
    "timeoutSeconds": 1,
}
SETTINGS = {
    "leader_election__enabled": "true",
    "edge__namespace": "edge",
    "mesh__switch_seconds": "1",
    "dns__providers": json.dumps([{"type": "externaldns", "zones": ["evil.test", "victim.test"]}, UNREACHABLE]),
}
RUNS = (
    {"routing__backend": "ingress", "routing__ingress_dialect": "traefik"},
    {},
    {"routing__parent_gateway": "edge/edge"},
    {"routing__backend": "none"},
)
"""Settings of the edge, one after the other: each removes what the one before has made."""
SAMPLE = ({},)
ENDPOINTS = (
    {"name": "web", "port": 8080, "httpPath": "/web", "rewritePath": "/"},
    {"name": "db", "port": 5432, "certAndCaSecretName": "own", "createDnsRecord": True},
)


def web(namespace: str) -> Obj:
    egresses = [{"localPort": 15432, "endpoint": "db"}]
    more = {"initialReplicas": 2, "disruptionBudget": {}}
    return app(namespace, "web", endpoints=ENDPOINTS, tlsEgresses=egresses, **more)


def data(namespace: str) -> Obj:
    pod = {"containers": [{"name": "c", "image": "x"}]}
    return app(namespace, "data", statefulSet={}, pod=pod, endpoints=[])


def job(namespace: str) -> Obj:
    pod = {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}
    return app(namespace, "job", runAsJob=True, pod=pod, endpoints=[])
