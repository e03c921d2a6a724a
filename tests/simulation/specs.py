"""Specs of Spaces and Apps, made by a seed.

What is compared with a fresh deployment may not depend on the order of edits. So a field whose first value stays, such
as the claims of a StatefulSet, has one value for each App, unless the plan is ``contested``; and no field of a Space is
varied that changes the pods of its Apps, because a Job keeps its pod.
"""

from __future__ import annotations

import random
from typing import Any

Obj = dict[str, Any]

SPACES = ("alpha", "beta", "gamma")
APPS = ("web", "db", "batch", "tool", "next")
""""next" is a canary of "web"."""
SECRETS = ("tls", "more")
POD_SECRETS = ("opaque", "pull")
"""Of other types, for the pods."""
DOMAIN = "example.net"
FURTHER = ("shop.example.net", "mail.example.net", "x.alpha.example.net")
"""Names that several Spaces may want."""
SANDBOX = "gvisor"
"""The one RuntimeClass of the settings that is a sandbox."""
TARGET = "db.partner.example"
"""A name outside of the cluster."""


def level(seed: int, name: str) -> str:
    """The isolation of a Space, which all its versions have: it changes the pods of its Apps."""
    return random.Random(f"isolation {seed} {name}").choice(("", "", "", "Standard", "UserNamespace", "Sandboxed"))


def space(rng: random.Random, name: str, *, contested: bool, issuer: bool, mesh: bool, isolation: str = "") -> Obj:
    """The spec of a Space; ``issuer``: whether certificates may come from one; ``mesh``: whether there is a mesh."""
    spec: Obj = {"domainName": DOMAIN}
    if contested and isolation:  # there the end is not compared
        isolation = rng.choice(("Standard", "UserNamespace", "Sandboxed"))
    if isolation:
        spec["isolation"] = isolation
    if rng.random() < 0.6:
        spec["project"] = rng.choice(("red", "blue"))
    if rng.random() < 0.5:
        spec["httpCertSecretName"] = rng.choice(SECRETS)
        spec["encryptHttp"] = rng.random() < 0.4
    if rng.random() < 0.6:
        spec["tcpCertAndCaSecretName"] = "tls"
    if contested:
        spec["hostnames"] = sorted(rng.sample(FURTHER, rng.randint(0, 2)))
    elif rng.random() < 0.3:
        spec["hostnames"] = [f"{name}.example.com"]
    if rng.random() < 0.2:
        spec["resourceQuota"] = {"hard": {"pods": str(rng.randint(5, 9))}}
    _vary_network(rng, spec, mesh)
    if rng.random() < 0.2:
        spec["podSecurity"] = rng.choice(("baseline", "restricted"))
    if rng.random() < 0.3:
        spec["httpHostnames"] = _http_hostnames(rng, name, spec, contested)
    if issuer and rng.random() < 0.6:
        _vary_certificates(rng, spec, contested)
    _vary_contents(rng, spec)
    return spec


def _vary_contents(rng: random.Random, spec: Obj) -> None:
    if rng.random() < 0.25:
        spec["secrets"] = sorted(rng.sample(POD_SECRETS, rng.randint(1, 2)))
    if rng.random() < 0.25:
        spec["limits"] = _limits(rng)
    if rng.random() < 0.1:
        spec["limitRange"] = {"limits": [{"type": "Container", "default": {"cpu": str(rng.randint(1, 2))}}]}
    if rng.random() < 0.3:
        spec["topology"] = {"trafficDistribution": rng.choice(("PreferClose", "PreferSameZone", "PreferSameNode"))}
    _vary_placement(rng, spec)


def _vary_placement(rng: random.Random, spec: Obj) -> None:
    """A cluster of no federation is called default: there what leaves is withdrawn at once, and nobody stands by.
    Draws from a copy: recorded seeds keep their schedules.
    """
    own = random.Random()
    own.setstate(rng.getstate())
    both: list[Obj] = [{"id": "default"}, {"id": "east"}]
    if own.random() < 0.2:
        clusters = own.choice((both, [{"id": "west"}], [*both, {"id": "west", "role": "Standby"}]))
        spec["placement"] = {"clusters": clusters}


def _vary_network(rng: random.Random, spec: Obj, mesh: bool) -> None:
    if rng.random() < 0.15:
        spec["egressPolicy"] = "Declared"
        spec["egressCidrs"] = [{"cidr": "198.51.100.0/24"}]
    if mesh and rng.random() < 0.6:
        spec["mesh"] = "Istio"


def _http_hostnames(rng: random.Random, name: str, spec: Obj, contested: bool) -> list[Obj]:
    if contested:
        free = sorted({"shop.example.net", "mail.example.net", "*.example.com"} - {*spec["hostnames"]})
        return [{"name": each, "certSecretName": "tls"} for each in sorted(rng.sample(free, rng.randint(0, 1)))]
    entries: list[Obj] = [
        {"name": f"www-{name}.example.net", "certSecretName": rng.choice(SECRETS)},
        {"name": f"*.{name}.example.com", "certSecretName": "tls", "createDnsRecord": False},
        {"name": f"docs-{name}.example.net"},
    ]
    return [each for each in entries if rng.random() < 0.5]


def _vary_certificates(rng: random.Random, spec: Obj, contested: bool) -> None:
    # While an issuer fails, what was used before stays: another end than that of a fresh deployment.
    issuer = "broken" if contested and rng.random() < 0.2 else "issuer"
    spec["certificates"] = {"issuerRef": {"name": issuer, "kind": "ClusterIssuer"}}
    for field in ("httpCertSecretName", "tcpCertAndCaSecretName"):
        if rng.random() < 0.6:
            spec.pop(field, None)
    if rng.random() < 0.3:
        spec["encryptHttp"] = True


def _limits(rng: random.Random) -> Obj:
    every: Obj = {
        "clientCidrs": ["198.51.100.0/24"],
        "requestBody": "1Mi",
        "requestRate": {"requests": rng.randint(10, 11)},
        "connections": 100,
        "timeouts": {"request": "30s", "idle": rng.choice(("2m", "5m"))},
    }
    return {field: value for field, value in every.items() if rng.random() < 0.4}


def app(rng: random.Random, name: str, space_name: str, *, contested: bool) -> Obj:
    """The spec of an App."""
    image = f"registry.example/app:{rng.randint(1, 4)}"
    pod: Obj = {"containers": [{"name": "main", "image": image, "ports": [{"containerPort": 8080}]}]}
    spec: Obj = {"pod": pod}
    _vary_pod(rng, spec)
    if name == "next":
        endpoint: Obj = {"name": "next", "port": 8080, "httpPath": "/web"}
        _vary_protocol(rng, endpoint, canary=True)
        weight = rng.choice((0, 10, 100))
        return {
            **spec,
            "initialReplicas": rng.randint(0, 2),
            "canaryOf": "web",
            "weight": weight,
            "endpoints": [endpoint],
        }
    if name == "batch" or rng.random() < 0.1:
        return {**spec, "runAsJob": True, "endpoints": []}
    if rng.random() < 0.5:
        spec["initialReplicas"] = rng.randint(0, 3)
    _vary_workload(rng, name, spec, contested)
    spec["endpoints"] = _endpoints(rng, name, space_name, contested)
    egresses: list[Obj] = []
    if rng.random() < 0.2:
        other = rng.choice([each for each in SPACES if each != space_name])
        egresses.append({"localPort": 9000, "endpoint": "db", "spaceName": other, "certAndCaSecretName": "tls"})
    if rng.random() < 0.15:
        egresses.append({"localPort": 9001, "fqdn": TARGET, "targetPort": 5432, "certAndCaSecretName": "tls"})
    if egresses:
        spec["tlsEgresses"] = egresses
    return spec


def primary(rng: random.Random) -> Obj:
    """The spec of an App that "next" can be a canary of."""
    pod = {"containers": [{"name": "main", "image": f"registry.example/app:{rng.randint(1, 4)}"}]}
    return {"pod": pod, "endpoints": [{"name": "web", "port": 8080, "httpPath": "/web"}]}


def _vary_pod(rng: random.Random, spec: Obj) -> None:
    main = spec["pod"]["containers"][0]
    if rng.random() < 0.2:
        spec["pod"]["imagePullSecrets"] = [{"name": "pull"}]
    if rng.random() < 0.15:
        main["env"] = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "opaque", "key": "token"}}}]


def _vary_workload(rng: random.Random, name: str, spec: Obj, contested: bool) -> None:
    if rng.random() < 0.2:
        spec["statefulSet"] = {}
        if name == "db":  # the claims cannot be changed: the first ones stay
            size = f"{rng.randint(1, 2) if contested else 1}Gi"
            claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
            spec["statefulSet"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    elif rng.random() < 0.1:
        spec["deployment"] = {"minReadySeconds": rng.randint(1, 5)}
    if name == "tool":  # with ``replicas`` in all its versions: without it the workload keeps the last count
        spec["replicas"] = rng.randint(0, 3)
    if rng.random() < 0.25:
        spec["disruptionBudget"] = rng.choice(({}, {"minAvailable": 1}, {"maxUnavailable": "50%"}, {"mode": "None"}))
    if rng.random() < 0.1:
        spec["suspend"] = True
    if rng.random() < 0.15:  # a Job does not run again for it, and keeps that of its run
        spec["podMetadata"] = {"annotations": {"example.net/note": str(rng.randint(1, 3))}}


def _endpoints(rng: random.Random, name: str, space_name: str, contested: bool) -> list[Obj]:
    kind = rng.random()
    endpoint: Obj = {"name": f"{name}", "port": 8080}
    if kind < 0.4:
        _vary_http(rng, endpoint, name, space_name)
    elif kind < 0.8:
        _vary_tcp(rng, endpoint, space_name, contested)
    else:
        return []
    if rng.random() < 0.2:
        endpoint["name"] = f"{name}-{rng.randint(1, 2)}"
    found = [endpoint]
    if rng.random() < 0.15:
        found.append({"name": f"{name}-metrics", "port": 8081, "isMetricsEndpoint": True})
    return found


def _vary_http(rng: random.Random, endpoint: Obj, name: str, space_name: str) -> None:
    path = "/same" if rng.random() < 0.1 else f"/{name}"
    if rng.random() < 0.2:
        endpoint["httpPaths"] = [{"path": path}, {"path": f"{path}/v2", "rewritePath": "/"}]
    else:
        endpoint["httpPath"] = path
        if rng.random() < 0.15:
            endpoint["rewritePath"] = "/"
    if rng.random() < 0.15:
        names = [f"{space_name}.example.net", f"www-{space_name}.example.net", f"a.{space_name}.example.com"]
        endpoint["httpHostnames"] = sorted(rng.sample(names, rng.randint(1, 2)))
    _vary_protocol(rng, endpoint, canary=False)


def _vary_protocol(rng: random.Random, endpoint: Obj, *, canary: bool) -> None:
    if rng.random() < 0.25:
        endpoint["appProtocol"] = rng.choice(("http", "h2c", "grpc", "websocket"))
    if not canary and rng.random() < 0.25:
        endpoint["timeouts"] = rng.choice(({"request": "10s"}, {"idle": "60s"}, {"request": "10s", "idle": "10m"}))


def _vary_tcp(rng: random.Random, endpoint: Obj, space_name: str, contested: bool) -> None:
    endpoint["createDnsRecord"] = rng.random() < 0.7
    if rng.random() < 0.15:
        endpoint["hostname"] = rng.choice(FURTHER) if contested else f"{space_name}.example.com"
    if rng.random() < 0.1:
        endpoint["disableTlsTermination"] = True
        return
    endpoint["verifyTcpClientCert"] = rng.random() < 0.5
    if rng.random() < 0.3:
        endpoint["certAndCaSecretName"] = "more"
    if rng.random() < 0.3:
        endpoint["createClearTextService"] = True
    if rng.random() < 0.15:
        endpoint["allowedClients"] = sorted({"client.example.net", f"client.{rng.choice(SPACES)}.example.net"})
    if rng.random() < 0.2:
        endpoint["appProtocol"] = "tcp"
    if rng.random() < 0.2:
        endpoint["timeouts"] = {"idle": rng.choice(("60s", "10m"))}
    if rng.random() < 0.1:
        endpoint["tlsListenPort"] = 8443
