"""The tenants of the matrix: every kind of Space that matters for isolation, with Apps that have every kind of port."""

from __future__ import annotations

from typing import Any

from tests.integration.harness import pod

SECRETS = {"httpCertSecretName": "policies", "tcpCertAndCaSecretName": "policies"}

SPACES: dict[str, dict[str, Any]] = {
    "open-plain": SECRETS,
    "open-tls": {**SECRETS, "encryptHttp": True},
    "open-bare": {},
    "foo-plain": {**SECRETS, "project": "foo"},
    "foo-tls": {**SECRETS, "project": "foo", "encryptHttp": True},
    "bar-plain": {**SECRETS, "project": "bar"},
    "bar-bare": {"project": "bar"},
}
"""Spec by name, which says the project, and ``plain``, ``tls`` (encryptHttp) or ``bare`` (no certificates at all)."""

APPS: dict[str, dict[str, Any]] = {
    "web": {"pod": pod(8080, 8081), "endpoints": [{"name": "site", "port": 8080, "httpPath": "/"}]},
    "many": {
        "pod": pod(5432, 6443, 6444, 9090, 8080),
        "endpoints": [
            {"name": "db", "port": 5432, "createClearTextService": True, "verifyTcpClientCert": True},
            {"name": "own-tls", "port": 6443, "disableTlsTermination": True},
            {"name": "own-https", "port": 6444, "httpPath": "/own", "disableTlsTermination": True},
            {"name": "numbers", "port": 9090, "isMetricsEndpoint": True},
            {"name": "api", "port": 8080, "httpPath": "/api"},
        ],
        "tlsEgresses": [{"localPort": 3306, "fqdn": "db.example.org"}],
    },
    "short": {"pod": pod(9000)},
    "short-http": {"pod": pod(9001), "httpUrlPath": "/short"},
    "closed": {"pod": pod(7000), "endpoints": []},
    "client": {"pod": pod(), "endpoints": [], "tlsEgresses": [{"localPort": 5000, "fqdn": "out.example.org"}]},
    "batch": {
        "runAsJob": True,
        "pod": pod(7443, restartPolicy="Never"),
        "endpoints": [{"name": "progress", "port": 7443}],
    },
    "names": {
        "pod": {
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/app:1",
                    "ports": [{"containerPort": 5353}, {"containerPort": 5353, "protocol": "UDP", "name": "udp"}],
                }
            ]
        },
        "endpoints": [{"name": "zones", "port": 5353}],
    },
}
"""In every Space."""
STRAY = "stray"
"""A pod in every Space that its user made without decco, with a label of decco's that fits no App."""
STRAY_PORT = 8080
