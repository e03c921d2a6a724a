"""Apps and Secrets that a hostile tenant may write: admissible, and as unusual as the rules allow. From a seed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.world import Obj, Tenant, shared_secret
from tests.images.pki import Authority

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"
TEXTS = (
    "${jndi:ldap://127.0.0.1/a}",
    "{{ .Values.secret }}",
    "$(ECHO_NAME)",
    '"; include /etc/passwd; #',
    "\u202e\u2066\u00ad",
)
PATHS = (
    "/",
    f"/{'deep/' * 40}",
    "/%20%22%3C%3E",
    "/a:b@c=d,e+f~g",
    "/.well-known/acme-challenge",
    "/site",
    "/more",
    "/.decco",
    *(f"/{number}" for number in range(20)),
)
PORTS = (1, 80, 443, 8080, 8443, 9901, 10080, 10443, 15001, 19000, 19001, 65535)
"""Among them those of Envoy itself."""
LONG = "x" * 60
MANY = len(PORTS)
LARGE = 200_000
TIMEOUTS = ("576h", "99999ms99999ms99999ms99999ms", "575h59m59s999ms", "1ms")
"""The longest and the shortest that the API server accepts: each becomes a timer of a proxy."""


def _endpoint(tenant: Tenant, random: Random, name: str, secret: str, port: int, path: str) -> Obj:
    made: dict[str, Any] = {"name": name, "port": port}
    idle = random.choice(TIMEOUTS)
    match random.randrange(6):
        case 0:
            timeouts = {"request": random.choice(TIMEOUTS), "idle": idle}
            return {**made, "httpPath": path, "rewritePath": random.choice(PATHS), "timeouts": timeouts}
        case 1:
            return {**made, "disableTlsTermination": True, "hostname": f"{LONG}.{name}.{tenant.fqdn}"}
        case 2:
            checked = {"certAndCaSecretName": secret, "verifyTcpClientCert": True, "timeouts": {"idle": idle}}
            return {**made, **checked, "createClearTextService": True}
        case 3:
            clients = [f"{LONG}{number}.example.net" for number in range(MANY)]
            return {**made, "certAndCaSecretName": secret, "allowedClients": clients, "createDnsRecord": True}
        case 4:
            return {**made, "tlsListenPort": random.choice((1, 80, 65535)), "certAndCaSecretName": secret}
        case _:
            return {**made, "isMetricsEndpoint": True}


def _app(tenant: Tenant, random: Random, name: str, secret: str) -> Obj:
    """Without pods: they are subject to quotas and to the scheduler, and here the edge matters."""
    count = random.randrange(1, MANY)
    ports, paths = random.sample(PORTS, count), random.sample(PATHS, count)
    endpoints = [
        _endpoint(tenant, random, f"{name}-{number}", secret, ports[number], paths[number]) for number in range(count)
    ]
    container = {
        "name": "c",
        "image": "example.com/none:1",
        "env": [{"name": "TEXT", "value": random.choice(TEXTS)}],
        "args": [random.choice(TEXTS)],
    }
    egresses = [
        {"localPort": 20000 + number, "fqdn": f"{LONG}.example.net", "targetPort": 1}
        for number in range(random.randrange(3))
    ]
    return tenant.app_of(
        {"containers": [container]}, name, initialReplicas=0, endpoints=endpoints, tlsEgresses=egresses
    )


def _contents(tenant: Tenant) -> list[Callable[[Random], dict[str, bytes]]]:
    """Ways to fill a Secret."""
    good, other = tenant.authority.leaf(f"*.{tenant.fqdn}"), Authority("stranger").leaf("other.example.net")
    expired = tenant.authority.leaf(tenant.fqdn, expired=True)
    small = rsa.generate_private_key(65537, 1024).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )

    def noise(random: Random) -> bytes:
        return random.randbytes(random.randrange(1, 2000))

    return [
        lambda random: {"tls.crt": noise(random), "tls.key": noise(random), "ca.crt": noise(random)},
        lambda random: {"tls.crt": CERTIFICATE % base64.b64encode(noise(random)), "tls.key": good.key, "ca.crt": b""},
        lambda _: {"tls.crt": good.cert, "tls.key": other.key, "ca.crt": good.ca},
        lambda _: {"tls.crt": good.cert, "tls.key": small, "ca.crt": good.ca},
        lambda _: expired.secret,
        lambda _: {**good.secret, "ca.crt": good.ca * (LARGE // len(good.ca))},
        lambda _: {**good.secret, "tls.crt": good.cert * 50},
        lambda _: {"tls.crt": b"", "tls.key": b"", "ca.crt": b""},
        lambda random: {"tls.crt": random.choice(TEXTS).encode(), "tls.key": good.key, "ca.crt": good.ca},
        lambda _: {},
    ]


def hostile_objects(tenant: Tenant, number: int, seed: int) -> Iterator[tuple[Obj, Obj]]:
    """A Secret and an App that names it, so many times."""
    random, ways = Random(f"{tenant.name} {seed}"), _contents(tenant)
    for each in range(number):
        name = f"hostile-{each}"
        data = {key: base64.b64encode(value).decode() for key, value in random.choice(ways)(random).items()}
        meta = {"name": name, "namespace": tenant.name}
        yield (
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data},
            _app(tenant, random, name, name),
        )


def broken_certificate(tenant: Tenant, number: int) -> Obj:
    """The certificate of a hostile Space: noise, and every second time a good one."""
    secret = shared_secret(f"{tenant.name}-http", tenant.web, tenant.name)
    if number % 2:
        secret["data"] |= {"tls.crt": base64.b64encode(f"noise {number}".encode()).decode()}
    return secret
