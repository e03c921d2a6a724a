"""What tenants' objects for the edge do beside naming hosts, and kinds that tenants do not write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, delete, edit, flat
from tests.attacks.tenants import (
    BANK,
    GATEWAY,
    INGRESSES,
    ISTIO,
    OWN,
    ROUTE,
    VIRTUAL,
    certificate,
    gateway,
    ingress,
    listener,
    listener_set,
    made,
    one,
    path,
    proxy,
    rule,
    servers,
)

LISTENER_SETS = ("listenersets.gateway.networking.k8s.io", "xlistenersets.gateway.networking.x-k8s.io")


def ports_and_addresses() -> Iterator[Attempt]:
    yield from one("opens HTTPS", p.OWNER, OK, GATEWAY, gateway(OWN, "HTTPS"))
    for protocol in ("TCP", "UDP"):
        # They have no host name, so both policies refuse them.
        yield from one(f"opens {protocol}", p.OWNER, "DECCO-0655|DECCO-0656", GATEWAY, gateway(None, protocol))
    strange = gateway(OWN, "example.com/any")
    yield from one("opens an unknown protocol", p.OWNER, "DECCO-0656", GATEWAY, strange)
    taken = gateway(OWN, addresses=[{"type": "IPAddress", "value": "203.0.113.10"}])
    yield from one("takes the edge's address", p.OWNER, "DECCO-0656", GATEWAY, taken)
    parameters = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "p"}}
    yield from one("brings parameters", p.OWNER, "DECCO-0656", GATEWAY, gateway(OWN, infrastructure=parameters))
    yield from one(
        "labels its infrastructure", p.OWNER, OK, GATEWAY, gateway(OWN, infrastructure={"labels": {"a": "b"}})
    )
    for protocol, expect in (("HTTPS", OK), ("TLS", OK), ("TCP", "DECCO-0656"), ("MONGO", "DECCO-0656")):
        yield from one(f"opens {protocol}", p.OWNER, expect, ISTIO, servers(OWN, protocol))
    # Where two objects differ about the protocol of a port, the older one ends all listeners of the others.
    for protocol, port in (("HTTP", 443), ("HTTPS", 80), ("TLS", 80)):
        what = f"opens {protocol} at {port}"
        for resource in LISTENER_SETS:
            yield from one(what, p.OWNER, "DECCO-0656", resource, listener_set(resource, OWN, protocol, port))
        yield from one(what, p.OWNER, "DECCO-0656", GATEWAY, gateway(OWN, protocol, port))
        yield from one(what, p.OWNER, "DECCO-0656", ISTIO, servers(OWN, protocol, port))
    yield from one("opens GRPC at 443", p.OWNER, "DECCO-0656", ISTIO, servers(OWN, "GRPC", 443))
    for protocol, port in (("HTTP", 22), ("HTTP", 8080), ("HTTPS", 6443), ("TLS", 15008), ("HTTPS", 10443)):
        what, own = f"opens {protocol} at {port}", {"name": "own"}
        for resource in LISTENER_SETS:
            there, here = (listener_set(resource, OWN, protocol, port, parent) for parent in (None, own))
            yield from one(f"{what} of the shared edge", p.OWNER, "DECCO-0656", resource, there)
            yield from one(f"{what} of its own Gateway", p.OWNER, OK, resource, here)
        yield from one(what, p.OWNER, OK, GATEWAY, gateway(OWN, protocol, port))
    for resource in LISTENER_SETS:
        for protocol in ("HTTP", "HTTPS", "TLS"):
            yield from one(f"opens {protocol}", p.OWNER, OK, resource, listener_set(resource, OWN, protocol))
        second = listener_set(resource, OWN)
        second["spec"]["listeners"].append({**listener(OWN, "HTTP", 443), "name": "second"})
        yield from one("opens HTTP at 443 beside 80", p.OWNER, "DECCO-0656", resource, second)
    entry = "serviceentries.networking.istio.io"
    yield from one(
        "takes a virtual address",
        p.OWNER,
        "DECCO-0656",
        entry,
        made(entry, {"hosts": [OWN], "addresses": ["10.0.0.1"]}),
    )
    # Its addresses are where the edge and others' pods connect, as with endpoints of one's own choice.
    local = "cache.evil1.svc.cluster.local"
    for address in ("169.254.169.254", "10.0.0.9", "db.bank.svc.cluster.local", "unix:///var/run/admin.sock"):
        entered = {"hosts": [local], "resolution": "STATIC", "endpoints": [{"address": address}]}
        yield from one(f"leads to {address}", p.OWNER, "DECCO-0656", entry, made(entry, entered))
        yield from one(f"leads to {address} as exempt", p.EXEMPT, OK, entry, made(entry, entered))
    selected = {"hosts": [local], "resolution": "STATIC", "workloadSelector": {"labels": {"a": "b"}}}
    yield from one("leads to its own pods", p.OWNER, OK, entry, made(entry, selected))
    yield from one("takes the edge's address as exempt", p.EXEMPT, OK, GATEWAY, taken)


def identities() -> Iterator[Attempt]:
    resource = "certificates.cert-manager.io"
    fields: tuple[tuple[str, Any], ...] = (
        ("ipAddresses", ["192.0.2.1"]),
        ("uris", ["spiffe://cluster.local/ns/bank/sa/default"]),
        ("emailAddresses", ["a@victim.test"]),
        ("otherNames", [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "a"}]),
        ("literalSubject", f"CN={BANK}"),
        ("subject", {"organizations": ["system:masters"]}),
        ("isCA", True),
    )
    for field, value in fields:
        named: dict[str, Any] = {"dnsNames": [OWN], field: value}
        yield from one(f"has {field}", p.OWNER, "DECCO-0657", resource, certificate(**named))
        yield from one(f"has {field} by its Issuer", p.OWNER, OK, resource, certificate("Issuer", **named))
    request = made("certificaterequests.cert-manager.io", {"issuerRef": {"name": "i"}, "request": "Y3Ny"})
    yield from one("requests by hand", p.OWNER, "DECCO-0657", "certificaterequests.cert-manager.io", request)
    yield from one("requests for a Certificate", p.CERT_MANAGER, OK, "certificaterequests.cert-manager.io", request)
    order = made("orders.acme.cert-manager.io", {"dnsNames": [OWN], "ipAddresses": ["192.0.2.1"], "request": "Y3Ny"})
    yield from one("orders an address", p.OWNER, "DECCO-0657", "orders.acme.cert-manager.io", order)
    # Its other objects are checked as a tenant's.
    yield from one("certifies another's name", p.CERT_MANAGER, "DECCO-0655", resource, certificate(dnsNames=[BANK]))
    yield from one("solves for its own name", p.CERT_MANAGER, OK, INGRESSES, ingress(OWN))
    yield from one("solves for another's name", p.CERT_MANAGER, "DECCO-0655", INGRESSES, ingress(BANK))


def references() -> Iterator[Attempt]:
    resource = "ingressroutes.traefik.io"
    host = f"Host(`{OWN}`)"

    def routed(**more: Any) -> Obj:
        return made(resource, {"routes": [{"match": host, "services": [{"name": "s", "port": 80}], **more}]})

    for name, expect in (("", OK), ("evil1", OK), ("bank", "DECCO-0658")):
        there = {"namespace": name} if name else {}
        what = f"refers to {name or 'its namespace'}"
        yield from one(f"{what}, middleware", p.OWNER, expect, resource, routed(middlewares=[{"name": "m", **there}]))
        yield from one(
            f"{what}, service", p.OWNER, expect, resource, routed(services=[{"name": "s", "port": 1, **there}])
        )
        yield from one(
            f"{what}, options", p.OWNER, expect, resource, rule(host, tls={"options": {"name": "o", **there}})
        )
        yield from one(f"{what}, store", p.OWNER, expect, resource, rule(host, tls={"store": {"name": "o", **there}}))
        yield from one(f"{what}, parent", p.OWNER, expect, resource, rule(host, parentRefs=[{"name": "o", **there}]))
        chain, other = "middlewares.traefik.io", "traefikservices.traefik.io"
        refers = {"name": "m", **there}
        yield from one(f"{what}, chain", p.OWNER, expect, chain, made(chain, {"chain": {"middlewares": [refers]}}))
        yield from one(f"{what}, errors", p.OWNER, expect, chain, made(chain, {"errors": {"service": refers}}))
        yield from one(f"{what}, weighted", p.OWNER, expect, other, made(other, {"weighted": {"services": [refers]}}))
        mirrored: Obj = {"mirroring": {"name": "m", "mirrors": [refers]}}
        yield from one(f"{what}, mirrors", p.OWNER, expect, other, made(other, mirrored))
        yield from one(f"{what}, mirrored", p.OWNER, expect, other, made(other, {"mirroring": refers}))
        contour = "httpproxies.projectcontour.io"
        yield from one(f"{what}, include", p.OWNER, expect, contour, proxy(OWN, includes=[refers]))
        for where in (
            {"authorization": {"extensionRef": refers}},
            {"rateLimitPolicy": {"global": {"extensionRef": refers}}},
        ):
            extended = made(contour, {"virtualhost": {"fqdn": OWN, **where}})
            yield from one(f"{what}, {next(iter(where))}", p.OWNER, expect, contour, extended)
        yield from one(f"{what}, TCP include", p.OWNER, expect, contour, proxy(OWN, tcpproxy={"include": refers}))
        delegated = made(VIRTUAL, {"hosts": [OWN], "http": [{"delegate": refers}]})
        yield from one(f"{what}, delegate", p.OWNER, expect, VIRTUAL, delegated)
    for name in ("api@internal", "dashboard@internal", "rest@internal", "x@kubernetescrd", "x@file"):
        there = routed(services=[{"name": name, "kind": "TraefikService"}])
        yield from one(f"serves {name}", p.OWNER, "DECCO-0658", resource, there)
    there = routed(services=[{"name": "s", "port": 1, "serversTransport": "bank-t@kubernetescrd"}])
    yield from one("uses another's transport", p.OWNER, "DECCO-0658", resource, there)
    for transport, expect in (("t", OK), ("bank-t@kubernetescrd", "DECCO-0658")):
        sent: Obj = {"name": "s", "port": 1, "serversTransport": transport}
        specs: tuple[tuple[str, str, Obj], ...] = (
            ("weighted", other, {"weighted": {"services": [sent]}}),
            ("highest", other, {"highestRandomWeight": {"services": [sent]}}),
            ("mirrors", other, {"mirroring": {"name": "m", "mirrors": [sent]}}),
            ("mirrored", other, {"mirroring": sent}),
            ("errors", chain, {"errors": {"service": sent}}),
        )
        for what, kind, spec in specs:
            yield from one(f"uses transport {transport}, {what}", p.OWNER, expect, kind, made(kind, spec))
    there = routed(middlewares=[{"name": "bank-m@kubernetescrd"}])
    yield from one("uses another's middleware", p.OWNER, "DECCO-0658", resource, there)
    for host, expect in (("s", OK), ("s.evil1.svc.cluster.local", OK), ("db.bank.svc.cluster.local", "DECCO-0658")):
        destination = {"destination": {"host": host}}
        parts: tuple[tuple[str, Obj], ...] = (
            ("http", {"http": [{"route": [destination]}]}),
            ("tcp", {"tcp": [{"route": [destination]}]}),
            ("mirror", {"http": [{"route": [{"destination": {"host": "s"}}], "mirror": {"host": host}}]}),
        )
        for what, part in parts:
            yield from one(f"sends {what} to {host}", p.OWNER, expect, VIRTUAL, made(VIRTUAL, {"hosts": [OWN], **part}))
    theirs = [{"destination": {"host": f"{name}.bank.svc.cluster.local"}} for name in ("db", "cache")]
    split: Obj = {"hosts": [OWN], "http": [{"route": theirs}]}
    yield from one("sends http to two Services of bank", p.OWNER, "DECCO-0658", VIRTUAL, made(VIRTUAL, split))
    yield from one(
        "refers to bank as exempt", p.EXEMPT, OK, resource, routed(middlewares=[{"name": "m", "namespace": "bank"}])
    )


def credentials() -> Iterator[Attempt]:
    """A DestinationRule counts for all proxies that connect to its host, the edge among them."""
    resource = "destinationrules.networking.istio.io"
    cases: tuple[tuple[Obj, str], ...] = (
        ({"mode": "SIMPLE"}, OK),
        ({"mode": "ISTIO_MUTUAL"}, OK),
        ({"mode": "SIMPLE", "sni": OWN, "caCertificates": "system"}, OK),
        ({"mode": "MUTUAL", "credentialName": "edge-key"}, "DECCO-0658"),
        ({"mode": "MUTUAL", "clientCertificate": "/etc/a", "privateKey": "/etc/b"}, "DECCO-0658"),
        ({"mode": "SIMPLE", "caCertificates": "/var/run/secrets/token"}, "DECCO-0658"),
    )
    for tls, expect in cases:
        policy: Obj = {"tls": tls}
        ports: Obj = {"portLevelSettings": [{"port": {"number": 443}, **policy}]}
        for what, spec in (
            ("", {"trafficPolicy": policy}),
            (" at a port", {"trafficPolicy": ports}),
            (" of a subset", {"subsets": [{"name": "v1", "trafficPolicy": policy}]}),
            (" at a port of a subset", {"subsets": [{"name": "v1", "trafficPolicy": ports}]}),
        ):
            shown = " ".join(f"{key} {value}" for key, value in tls.items())
            yield from one(
                f"connects with {shown}{what}", p.OWNER, expect, resource, made(resource, {"host": OWN, **spec})
            )


BACKENDS: tuple[tuple[str, Obj, str], ...] = (
    ("a Service", {"name": "s", "port": 443}, OK),
    ("a Service by its kind", {"group": "", "kind": "Service", "name": "s", "port": 443}, OK),
    # The Gateway API asks the other namespace, by a ReferenceGrant.
    ("a Service of bank", {"name": "s", "namespace": "bank", "port": 443}, OK),
    ("a pool", {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "s", "port": 443}, OK),
    ("its TraefikService", {"group": "traefik.io", "kind": "TraefikService", "name": "s"}, OK),
    ("api@internal", {"group": "traefik.io", "kind": "TraefikService", "name": "api@internal"}, "DECCO-0658"),
    (
        "bank-s@kubernetescrd",
        {"group": "traefik.io", "kind": "TraefikService", "name": "bank-s@kubernetescrd"},
        "DECCO-0658",
    ),
    (
        "a name of Istio",
        {"group": "networking.istio.io", "kind": "Hostname", "name": "db.bank.svc.cluster.local", "port": 443},
        "DECCO-0658",
    ),
    ("an unknown kind", {"group": "example.com", "kind": "Anything", "name": "s", "port": 443}, "DECCO-0658"),
)
"""What a route of the Gateway API sends to. Of kinds beyond the Service each implementation has its own, and some
of them name what is in no namespace.
"""


def backends() -> Iterator[Attempt]:
    here: Obj = {"parentRefs": [{"name": "own"}]}
    for kind in ("httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes"):
        resource = f"{kind}.gateway.networking.k8s.io"
        named = {**here, "hostnames": [OWN]} if kind == "tlsroutes" else here
        for what, ref, expect in BACKENDS:
            yield from one(
                f"sends to {what}",
                p.OWNER,
                expect,
                resource,
                made(resource, {**named, "rules": [{"backendRefs": [ref]}]}),
            )
    for kind in ("httproutes", "grpcroutes"):
        resource = f"{kind}.gateway.networking.k8s.io"
        for what, ref, expect in BACKENDS:
            mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"port": 443, **ref}}}
            for where, rule_ in (
                ("", {"filters": [mirror]}),
                (", of one backend", {"backendRefs": [{"name": "s", "port": 443, "filters": [mirror]}]}),
            ):
                yield from one(
                    f"mirrors to {what}{where}", p.OWNER, expect, resource, made(resource, {**here, "rules": [rule_]})
                )
    _, internal, _ = BACKENDS[5]
    served = made(ROUTE, {**here, "rules": [{"backendRefs": [internal]}]})
    yield from one("sends to api@internal as exempt", p.EXEMPT, OK, ROUTE, served)


def injections() -> Iterator[Attempt]:
    def at(text: str, kind: str = "ImplementationSpecific", port: Obj | None = None) -> Obj:
        backend = {"service": {"name": "s", "port": port or {"number": 80}}}
        return made(
            INGRESSES,
            {"rules": [{"host": OWN, "http": {"paths": [{"path": text, "pathType": kind, "backend": backend}]}}]},
        )

    for text in ("/", "/a-b_c.d~e", "/x(/|$)(.*)", "/%20/$1*+?[a-z]"):
        yield from one(f"has the path {text}", p.KUBE_EDIT, OK, INGRESSES, at(text))
    for text in (
        f"/`) || Host(`{BANK}",
        "/ {return 200;}",
        "/;}location /x",
        "/a\nb",
        "/a b",
        "/a\tb",
        '/"x',
        "/'x",
        "/x#y",
    ):
        yield from one(f"has the path {text!r}", p.KUBE_EDIT, "DECCO-0659", INGRESSES, at(text))
    yield from one("breaks out of a prefix", p.KUBE_EDIT, "DECCO-0659", INGRESSES, at(f"/`) || Host(`{BANK}", "Prefix"))
    middleware = "middlewares.traefik.io"
    middlewares: tuple[tuple[str, Obj, str], ...] = (
        ("headers", {"headers": {"customRequestHeaders": {"X-A": "b"}}}, OK),
        ("a plugin", {"plugin": {"any": {"code": "x"}}}, "DECCO-0659"),
        ("its own forwardAuth", {"forwardAuth": {"address": "http://auth.evil1.svc.cluster.local:80/check"}}, OK),
        ("its own forwardAuth", {"forwardAuth": {"address": "http://auth.evil1/check"}}, OK),
        ("another's forwardAuth", {"forwardAuth": {"address": "http://db.bank.svc:8080/"}}, "DECCO-0659"),
        ("forwardAuth to metadata", {"forwardAuth": {"address": "http://169.254.169.254/"}}, "DECCO-0659"),
        ("forwardAuth by a user", {"forwardAuth": {"address": "http://auth.evil1:80@db.bank.svc/"}}, "DECCO-0659"),
        ("forwardAuth of a longer name", {"forwardAuth": {"address": "http://auth.evil1.evil.test/"}}, "DECCO-0659"),
    )
    for what, spec, expect in middlewares:
        yield from one(f"has {what}", p.OWNER, expect, middleware, made(middleware, spec))
    contour = "httpproxies.projectcontour.io"
    for uri, expect in (("http://keys.evil1.svc/jwks", OK), ("http://db.bank.svc:8080/jwks", "DECCO-0659")):
        keys = {"fqdn": OWN, "jwtProviders": [{"name": "j", "remoteJWKS": {"uri": uri}}]}
        yield from one(f"has keys at {uri}", p.OWNER, expect, contour, made(contour, {"virtualhost": keys}))
    for endpoint, expect in (
        ("cache.evil1.svc:6379", OK),
        ("cache.evil1.svc.cluster.local:6379", OK),
        ("db.bank.svc:6379", "DECCO-0659"),
        ("169.254.169.254:80", "DECCO-0659"),
    ):
        redis = {"rateLimit": {"average": 1, "redis": {"endpoints": ["cache.evil1.svc:6379", endpoint]}}}
        yield from one(f"counts at {endpoint}", p.OWNER, expect, middleware, made(middleware, redis))
    # istiod fetches the keys, with its own way into the cluster's network.
    tokens = "requestauthentications.security.istio.io"
    for what, jwt, expect in (
        ("in the object", {"issuer": "https://idp.example.com", "jwks": "{}"}, OK),
        ("of its Service", {"issuer": "any", "jwksUri": "http://keys.evil1.svc.cluster.local/jwks"}, OK),
        ("of another Space", {"issuer": "any", "jwksUri": "http://db.bank.svc:8080/jwks"}, "DECCO-0659"),
        ("of the metadata service", {"issuer": "any", "jwksUri": "http://169.254.169.254/"}, "DECCO-0659"),
        ("of another Space beside some", {"issuer": "a", "jwks": "{}", "jwksUri": "http://db.bank.svc/"}, "DECCO-0659"),
        ("by discovery", {"issuer": "http://db.bank.svc:8080"}, "DECCO-0659"),
    ):
        yield from one(f"has keys {what}", p.OWNER, expect, tokens, made(tokens, {"jwtRules": [jwt]}))
    for name, expect in (("space-0123456789abcdef", "DECCO-0660"), ("default", "DECCO-0660"), ("mine", OK)):
        options = "tlsoptions.traefik.io"
        yield from one(
            f"is named {name}", p.OWNER, expect, options, made(options, {"minVersion": "VersionTLS12"}, name)
        )
    for name in ("prod-rewrite-0123456789abcdef", "prod-redirect-0123456789abcdef", "transport-0123456789abcdef"):
        for resource in (middleware, "serverstransports.traefik.io", "traefikservices.traefik.io"):
            yield from one(f"is named {name}", p.OWNER, "DECCO-0660", resource, made(resource, {}, name))
    yield from one(
        "has a port of decco's form", p.KUBE_EDIT, "DECCO-0660", INGRESSES, at("/", port={"name": "http-0123abcde"})
    )
    yield from one(
        "has a port that is a digest", p.KUBE_EDIT, "DECCO-0660", INGRESSES, at("/", port={"name": "0123abcdef"})
    )
    yield from one("has a named port", p.KUBE_EDIT, OK, INGRESSES, at("/", port={"name": "http-api"}))
    renamed = {"spec": {"rules": at("/", port={"name": "http-0123abcde"})["spec"]["rules"]}}
    yield from edit("takes a port of decco's form", p.KUBE_EDIT, "DECCO-0660", path(INGRESSES, name="own"), renamed)
    yield from one(
        "has a port of decco's form as exempt", p.EXEMPT, OK, INGRESSES, at("/", port={"name": "http-0123abcde"})
    )


ROUTE_ATTEMPTS = flat(ports_and_addresses(), identities(), references(), credentials(), backends(), injections())

CLOSED = (
    "ingressrouteudps.traefik.io",
    "tlsstores.traefik.io",
    "envoyfilters.networking.istio.io",
    "peerauthentications.security.istio.io",
    "trafficextensions.extensions.istio.io",
    "wasmplugins.extensions.istio.io",
    "workloadentries.networking.istio.io",
    "workloadgroups.networking.istio.io",
    "serviceexports.multicluster.x-k8s.io",
    "serviceimports.multicluster.x-k8s.io",
    "backends.gateway.envoyproxy.io",
    "backendtrafficpolicies.gateway.envoyproxy.io",
    "clienttrafficpolicies.gateway.envoyproxy.io",
    "envoyextensionpolicies.gateway.envoyproxy.io",
    "envoypatchpolicies.gateway.envoyproxy.io",
    "envoyproxies.gateway.envoyproxy.io",
    "securitypolicies.gateway.envoyproxy.io",
    "kongplugins.configuration.konghq.com",
    "ciliumnetworkpolicies.cilium.io",
)
"""One for each reason that a kind is closed, and every kind by which a tenant could change what the edge enforces."""


def kinds() -> Iterator[Attempt]:
    for resource in CLOSED:
        obj = made(resource, {"any": "thing"})
        yield from create("writes a closed kind", p.OWNER, "DECCO-0661", path(resource), obj)
        yield from create("writes a closed kind as exempt", p.EXEMPT, OK, path(resource), obj)
    # It is about its own pods only, and what they may reach is decided elsewhere.
    sidecar = made("sidecars.networking.istio.io", {"egress": [{"hosts": ["./*"]}]})
    yield from create("writes a Sidecar", p.OWNER, OK, path("sidecars.networking.istio.io"), sidecar)
    stored = path(CLOSED[0], name="old")
    yield from edit("changes a closed kind", p.OWNER, "DECCO-0661", stored, {"spec": {"any": "other"}})
    yield from edit("adds to a closed kind", p.OWNER, "DECCO-0661", stored, {"more": "x"}, ways=("merge", "put"))
    yield from edit("labels a closed kind", p.OWNER, OK, stored, {"metadata": {"labels": {"a": "b"}}})
    yield from delete("deletes a closed kind", p.OWNER, OK, stored)


KIND_ATTEMPTS = flat(kinds())
