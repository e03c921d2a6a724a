"""Tenants' own objects: what they name, open, borrow and forge in the namespace of a Space.

The table of each policy has its name. evil1 has the FQDN evil1.evil.test and project widgets, and its namespace is
recorded by an older decco; granted has the names of ``world.GRANTS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, delete, edit, flat, merged
from tests.attacks.third_parties import API_OF
from tests.attacks.world import CHILD_LABELS, app, apps, owner

UID = "11111111-2222-3333-4444-555555555555"
OWN, BELOW, BANK = "evil1.evil.test", "a.evil1.evil.test", "bank.victim.test"
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io"
NGINX, HAPROXY, TRAEFIK = "nginx.ingress.kubernetes.io", "haproxy-ingress.github.io", "traefik.ingress.kubernetes.io"
SERVICES, INGRESSES = "services", "ingresses.networking.k8s.io"


def path(resource: str, where: str = "evil1", name: str = "") -> str:
    """Of a resource that is written as in RBAC, at its first version."""
    plural = resource.partition(".")[0]
    api = API_OF[resource][0]
    prefix = "/apis/" if "/" in api else "/api/"
    return f"{prefix}{api}/namespaces/{where}/{plural}" + (f"/{name}" if name else "")


def made(resource: str, spec: Any = None, name: str = "n", meta: Obj | None = None, **more: Any) -> Obj:
    api, kind = API_OF[resource]
    found: Obj = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **(meta or {})}, **more}
    return found if spec is None else {**found, "spec": spec}


def one(what: str, who: p.Person, expect: str, resource: str, obj: Obj, where: str = "evil1") -> Iterator[Attempt]:
    """By POST, for the many rows that differ in their object only."""
    yield Attempt(f"{what}: {resource}", who, expect, "create", path(resource, where), obj)


# Host names -------------------------------------------------------------------------------------------------------


def ingress(host: str | None, **more: Any) -> Obj:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    http = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    rule = http if host is None else {"host": host, **http}
    return made(INGRESSES, {"rules": [rule], **more})


def listener(hostname: str | None, protocol: str = "HTTP", port: int = 80) -> Obj:
    found: Obj = {"name": "l", "port": port, "protocol": protocol}
    if protocol in {"HTTPS", "TLS"}:
        found["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": "c"}]}
    return found if hostname is None else {**found, "hostname": hostname}


PARENT: Obj = {"name": "edge", "namespace": "edge"}
GATEWAY = "gateways.gateway.networking.k8s.io"
ROUTE = "httproutes.gateway.networking.k8s.io"


def gateway(hostname: str | None, protocol: str = "HTTP", **more: Any) -> Obj:
    return made(GATEWAY, {"gatewayClassName": "any", "listeners": [listener(hostname, protocol)], **more})


def listener_set(resource: str, hostname: str | None, protocol: str = "HTTP") -> Obj:
    return made(resource, {"parentRef": PARENT, "listeners": [listener(hostname, protocol)]})


def route(resource: str, hostname: str | None, parent: Obj | None = None) -> Obj:
    spec: Obj = {"parentRefs": [PARENT if parent is None else parent]}
    if resource != ROUTE and not resource.startswith("grpc"):
        spec["rules"] = [{"backendRefs": [{"name": "s", "port": 443}]}]
    return made(resource, spec if hostname is None else {**spec, "hostnames": [hostname]})


def rule(match: str, resource: str = "ingressroutes.traefik.io", **more: Any) -> Obj:
    return made(resource, {"routes": [{"match": match, "services": [{"name": "s", "port": 80}]}], **more})


def certificate(issuer: str = "ClusterIssuer", **names: Any) -> Obj:
    issuer_ref = {"name": "i", "kind": issuer, "group": "cert-manager.io"}
    return made("certificates.cert-manager.io", {"secretName": "s", "issuerRef": issuer_ref, **names})


def proxy(fqdn: str, **more: Any) -> Obj:
    return made("httpproxies.projectcontour.io", {"virtualhost": {"fqdn": fqdn}, **more})


VIRTUAL, ISTIO = "virtualservices.networking.istio.io", "gateways.networking.istio.io"


def servers(host: str, protocol: str = "HTTP") -> Obj:
    return made(ISTIO, {"servers": [{"port": {"number": 80, "protocol": protocol, "name": "p"}, "hosts": [host]}]})


def naming(host: str) -> list[tuple[str, Obj]]:
    """An object of each kind that names the host, and nothing else of note."""
    return [
        (INGRESSES, ingress(host)),
        (INGRESSES, ingress(OWN, tls=[{"hosts": [OWN, host], "secretName": "s"}])),
        (GATEWAY, gateway(host)),
        (GATEWAY, gateway(host, "TLS")),
        ("listenersets.gateway.networking.k8s.io", listener_set("listenersets.gateway.networking.k8s.io", host)),
        (
            "xlistenersets.gateway.networking.x-k8s.io",
            listener_set("xlistenersets.gateway.networking.x-k8s.io", host),
        ),
        *(
            (f"{kind}.gateway.networking.k8s.io", route(f"{kind}.gateway.networking.k8s.io", host))
            for kind in ("httproutes", "grpcroutes", "tlsroutes")
        ),
        (
            "dnsendpoints.externaldns.k8s.io",
            made(
                "dnsendpoints.externaldns.k8s.io",
                {"endpoints": [{"dnsName": host, "recordType": "A", "targets": ["192.0.2.1"]}]},
            ),
        ),
        ("certificates.cert-manager.io", certificate(dnsNames=[host])),
        ("certificates.cert-manager.io", certificate("Issuer", dnsNames=[OWN, host])),
        ("certificates.cert-manager.io", certificate(dnsNames=[OWN], commonName=host)),
        ("orders.acme.cert-manager.io", made("orders.acme.cert-manager.io", {"dnsNames": [host], "request": "Y3Ny"})),
        ("challenges.acme.cert-manager.io", made("challenges.acme.cert-manager.io", {"dnsName": host, "key": "k"})),
        ("ingressroutes.traefik.io", rule(f"Host(`{host}`)")),
        (
            "ingressroutes.traefik.io",
            rule(f"Host(`{OWN}`)", tls={"domains": [{"main": OWN, "sans": [host]}]}),
        ),
        ("ingressroutes.traefik.containo.us", rule(f"Host(`{host}`)", "ingressroutes.traefik.containo.us")),
        (
            "ingressroutetcps.traefik.io",
            rule(f"HostSNI(`{host}`)", "ingressroutetcps.traefik.io", tls={"passthrough": True}),
        ),
        (VIRTUAL, made(VIRTUAL, {"hosts": [host]})),
        (VIRTUAL, made(VIRTUAL, {"hosts": [OWN], "tls": [{"match": [{"sniHosts": [host]}]}]})),
        (ISTIO, servers(host)),
        (ISTIO, servers(f"*/{host}", "HTTPS")),
        ("serviceentries.networking.istio.io", made("serviceentries.networking.istio.io", {"hosts": [host]})),
        ("destinationrules.networking.istio.io", made("destinationrules.networking.istio.io", {"host": host})),
        ("httpproxies.projectcontour.io", proxy(host)),
    ]


FOREIGN = (
    BANK,
    "x.bank.victim.test",
    "evil.test",
    "other.evil.test",
    "xevil1.evil.test",
    "*.evil.test",
    "*.victim.test",
)
ANYWHERE = ("127.1", "0x7f.1", "0x7f000001", "2130706433", "com", f"{OWN}.victim.test")
"""Not of the Space, in other forms: what some clients read as an IPv4 address, and the FQDN in another place."""
ODD = (
    f"{BANK.upper()}",
    f"{BANK}.",
    f"{BANK},{OWN}",
    f"~^.*{OWN}",
    f"*{OWN}",
    f"a*.{OWN}",
    f"*.*.{OWN}",
    f"{OWN}..",
    "*",
)
"""For kinds whose schema leaves names open."""
FREE_TEXT = (
    "dnsendpoints",
    "certificates",
    "ingressroutes.traefik.io",
    "virtualservices",
    "serviceentries",
    "httpproxies",
)


def hostnames() -> Iterator[Attempt]:
    for host in (OWN, BELOW, f"*.{OWN}"):
        for resource, obj in naming(host):
            yield from one(f"names its own {host}", p.OWNER, OK, resource, obj)
    for host in FOREIGN:
        for resource, obj in naming(host):
            yield from one(f"names {host}", p.OWNER, "DECCO-0555", resource, obj)
    for host in ANYWHERE:
        for resource, obj in naming(host):
            # Alone, as from an Issuer of the namespace, a single label may be a Service's name.
            if "." in host or resource.partition(".")[2] not in {"cert-manager.io", "networking.istio.io"}:
                yield from one(f"names {host}", p.OWNER, "DECCO-0555", resource, obj)
    for host in ODD:
        for resource, obj in naming(host):
            if resource.startswith(FREE_TEXT):
                yield from one(f"names {host}", p.OWNER, "DECCO-0555", resource, obj)
    for host in (OWN.upper(), f"{OWN}."):
        for resource, obj in naming(host):
            if resource.startswith(FREE_TEXT):
                yield from one(f"names its own as {host}", p.OWNER, OK, resource, obj)
    for who in (p.KUBE_EDIT, p.KUBE_ADMIN):
        yield from create("names its own host", who, OK, path(INGRESSES), ingress(OWN))
        yield from create("names another's host", who, "DECCO-0555", path(INGRESSES), ingress(BANK))
    for who in (p.EXEMPT, p.ADMIN):
        yield from create("names another's host", who, OK, path(INGRESSES), ingress(BANK))
    yield from create("writes a route of decco", p.CONTROLLER, OK, path(INGRESSES), ingress(BANK))
    yield from create("names another's host in no Space", p.ADMIN, OK, path(INGRESSES, "free"), ingress(BANK))


def all_names() -> Iterator[Attempt]:
    """No name, where that means all; and the same where it does not."""
    for what, resource, obj in (
        ("no host", INGRESSES, ingress(None)),
        ("a TLS entry without hosts", INGRESSES, ingress(OWN, tls=[{"secretName": "s"}])),
        (
            "a default backend",
            INGRESSES,
            ingress(OWN, defaultBackend={"service": {"name": "s", "port": {"number": 80}}}),
        ),
        ("no hostname", GATEWAY, gateway(None)),
        ("no hostname", GATEWAY, gateway(None, "TLS")),
        (
            "no hostname",
            "listenersets.gateway.networking.k8s.io",
            listener_set("listenersets.gateway.networking.k8s.io", None),
        ),
        ("no hostname at another's Gateway", ROUTE, route(ROUTE, None)),
        (
            "no hostname at another's Gateway",
            "grpcroutes.gateway.networking.k8s.io",
            route("grpcroutes.gateway.networking.k8s.io", None),
        ),
        (
            "another's Gateway",
            "tcproutes.gateway.networking.k8s.io",
            route("tcproutes.gateway.networking.k8s.io", None),
        ),
        (
            "another's Gateway",
            "udproutes.gateway.networking.k8s.io",
            route("udproutes.gateway.networking.k8s.io", None),
        ),
        (
            "an empty name",
            "dnsendpoints.externaldns.k8s.io",
            made("dnsendpoints.externaldns.k8s.io", {"endpoints": [{}]}),
        ),
        ("no rule", "ingressroutes.traefik.io", rule("")),
        ("a path only", "ingressroutes.traefik.io", rule("PathPrefix(`/`)")),
        ("any name", "ingressroutetcps.traefik.io", rule("HostSNI(`*`)", "ingressroutetcps.traefik.io")),
        ("all hosts", ISTIO, servers("*")),
        ("all hosts of its namespace", ISTIO, servers("./*")),
        ("no hosts", ISTIO, made(ISTIO, {"servers": [{"port": {"protocol": "HTTP"}, "hosts": [""]}]})),
        ("all hosts", VIRTUAL, made(VIRTUAL, {"hosts": ["*"]})),
        ("an empty FQDN", "httpproxies.projectcontour.io", proxy("")),
        (
            "a wildcard of a single name",
            "challenges.acme.cert-manager.io",
            made("challenges.acme.cert-manager.io", {"dnsName": "evil.test", "wildcard": True}),
        ),
    ):
        yield from one(f"takes all names by {what}", p.OWNER, "DECCO-0555", resource, obj)
    here: Obj = {"name": "decco"}
    for kind in ("httproutes", "grpcroutes", "tcproutes", "udproutes"):
        resource = f"{kind}.gateway.networking.k8s.io"
        yield from one("attaches in its namespace", p.OWNER, OK, resource, route(resource, None, here))
        yield from one(
            "attaches in its namespace by name",
            p.OWNER,
            OK,
            resource,
            route(resource, None, {**here, "namespace": "evil1"}),
        )
    yield from one(
        "is included by another",
        p.OWNER,
        OK,
        "httpproxies.projectcontour.io",
        made("httpproxies.projectcontour.io", {}),
    )


RULES_OK = (
    f"Host(`{OWN}`)",
    f'Host("{OWN}")',
    f"Host(`{OWN}`, `{BELOW}`)",
    f"Host(`{OWN}`) || Host(`{BELOW}`)",
    f"(Host(`{OWN}`) || Host(`{BELOW}`)) && PathPrefix(`/x`)",
    f"Host(`{OWN}`) && (PathPrefix(`/a`) || PathPrefix(`/b`)) && !Method(`DELETE`)",
    f"Host(`{OWN}`) && Header(`X-A`, `b`) && PathRegexp(`^/x/.*$`)",
)
RULES_BAD = (
    f"Host(`{OWN}`) || PathPrefix(`/`)",
    f"PathPrefix(`/`) || Host(`{OWN}`)",
    f"Host(`{OWN}`) && PathPrefix(`/x`) || Host(`{BANK}`)",
    f"Host(`{OWN}`) && PathPrefix(`/x`) || PathPrefix(`/`)",
    f"!Host(`{OWN}`)",
    f"(Host(`{OWN}`)) || !Host(`{OWN}`)",
    f"Host(`{OWN}`, `{BANK}`)",
    f"HostRegexp(`.*{OWN}`)",
    "HostRegexp(`{any:.*}`)",
    f"HostHeader(`{BANK}`)",
    f"host(`{BANK}`)",
    f"HOST(`{BANK}`)",
    f"HostSNI(`{OWN}`)",
    f"Host(`{OWN}`)&&PathPrefix(`/`)||Host(`{BANK}`)",
    f"Host(`{OWN}`) && (PathPrefix(`/`) || Host(`{BANK}`))",
    f"Host(`{OWN}`) && PathPrefix(`/`) || Path(`Host(`)",
    f"ClientIP(`0.0.0.0/0`) || Host(`{OWN}`)",
)


def rules() -> Iterator[Attempt]:
    for match in RULES_OK:
        yield from one(f"writes the rule {match}", p.OWNER, OK, "ingressroutes.traefik.io", rule(match))
    for match in RULES_BAD:
        yield from one(f"writes the rule {match}", p.OWNER, "DECCO-0555", "ingressroutes.traefik.io", rule(match))


def inside() -> Iterator[Attempt]:
    """Names of Services of the namespace, where no client outside asks for them."""
    services = ("s.evil1.svc", "s.evil1.svc.cluster.local", "*.evil1.svc")
    short = ("s", "s.evil1")
    others = ("s.bank.svc", "s.bank.svc.cluster.local", "s.bank", "*.svc")
    for host in services:
        yield from one(f"certifies {host}", p.OWNER, OK, "certificates.cert-manager.io", certificate(dnsNames=[host]))
    for host in (*services, *short):
        own = certificate("Issuer", dnsNames=[host])
        yield from one(f"certifies {host} by its Issuer", p.OWNER, OK, "certificates.cert-manager.io", own)
    for host in (*others, *short):
        yield from one(
            f"certifies {host}", p.OWNER, "DECCO-0555", "certificates.cert-manager.io", certificate(dnsNames=[host])
        )
    for host in others:
        own = certificate("Issuer", dnsNames=[host])
        yield from one(f"certifies {host} by its Issuer", p.OWNER, "DECCO-0555", "certificates.cert-manager.io", own)
        yield from one(f"routes {host}", p.OWNER, "DECCO-0555", VIRTUAL, made(VIRTUAL, {"hosts": [host]}))
    own = certificate("Issuer", commonName="My CA", isCA=True)
    yield from one("makes its own authority", p.OWNER, OK, "certificates.cert-manager.io", own)
    for host in ("s", "s.evil1", "s.evil1.svc.cluster.local"):
        yield from one(f"routes {host}", p.OWNER, OK, VIRTUAL, made(VIRTUAL, {"hosts": [host]}))
    yield from one("serves the mesh's name", p.OWNER, "DECCO-0555", INGRESSES, ingress("s.evil1.svc"))


def granted() -> Iterator[Attempt]:
    """The grants of the namespace granted: .granted.evil.test, *.wild.evil.test and single.evil.test."""
    for host, expect in (
        ("granted.evil.test", OK),
        ("a.b.granted.evil.test", OK),
        ("*.granted.evil.test", OK),
        ("single.evil.test", OK),
        ("x.single.evil.test", "DECCO-0555"),
        ("*.single.evil.test", "DECCO-0555"),
        ("www.single.evil.test", "DECCO-0555"),
        ("a.wild.evil.test", OK),
        ("*.wild.evil.test", OK),
        ("a.b.wild.evil.test", "DECCO-0555"),
        ("wild.evil.test", "DECCO-0555"),
        ("*.b.wild.evil.test", "DECCO-0555"),
        ("evil.test", "DECCO-0555"),
        ("asingle.evil.test", "DECCO-0555"),
        (OWN, "DECCO-0555"),
        ("lost.evil.test", "DECCO-0555"),
    ):
        yield from one(f"names {host} of grants", p.OWNER, expect, INGRESSES, ingress(host), "granted")
        yield from one(f"names {host} of grants", p.OWNER, expect, ROUTE, route(ROUTE, host), "granted")
    # The namespace lost has an FQDN that was not granted: its record is empty.
    yield from one(
        "names an FQDN that was not granted", p.OWNER, "DECCO-0555", INGRESSES, ingress("lost.evil.test"), "lost"
    )


def hostnames_later() -> Iterator[Attempt]:
    """An object that was stored with another's name, and one that is honest until it is changed."""
    old, own = path(INGRESSES, name="old"), path(INGRESSES, name="own")
    moved = {"spec": {"rules": ingress(BANK)["spec"]["rules"]}}
    yield from edit("takes a name into its Ingress", p.KUBE_EDIT, "DECCO-0555", own, moved)
    yield from edit("changes its Ingress", p.KUBE_EDIT, OK, own, {"spec": {"rules": ingress(BELOW)["spec"]["rules"]}})
    yield from edit("labels an old Ingress", p.KUBE_EDIT, OK, old, {"metadata": {"labels": {"a": "b"}}})
    yield from edit("changes an old Ingress", p.KUBE_EDIT, "DECCO-0555", old, {"spec": {"ingressClassName": "x"}})
    yield from edit("corrects an old Ingress", p.KUBE_EDIT, OK, old, {"spec": {"rules": ingress(OWN)["spec"]["rules"]}})
    yield from edit(
        "empties an old Ingress", p.KUBE_EDIT, OK, old, {"metadata": {"finalizers": None}}, ways=("merge", "put")
    )
    yield from delete("deletes an old Ingress", p.KUBE_EDIT, OK, old)
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    yield from edit("writes the status of an old Ingress", p.OWNER, OK, f"{old}/status", status, ways=("merge",))
    for version in ("v1beta1", "v1alpha3"):
        api = f"networking.istio.io/{version}"
        where = path(VIRTUAL).replace("networking.istio.io/v1/", f"{api}/")
        for host, expect in ((OWN, OK), (BANK, "DECCO-0555")):
            obj = {**made(VIRTUAL, {"hosts": [host]}), "apiVersion": api}
            yield Attempt(f"names {host} by version {version}", p.OWNER, expect, "create", where, obj)
    for host, expect in ((OWN, OK), (BANK, "DECCO-0555")):
        for resource, obj in ((ROUTE, route(ROUTE, host)), (GATEWAY, gateway(host))):
            where = path(resource).replace("/v1/", "/v1beta1/")
            old_api = {**obj, "apiVersion": "gateway.networking.k8s.io/v1beta1"}
            yield Attempt(f"names {host} by an old version: {resource}", p.OWNER, expect, "create", where, old_api)


def large() -> Iterator[Attempt]:
    """Within the limits of the API server's cost, with a foreign name at the end and without."""
    long = f"{'x' * 40}.{OWN}"
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    http = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    for last, expect in ((OWN, OK), (BANK, "DECCO-0555")):
        rules = [{"host": host, **http} for host in (*(f"a{i}.{long}" for i in range(1000)), last)]
        yield from one("names 1,000 hosts", p.KUBE_EDIT, expect, INGRESSES, made(INGRESSES, {"rules": rules}))
        listeners = [{**listener(f"a{i}.{long}"), "name": f"l{i}"} for i in range(63)]
        spec = {"gatewayClassName": "any", "listeners": [*listeners, listener(last)]}
        yield from one("names 64 hosts", p.OWNER, expect, GATEWAY, made(GATEWAY, spec))
        matches = [f"Host(`a{i}.{long}`) && PathPrefix(`/x`)" for i in range(200)]
        routes = [{"match": match, "services": [{"name": "s", "port": 80}]} for match in (*matches, f"Host(`{last}`)")]
        resource = "ingressroutes.traefik.io"
        yield from one("writes 200 rules", p.OWNER, expect, resource, made(resource, {"routes": routes}))
        resource = "dnsendpoints.externaldns.k8s.io"
        records = [{"dnsName": host} for host in (*(f"a{i}.{long}" for i in range(1000)), last)]
        yield from one("publishes 1,000 names", p.OWNER, expect, resource, made(resource, {"endpoints": records}))


HOSTNAME_ATTEMPTS = flat(hostnames(), all_names(), rules(), inside(), granted(), hostnames_later(), large())


# Routes -----------------------------------------------------------------------------------------------------------


def ports_and_addresses() -> Iterator[Attempt]:
    yield from one("opens HTTPS", p.OWNER, OK, GATEWAY, gateway(OWN, "HTTPS"))
    for protocol in ("TCP", "UDP"):
        # They have no host name, so both policies refuse them.
        yield from one(f"opens {protocol}", p.OWNER, "DECCO-0555|DECCO-0556", GATEWAY, gateway(None, protocol))
    strange = gateway(OWN, "example.com/any")
    yield from one("opens an unknown protocol", p.OWNER, "DECCO-0556", GATEWAY, strange)
    taken = gateway(OWN, addresses=[{"type": "IPAddress", "value": "203.0.113.10"}])
    yield from one("takes the edge's address", p.OWNER, "DECCO-0556", GATEWAY, taken)
    parameters = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "p"}}
    yield from one("brings parameters", p.OWNER, "DECCO-0556", GATEWAY, gateway(OWN, infrastructure=parameters))
    yield from one(
        "labels its infrastructure", p.OWNER, OK, GATEWAY, gateway(OWN, infrastructure={"labels": {"a": "b"}})
    )
    for protocol, expect in (("HTTPS", OK), ("TLS", OK), ("TCP", "DECCO-0556"), ("MONGO", "DECCO-0556")):
        yield from one(f"opens {protocol}", p.OWNER, expect, ISTIO, servers(OWN, protocol))
    entry = "serviceentries.networking.istio.io"
    yield from one(
        "takes a virtual address",
        p.OWNER,
        "DECCO-0556",
        entry,
        made(entry, {"hosts": [OWN], "addresses": ["10.0.0.1"]}),
    )
    yield from one("takes the edge's address as exempt", p.EXEMPT, OK, GATEWAY, taken)


def identities() -> Iterator[Attempt]:
    resource = "certificates.cert-manager.io"
    for field, value in (
        ("ipAddresses", ["192.0.2.1"]),
        ("uris", ["spiffe://cluster.local/ns/bank/sa/default"]),
        ("emailAddresses", ["a@victim.test"]),
        ("otherNames", [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "a"}]),
        ("literalSubject", f"CN={BANK}"),
        ("isCA", True),
    ):
        named = {"dnsNames": [OWN], field: value}
        yield from one(f"has {field}", p.OWNER, "DECCO-0557", resource, certificate(**named))
        yield from one(f"has {field} by its Issuer", p.OWNER, OK, resource, certificate("Issuer", **named))
    request = made("certificaterequests.cert-manager.io", {"issuerRef": {"name": "i"}, "request": "Y3Ny"})
    yield from one("requests by hand", p.OWNER, "DECCO-0557", "certificaterequests.cert-manager.io", request)
    yield from one("requests for a Certificate", p.CERT_MANAGER, OK, "certificaterequests.cert-manager.io", request)
    order = made("orders.acme.cert-manager.io", {"dnsNames": [OWN], "ipAddresses": ["192.0.2.1"], "request": "Y3Ny"})
    yield from one("orders an address", p.OWNER, "DECCO-0557", "orders.acme.cert-manager.io", order)
    # Its other objects are checked as a tenant's.
    yield from one("certifies another's name", p.CERT_MANAGER, "DECCO-0555", resource, certificate(dnsNames=[BANK]))
    yield from one("solves for its own name", p.CERT_MANAGER, OK, INGRESSES, ingress(OWN))
    yield from one("solves for another's name", p.CERT_MANAGER, "DECCO-0555", INGRESSES, ingress(BANK))


def references() -> Iterator[Attempt]:
    resource = "ingressroutes.traefik.io"
    host = f"Host(`{OWN}`)"

    def routed(**more: Any) -> Obj:
        return made(resource, {"routes": [{"match": host, "services": [{"name": "s", "port": 80}], **more}]})

    for name, expect in (("", OK), ("evil1", OK), ("bank", "DECCO-0558")):
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
        mirrored = {"mirroring": {"name": "m", "mirrors": [refers]}}
        yield from one(f"{what}, mirrors", p.OWNER, expect, other, made(other, mirrored))
        yield from one(f"{what}, mirrored", p.OWNER, expect, other, made(other, {"mirroring": refers}))
        contour = "httpproxies.projectcontour.io"
        yield from one(f"{what}, include", p.OWNER, expect, contour, proxy(OWN, includes=[refers]))
        yield from one(f"{what}, TCP include", p.OWNER, expect, contour, proxy(OWN, tcpproxy={"include": refers}))
        delegated = made(VIRTUAL, {"hosts": [OWN], "http": [{"delegate": refers}]})
        yield from one(f"{what}, delegate", p.OWNER, expect, VIRTUAL, delegated)
    for name in ("api@internal", "dashboard@internal", "rest@internal", "x@kubernetescrd", "x@file"):
        there = routed(services=[{"name": name, "kind": "TraefikService"}])
        yield from one(f"serves {name}", p.OWNER, "DECCO-0558", resource, there)
    there = routed(services=[{"name": "s", "port": 1, "serversTransport": "bank-t@kubernetescrd"}])
    yield from one("uses another's transport", p.OWNER, "DECCO-0558", resource, there)
    there = routed(middlewares=[{"name": "bank-m@kubernetescrd"}])
    yield from one("uses another's middleware", p.OWNER, "DECCO-0558", resource, there)
    for host, expect in (("s", OK), ("s.evil1.svc.cluster.local", OK), ("db.bank.svc.cluster.local", "DECCO-0558")):
        destination = {"destination": {"host": host}}
        for what, part in (
            ("http", {"http": [{"route": [destination]}]}),
            ("tcp", {"tcp": [{"route": [destination]}]}),
            ("mirror", {"http": [{"route": [{"destination": {"host": "s"}}], "mirror": {"host": host}}]}),
        ):
            yield from one(f"sends {what} to {host}", p.OWNER, expect, VIRTUAL, made(VIRTUAL, {"hosts": [OWN], **part}))
    yield from one(
        "refers to bank as exempt", p.EXEMPT, OK, resource, routed(middlewares=[{"name": "m", "namespace": "bank"}])
    )


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
        yield from one(f"has the path {text!r}", p.KUBE_EDIT, "DECCO-0559", INGRESSES, at(text))
    yield from one("breaks out of a prefix", p.KUBE_EDIT, "DECCO-0559", INGRESSES, at(f"/`) || Host(`{BANK}", "Prefix"))
    middleware = "middlewares.traefik.io"
    for what, spec, expect in (
        ("headers", {"headers": {"customRequestHeaders": {"X-A": "b"}}}, OK),
        ("a plugin", {"plugin": {"any": {"code": "x"}}}, "DECCO-0559"),
        ("its own forwardAuth", {"forwardAuth": {"address": "http://auth.evil1.svc.cluster.local:80/check"}}, OK),
        ("its own forwardAuth", {"forwardAuth": {"address": "http://auth.evil1/check"}}, OK),
        ("another's forwardAuth", {"forwardAuth": {"address": "http://db.bank.svc:8080/"}}, "DECCO-0559"),
        ("forwardAuth to metadata", {"forwardAuth": {"address": "http://169.254.169.254/"}}, "DECCO-0559"),
        ("forwardAuth by a user", {"forwardAuth": {"address": "http://auth.evil1:80@db.bank.svc/"}}, "DECCO-0559"),
        ("forwardAuth of a longer name", {"forwardAuth": {"address": "http://auth.evil1.evil.test/"}}, "DECCO-0559"),
    ):
        yield from one(f"has {what}", p.OWNER, expect, middleware, made(middleware, spec))
    for name, expect in (("space-0123456789abcdef", "DECCO-0560"), ("default", "DECCO-0560"), ("mine", OK)):
        options = "tlsoptions.traefik.io"
        yield from one(
            f"is named {name}", p.OWNER, expect, options, made(options, {"minVersion": "VersionTLS12"}, name)
        )
    for name in ("prod-rewrite-0123456789abcdef", "prod-redirect-0123456789abcdef", "transport-0123456789abcdef"):
        for resource in (middleware, "serverstransports.traefik.io", "traefikservices.traefik.io"):
            yield from one(f"is named {name}", p.OWNER, "DECCO-0560", resource, made(resource, {}, name))
    yield from one(
        "has a port of decco's form", p.KUBE_EDIT, "DECCO-0560", INGRESSES, at("/", port={"name": "http-0123abcde"})
    )
    yield from one("has a named port", p.KUBE_EDIT, OK, INGRESSES, at("/", port={"name": "http-api"}))
    renamed = {"spec": {"rules": at("/", port={"name": "http-0123abcde"})["spec"]["rules"]}}
    yield from edit("takes a port of decco's form", p.KUBE_EDIT, "DECCO-0560", path(INGRESSES, name="own"), renamed)
    yield from one(
        "has a port of decco's form as exempt", p.EXEMPT, OK, INGRESSES, at("/", port={"name": "http-0123abcde"})
    )


ROUTE_ATTEMPTS = flat(ports_and_addresses(), identities(), references(), injections())

# Kinds ------------------------------------------------------------------------------------------------------------

CLOSED = (
    "ingressrouteudps.traefik.io",
    "tlsstores.traefik.io",
    "envoyfilters.networking.istio.io",
    "backends.gateway.envoyproxy.io",
    "kongplugins.configuration.konghq.com",
    "ciliumnetworkpolicies.cilium.io",
)
"""One for each reason that a kind is closed."""


def kinds() -> Iterator[Attempt]:
    for resource in CLOSED:
        obj = made(resource, {"any": "thing"})
        yield from create("writes a closed kind", p.OWNER, "DECCO-0561", path(resource), obj)
        yield from create("writes a closed kind as exempt", p.EXEMPT, OK, path(resource), obj)
    stored = path(CLOSED[0], name="old")
    yield from edit("changes a closed kind", p.OWNER, "DECCO-0561", stored, {"spec": {"any": "other"}})
    yield from edit("adds to a closed kind", p.OWNER, "DECCO-0561", stored, {"more": "x"}, ways=("merge", "put"))
    yield from edit("labels a closed kind", p.OWNER, OK, stored, {"metadata": {"labels": {"a": "b"}}})
    yield from delete("deletes a closed kind", p.OWNER, OK, stored)


KIND_ATTEMPTS = flat(kinds())

# Annotations ------------------------------------------------------------------------------------------------------

SPEC: Obj = {"containers": [{"name": "c", "image": "x"}]}
SERVICE: Obj = {"ports": [{"port": 443}], "selector": {"a": "b"}}


def template(annotations: Obj | None = None, labels: Obj | None = None) -> Obj:
    return {"metadata": {"labels": {"a": "b", **(labels or {})}, "annotations": annotations or {}}, "spec": SPEC}


def bearers(notes: Obj) -> list[tuple[str, Obj]]:
    """Objects of all kinds with the annotations, at each place from which they reach an object that is read."""
    meta = {"annotations": notes}
    pods = {"selector": {"matchLabels": {"a": "b"}}, "template": template(notes)}
    job = {"template": {**template(notes), "spec": {**SPEC, "restartPolicy": "Never"}}}
    return [
        (SERVICES, made(SERVICES, SERVICE, meta=meta)),
        (INGRESSES, merged(ingress(OWN), {"metadata": meta})),
        (GATEWAY, merged(gateway(OWN), {"metadata": meta})),
        (GATEWAY, gateway(OWN, infrastructure={"annotations": notes})),
        (ROUTE, merged(route(ROUTE, OWN), {"metadata": meta})),
        ("ingressroutes.traefik.io", merged(rule(f"Host(`{OWN}`)"), {"metadata": meta})),
        (VIRTUAL, merged(made(VIRTUAL, {"hosts": [OWN]}), {"metadata": meta})),
        ("pods", made("pods", SPEC, meta=meta)),
        ("deployments.apps", made("deployments.apps", pods)),
        ("daemonsets.apps", made("daemonsets.apps", pods)),
        ("replicasets.apps", made("replicasets.apps", pods)),
        ("statefulsets.apps", made("statefulsets.apps", {**pods, "serviceName": "s"})),
        ("jobs.batch", made("jobs.batch", job)),
        (
            "cronjobs.batch",
            made("cronjobs.batch", {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}),
        ),
        (
            "replicationcontrollers",
            made("replicationcontrollers", {"selector": {"a": "b"}, "template": template(notes)}),
        ),
        ("apps.decco.platform9.com", app("n", "evil1", podMetadata={"annotations": notes})),
        ("apps.decco.platform9.com", app("n", "evil1", meta)),
        (
            "issuers.cert-manager.io",
            made(
                "issuers.cert-manager.io",
                {"acme": {"solvers": [{"http01": {"ingress": {"ingressTemplate": {"metadata": meta}}}}]}},
            ),
        ),
        (
            "issuers.cert-manager.io",
            made(
                "issuers.cert-manager.io",
                {"acme": {"solvers": [{"http01": {"ingress": {"podTemplate": {"metadata": meta}}}}]}},
            ),
        ),
    ]


HOST_KEYS = (
    f"{EXTERNAL_DNS}/hostname",
    f"{EXTERNAL_DNS}/internal-hostname",
    f"{EXTERNAL_DNS}/cloudflare-custom-hostname",
    "external-dns.kubernetes.io/hostname",
    "dns.alpha.kubernetes.io/external",
    "cert-manager.io/common-name",
    "cert-manager.io/alt-names",
    "certmanager.k8s.io/common-name",
    f"{NGINX}/server-alias",
    f"{HAPROXY}/server-alias",
    f"{HAPROXY}/redirect-from",
    "ingress.kubernetes.io/server-alias",
    "appgw.ingress.kubernetes.io/hostname-extension",
    "konghq.com/host-aliases",
    f"{TRAEFIK}/router.tls.domains.0.main",
    f"{TRAEFIK}/router.tls.domains.12.sans",
    "domainName",
)
BAD_KEYS = (
    f"{NGINX}/server-snippet",
    f"{NGINX}/configuration-snippet",
    f"{NGINX}/stream-snippet",
    f"{NGINX}/auth-snippet",
    f"{NGINX}/modsecurity-snippet",
    f"{NGINX}/enable-modsecurity",
    f"{NGINX}/auth-url",
    f"{NGINX}/auth-signin",
    f"{NGINX}/auth-tls-match-cn",
    f"{NGINX}/mirror-target",
    f"{NGINX}/from-to-www-redirect",
    "nginx.org/server-snippets",
    "nginx.org/location-snippets",
    f"{HAPROXY}/config-backend",
    f"{HAPROXY}/config-frontend",
    f"{HAPROXY}/auth-url",
    f"{HAPROXY}/server-alias-regex",
    f"{HAPROXY}/tcp-service-port",
    "haproxy.org/backend-config-snippet",
    "haproxy.org/route-acl",
    f"{TRAEFIK}/router.pathmatcher",
    "alb.ingress.kubernetes.io/group.name",
    "alb.ingress.kubernetes.io/conditions.x",
    "getambassador.io/config",
    "cert-manager.io/ip-sans",
    "cert-manager.io/uri-sans",
    "cert-manager.io/literal-subject",
    "metallb.universe.tf/loadBalancerIPs",
    "metallb.universe.tf/allow-shared-ip",
    "lbipam.cilium.io/ips",
    "networking.gke.io/load-balancer-ip-addresses",
    "kubernetes.io/ingress.global-static-ip-name",
)
HONEST: tuple[tuple[str, str], ...] = (
    ("team", "a"),
    ("checksum/config", "0123"),
    ("prometheus.io/scrape", "true"),
    ("kubernetes.io/change-cause", "a {b}; `c`"),
    (f"{EXTERNAL_DNS}/ttl", "60"),
    (f"{EXTERNAL_DNS}/target", "192.0.2.1"),
    ("cert-manager.io/cluster-issuer", "letsencrypt"),
    (f"{NGINX}/rewrite-target", "/$2"),
    (f"{NGINX}/proxy-body-size", "8m"),
    (f"{NGINX}/whitelist-source-range", "10.0.0.0/8,192.168.0.0/16"),
    (f"{NGINX}/auth-secret", "s"),
    (f"{NGINX}/auth-secret", "evil1/s"),
    (f"{NGINX}/cors-allow-origin", "https://*.example.com"),
    (f"{HAPROXY}/rewrite-target", "/"),
    (f"{TRAEFIK}/router.entrypoints", "websecure"),
    (f"{TRAEFIK}/router.middlewares", "evil1-strip@kubernetescrd,evil1-auth@kubernetescrd"),
    ("kubectl.kubernetes.io/last-applied-configuration", f'{{"host":"{BANK}"}}'),
)
REFERENCES: tuple[tuple[str, str], ...] = (
    (f"{NGINX}/auth-secret", "bank/s"),
    (f"{NGINX}/auth-tls-secret", "bank/s"),
    (f"{NGINX}/proxy-ssl-secret", "evil1-prod/s"),
    (f"{NGINX}/fastcgi-params-configmap", "bank/c"),
    (f"{HAPROXY}/secure-verify-ca-secret", "bank/s"),
    (f"{HAPROXY}/auth-secret", "file:///etc/passwd"),
    ("haproxy.org/server-ca", "bank/s"),
    (f"{TRAEFIK}/router.middlewares", "bank-m@kubernetescrd"),
    (f"{TRAEFIK}/router.middlewares", "evil1-strip@kubernetescrd, bank-m@kubernetescrd"),
    (f"{TRAEFIK}/router.middlewares", "evil1-prod-m@kubernetescrd"),
    (f"{TRAEFIK}/router.tls.options", "bank-o@kubernetescrd"),
    (f"{TRAEFIK}/service.serverstransport", "bank-t@kubernetescrd"),
)
VALUES: tuple[tuple[str, str], ...] = (
    (f"{NGINX}/rewrite-target", "/;} location /x {"),
    (f"{NGINX}/cors-allow-origin", "x\nreturn 200"),
    (f"{HAPROXY}/rewrite-target", "/x\n  use-server y"),
    (f"{TRAEFIK}/router.priority", "`1`"),
    ("ingress.kubernetes.io/app-root", "/x;"),
)


def annotations() -> Iterator[Attempt]:
    for resource, obj in bearers({f"{EXTERNAL_DNS}/hostname": f"{BELOW}, {OWN}.", "a": "b"}):
        yield from one("is annotated with its own names", p.OWNER, OK, resource, obj)
    for resource, obj in bearers({f"{EXTERNAL_DNS}/hostname": BANK}):
        yield from one("is annotated with another's name", p.OWNER, "DECCO-0562", resource, obj)
    for resource, obj in bearers({f"{NGINX}/server-snippet": "x"}):
        yield from one("is annotated with a snippet", p.OWNER, "DECCO-0563", resource, obj)
    everywhere = bearers({})[:2]
    for key in HOST_KEYS:
        for value, expect in (
            (OWN, OK),
            (f"{OWN},{BANK}", "DECCO-0562"),
            (f"{OWN} *.victim.test", "DECCO-0562"),
            ("~^.*$", "DECCO-0562"),
        ):
            for resource, obj in everywhere:
                noted = merged(obj, {"metadata": {"annotations": {key: value}}})
                yield from one(f"has {key} {value}", p.KUBE_EDIT, expect, resource, noted)
    for pairs, expect in (
        ([(key, "x") for key in BAD_KEYS], "DECCO-0563"),
        (VALUES, "DECCO-0564"),
        (REFERENCES, "DECCO-0565"),
        (HONEST, OK),
    ):
        for key, value in pairs:
            noted = merged(ingress(OWN), {"metadata": {"annotations": {key: value}}})
            yield from one(f"has {key} {value!r}", p.KUBE_EDIT, expect, INGRESSES, noted)
    for key in ("a", "team"):
        yield from edit(
            f"sets {key}", p.KUBE_EDIT, OK, path(SERVICES, name="own"), {"metadata": {"annotations": {key: "b"}}}
        )
    named = {"metadata": {"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}}}
    for resource in (SERVICES, INGRESSES, "deployments.apps"):
        yield from edit("takes a name later", p.KUBE_EDIT, "DECCO-0562", path(resource, name="own"), named)
    status = f"{path(SERVICES, name='own')}/status"
    yield from edit("takes a name by the status", p.OWNER, "DECCO-0562", status, named, ways=("merge", "put"))
    yield from edit(
        "labels an old Service", p.KUBE_EDIT, OK, path(SERVICES, name="old"), {"metadata": {"labels": {"a": "b"}}}
    )
    for who in (p.TENANT_A, p.KUBE_EDIT):
        noted = app("n", "evil1", podMetadata={"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}})
        yield from create("publishes another's name by pods", who, "DECCO-0562", apps("evil1"), noted)
        noted = app("n", "evil1", podMetadata={"annotations": {"team": "a", f"{EXTERNAL_DNS}/hostname": BELOW}})
        yield from create("publishes its own name by pods", who, OK, apps("evil1"), noted)
    exempt = made(SERVICES, SERVICE, meta={"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}})
    for who in (p.EXEMPT, p.ADMIN, p.CONTROLLER):
        yield from one("publishes another's name", who, OK, SERVICES, exempt)
    [copied] = [obj for resource, obj in bearers({f"{EXTERNAL_DNS}/hostname": BANK}) if resource == "replicasets.apps"]
    yield from one("copies an old template", p.DEPLOYMENTS, OK, "replicasets.apps", copied)
    many = {f"example.com/k{i}": "v" * 40 for i in range(3000)}
    large = merged(ingress(OWN), {"metadata": {"annotations": many}})
    yield from one("has 3,000 annotations", p.KUBE_EDIT, OK, INGRESSES, large)
    large = merged(large, {"metadata": {"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}}})
    yield from one("has 3,001 annotations", p.KUBE_EDIT, "DECCO-0562", INGRESSES, large)


ANNOTATION_ATTEMPTS = flat(annotations())

# Services ---------------------------------------------------------------------------------------------------------


def services() -> Iterator[Attempt]:
    own = path(SERVICES, name="own")
    for what, patch, expect in (
        ("an external IP", {"externalIPs": ["203.0.113.10"]}, "DECCO-0566"),
        (
            "an address of a load balancer",
            {"type": "LoadBalancer", "loadBalancerIP": "203.0.113.10"},
            "DECCO-0566|DECCO-0568",
        ),
        ("type LoadBalancer", {"type": "LoadBalancer"}, "DECCO-0568"),
        ("type NodePort", {"type": "NodePort"}, "DECCO-0568"),
        ("a port of decco's form", {"ports": [{"port": 80, "name": "http-0123abcde"}]}, "DECCO-0569"),
        ("a long port of decco's form", {"ports": [{"port": 80, "name": "tls-0123456789a"}]}, "DECCO-0569"),
        ("a named port", {"ports": [{"port": 80, "name": "http-api"}]}, OK),
        ("no selector", {"selector": None}, OK),
        ("session affinity", {"sessionAffinity": "ClientIP"}, OK),
    ):
        for who in (p.KUBE_EDIT, p.OWNER):
            yield from create(
                f"makes a Service with {what}", who, expect, path(SERVICES), made(SERVICES, merged(SERVICE, patch))
            )
            yield from edit(f"gives its Service {what}", who, expect, own, {"spec": patch}, ways=("merge", "put"))
    name = {"type": "ExternalName", "externalName": "db.bank.svc.cluster.local"}
    yield from create("makes an ExternalName", p.KUBE_EDIT, "DECCO-0567", path(SERVICES), made(SERVICES, name))
    yield from create(
        "makes a headless Service", p.KUBE_EDIT, OK, path(SERVICES), made(SERVICES, {**SERVICE, "clusterIP": "None"})
    )
    for kind in ("LoadBalancer", "NodePort"):
        obj = made(SERVICES, {**SERVICE, "type": kind})
        expect = OK if kind == "LoadBalancer" else "DECCO-0568"
        yield from create(f"makes a {kind} with the permission for one", p.BALANCED, expect, path(SERVICES), obj)
        yield from create(f"makes a {kind} as exempt", p.EXEMPT, OK, path(SERVICES), obj)
        yield from create(f"makes a {kind} in no Space", p.ADMIN, OK, path(SERVICES, "free"), obj)
    balanced = made(SERVICES, {**SERVICE, "type": "LoadBalancer", "externalIPs": ["203.0.113.10"]})
    yield from create("adds an external IP to it", p.BALANCED, "DECCO-0566", path(SERVICES), balanced)
    old = path(SERVICES, name="old")
    yield from edit("labels an old Service", p.KUBE_EDIT, OK, old, {"metadata": {"labels": {"a": "b"}}})
    yield from edit("changes an old Service", p.KUBE_EDIT, "DECCO-0566", old, {"spec": {"sessionAffinity": "ClientIP"}})
    yield from edit(
        "closes an old Service", p.KUBE_EDIT, OK, old, {"spec": {"externalIPs": None}}, ways=("merge", "put")
    )
    yield from delete("deletes an old Service", p.KUBE_EDIT, OK, old)


def endpoints() -> Iterator[Attempt]:
    addresses = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 8080}]}]
    legacy = made("endpoints", subsets=addresses)
    resource = "endpointslices.discovery.k8s.io"
    sliced = made(resource, addressType="IPv4", endpoints=[{"addresses": ["10.1.2.3"]}], ports=[{"port": 8080}])
    named = made(resource, addressType="FQDN", endpoints=[{"addresses": ["db.bank.svc"]}], ports=[{"port": 8080}])
    for what, kind, obj in (
        ("Endpoints", "endpoints", legacy),
        ("a slice", resource, sliced),
        ("names", resource, named),
    ):
        yield from one(f"makes {what} of its choice", p.OWNER, "DECCO-0570", kind, obj)
        yield from one(f"makes {what} as exempt", p.EXEMPT, OK, kind, obj)
    yield from one("makes Endpoints of a Service", p.ENDPOINTS, OK, "endpoints", legacy)
    yield from one("makes a slice of a Service", p.ENDPOINT_SLICES, OK, resource, sliced)
    yield from one("makes a lock", p.OWNER, OK, "endpoints", made("endpoints", meta={"annotations": {"a": "b"}}))
    yield from one("makes an empty slice", p.OWNER, OK, resource, {**sliced, "endpoints": []})


SERVICE_ATTEMPTS = flat(services(), endpoints())

# Network ----------------------------------------------------------------------------------------------------------

POLICIES = "networkpolicies.networking.k8s.io"


NAME, PROJECT, MONITORING = (
    "kubernetes.io/metadata.name",
    "decco.platform9.com/project",
    "decco.platform9.com/monitoring",
)


def namespaces(key: str, value: str) -> Obj:
    return {"namespaceSelector": {"matchLabels": {key: value}}}


PEERS_OK: tuple[tuple[str, Obj], ...] = (
    ("pods", {"podSelector": {}}),
    ("some pods", {"podSelector": {"matchLabels": {"a": "b"}}}),
    ("its namespace", namespaces(NAME, "evil1")),
    ("its project", namespaces(PROJECT, "widgets")),
    ("pods of its project", {**namespaces(PROJECT, "widgets"), "podSelector": {"matchLabels": {"a": "b"}}}),
    ("monitoring", namespaces(MONITORING, "true")),
)
PEERS_BAD: tuple[tuple[str, Obj], ...] = (
    ("all namespaces", {"namespaceSelector": {}}),
    ("pods of all namespaces", {"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}),
    ("another namespace", namespaces(NAME, "bank")),
    ("another project", namespaces(PROJECT, "bank")),
    ("any label", namespaces("a", "b")),
    ("no monitoring", namespaces(MONITORING, "false")),
    (
        "namespaces by expression",
        {
            "namespaceSelector": {
                "matchExpressions": [{"key": PROJECT, "operator": "In", "values": ["widgets", "bank"]}]
            }
        },
    ),
    ("everything by address", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    ("one address", {"ipBlock": {"cidr": "192.0.2.1/32"}}),
)


def network() -> Iterator[Attempt]:
    def admits(*peers: Obj, direction: str = "ingress", **more: Any) -> Obj:
        side = "from" if direction == "ingress" else "to"
        return made(POLICIES, {"podSelector": {}, direction: [{side: list(peers)}], **more})

    for who in (p.KUBE_EDIT, p.OWNER):
        for what, peer in PEERS_OK:
            yield from create(f"admits {what}", who, OK, path(POLICIES), admits(peer))
        for what, peer in PEERS_BAD:
            yield from create(f"admits {what}", who, "DECCO-0571", path(POLICIES), admits(peer))
    good, bad = PEERS_OK[0][1], PEERS_BAD[0][1]
    yield from create("admits pods and all", p.KUBE_EDIT, "DECCO-0571", path(POLICIES), admits(good, bad))
    second = made(POLICIES, {"podSelector": {}, "ingress": [{"from": [good]}, {"ports": [{"port": 80}]}]})
    yield from create("admits all at a port", p.KUBE_EDIT, "DECCO-0571", path(POLICIES), second)
    yield from create(
        "admits all", p.KUBE_EDIT, "DECCO-0571", path(POLICIES), made(POLICIES, {"podSelector": {}, "ingress": [{}]})
    )
    yield from create(
        "admits nobody",
        p.KUBE_EDIT,
        OK,
        path(POLICIES),
        made(POLICIES, {"podSelector": {}, "policyTypes": ["Ingress"]}),
    )
    egress = admits({"ipBlock": {"cidr": "0.0.0.0/0"}}, direction="egress")
    yield from create("opens egress of an open Space", p.KUBE_EDIT, OK, path(POLICIES), egress)
    # The namespace granted has no project, and limited egress.
    there = path(POLICIES, "granted")
    yield from create("admits another project", p.OWNER, "DECCO-0571", there, admits(namespaces(PROJECT, "widgets")))
    yield from create("admits no project", p.OWNER, "DECCO-0571", there, admits(namespaces(PROJECT, "")))
    yield from create("admits pods", p.OWNER, OK, there, admits(good))
    for what, peer in (PEERS_BAD[0], PEERS_BAD[2], PEERS_BAD[7]):
        yield from create(f"reaches {what}", p.OWNER, "DECCO-0572", there, admits(peer, direction="egress"))
    everywhere = made(POLICIES, {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]})
    yield from create("reaches everything", p.OWNER, "DECCO-0572", there, everywhere)
    yield from create("reaches pods", p.OWNER, OK, there, admits(good, direction="egress"))
    yield from create(
        "reaches its namespace", p.OWNER, OK, there, admits(namespaces(NAME, "granted"), direction="egress")
    )
    own = path(POLICIES, name="own")
    yield from edit("opens its policy", p.KUBE_EDIT, "DECCO-0571", own, {"spec": {"ingress": [{}]}})
    yield from edit("changes its policy", p.KUBE_EDIT, OK, own, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}})
    yield from edit(
        "labels an old policy", p.KUBE_EDIT, OK, path(POLICIES, name="old"), {"metadata": {"labels": {"a": "b"}}}
    )
    yield from create("admits all as exempt", p.EXEMPT, OK, path(POLICIES), admits(bad))
    yield from create("admits all as decco", p.CONTROLLER, OK, path(POLICIES), admits(bad))
    resource = "authorizationpolicies.security.istio.io"
    for spec, expect in (
        ({"action": "DENY", "rules": [{}]}, OK),
        ({"action": "AUDIT", "rules": [{}]}, OK),
        ({"action": "ALLOW", "rules": [{}]}, "DECCO-0573"),
        ({"rules": [{}]}, "DECCO-0573"),
        ({"action": "CUSTOM", "provider": {"name": "x"}}, "DECCO-0573"),
        ({}, "DECCO-0573"),
    ):
        yield from one(
            f"authorises {spec.get('action', 'by default')}", p.OWNER, expect, resource, made(resource, spec)
        )


NETWORK_ATTEMPTS = flat(network())

# Children ---------------------------------------------------------------------------------------------------------

STANDING: tuple[str, ...] = (
    "services",
    "configmaps",
    "secrets",
    "networkpolicies.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "deployments.apps",
    "jobs.batch",
    "pods",
)
"""Children named web in evil1, see ``World``."""
WORKLOADS = frozenset({"deployments.apps", "jobs.batch", "pods"})
CHANGES: dict[str, Obj] = {
    "services": {"spec": {"selector": {"a": "b"}}},
    "configmaps": {"data": {"stunnel.conf": "x"}},
    "secrets": {"data": {"a": "Yg=="}},
    "networkpolicies.networking.k8s.io": {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    "ingresses.networking.k8s.io": {"spec": {"ingressClassName": "other"}},
    "httproutes.gateway.networking.k8s.io": {"spec": {"hostnames": [BELOW]}},
    "deployments.apps": {"spec": {"minReadySeconds": 5}},
    "jobs.batch": {"spec": {"parallelism": 2}},
    "pods": {"spec": {"activeDeadlineSeconds": 5}},
}
SPACE_OWNER = {k: v for k, v in owner("evil1", UID).items() if k != "blockOwnerDeletion"}
MARKS: tuple[tuple[str, Obj], ...] = (
    ("decco's labels", {"labels": CHILD_LABELS}),
    ("the label managed-by", {"labels": {"app.kubernetes.io/managed-by": "decco"}}),
    ("an App's label", {"labels": {"decco.platform9.com/app": "web"}}),
    ("an unknown label", {"labels": {"decco.platform9.com/any": "x"}}),
    ("an annotation", {"annotations": {"decco.platform9.com/hash": "x"}}),
    ("a Space as owner", {"ownerReferences": [SPACE_OWNER]}),
    ("an App as owner", {"ownerReferences": [{**SPACE_OWNER, "kind": "App", "name": "web"}]}),
    ("an owner of an old version", {"ownerReferences": [{**SPACE_OWNER, "apiVersion": "decco.platform9.com/v1"}]}),
)


def forged() -> Iterator[Attempt]:
    for what, meta in MARKS:
        for resource, obj in (
            ("configmaps", made("configmaps", meta=meta)),
            ("secrets", made("secrets", meta=meta)),
        ):
            yield from create(f"makes one with {what}: {resource}", p.TENANT_A, "DECCO-0550", path(resource), obj)
        for resource, obj in (
            (SERVICES, made(SERVICES, SERVICE, meta=meta)),
            (INGRESSES, merged(ingress(OWN), {"metadata": meta})),
            (POLICIES, made(POLICIES, {"podSelector": {}}, meta=meta)),
            ("pods", made("pods", SPEC, meta=meta)),
            ("dnsendpoints.externaldns.k8s.io", made("dnsendpoints.externaldns.k8s.io", {}, meta=meta)),
        ):
            yield from one(f"makes one with {what}", p.OWNER, "DECCO-0550", resource, obj)
        yield from edit(
            f"gives its own {what}", p.KUBE_EDIT, "DECCO-0550", path(SERVICES, name="own"), {"metadata": meta}
        )
        yield from one(f"makes one with {what} as exempt", p.EXEMPT, OK, SERVICES, made(SERVICES, SERVICE, meta=meta))
    for meta in (
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"labels": {"a": "decco"}},
        {"finalizers": ["a.example/b"]},
    ):
        yield from create(f"makes one with {meta}", p.KUBE_EDIT, OK, path(SERVICES), made(SERVICES, SERVICE, meta=meta))
    yield from create("labels its App", p.TENANT_A, OK, apps("evil1"), app("n", "evil1", {"labels": {"team": "a"}}))
    labels = {"decco.platform9.com/app": "web"}
    pods = {"selector": {"matchLabels": {"a": "b"}}, "template": template(labels=labels)}
    job = {"template": {**template(labels=labels), "spec": {**SPEC, "restartPolicy": "Never"}}}
    cron = {
        "schedule": "0 0 * * *",
        "jobTemplate": {
            "metadata": {"labels": CHILD_LABELS},
            "spec": {"template": {**template(), "spec": job["template"]["spec"]}},
        },
    }
    for resource, spec in (
        ("deployments.apps", pods),
        ("statefulsets.apps", {**pods, "serviceName": "s"}),
        ("daemonsets.apps", pods),
        ("jobs.batch", job),
        ("cronjobs.batch", cron),
        ("cronjobs.batch", {**cron, "jobTemplate": {"spec": job}}),
        ("replicationcontrollers", {"selector": {"a": "b"}, "template": template(labels=labels)}),
    ):
        yield from one("lets pods have decco's label", p.KUBE_EDIT, "DECCO-0554", resource, made(resource, spec))
        yield from one("lets pods have decco's label as exempt", p.EXEMPT, OK, resource, made(resource, spec))
    yield from one(
        "deploys", p.KUBE_EDIT, OK, "deployments.apps", made("deployments.apps", {**pods, "template": template()})
    )
    yield from edit(
        "lets its pods have decco's label",
        p.KUBE_EDIT,
        "DECCO-0554",
        path("deployments.apps", name="own"),
        {"spec": {"template": {"metadata": {"labels": labels}}}},
    )
    copied = made("replicasets.apps", pods, meta={"labels": CHILD_LABELS})
    yield from one("copies the labels of a Deployment", p.DEPLOYMENTS, OK, "replicasets.apps", copied)


def children() -> Iterator[Attempt]:
    for resource in STANDING:
        child = path(resource, name="web")
        for what, patch in (
            ("changes", CHANGES[resource]),
            ("holds", {"metadata": {"finalizers": ["attacker.example/hold"]}}),
            ("hides", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
            ("gives away", {"metadata": {"labels": {"decco.platform9.com/space": "bank"}}}),
            ("releases", {"metadata": {"ownerReferences": None}}),
        ):
            code = {"changes": "DECCO-0551", "holds": "DECCO-0552"}.get(what, "DECCO-0550")
            codes = "DECCO-0550|DECCO-0551" if code == "DECCO-0550" else code
            yield from edit(f"{what} a child: {resource}", p.OWNER, codes, child, patch, ways=("merge", "put"))
        deletable = resource in {"pods", "jobs.batch"}
        yield from delete(f"deletes a child: {resource}", p.OWNER, OK if deletable else "DECCO-0553", child)
        noted = {"metadata": {"annotations": {"team": "a"}, "labels": {"team": "a"}}}
        expect = OK if resource in WORKLOADS else "DECCO-0551"
        yield from edit(f"annotates a child: {resource}", p.OWNER, expect, child, noted)
        yield from edit(
            f"changes a child as exempt: {resource}", p.EXEMPT, OK, child, CHANGES[resource], ways=("merge",)
        )
        yield from edit(f"applies nothing new: {resource}", p.OWNER, OK, child, {"metadata": {}}, ways=("merge", "put"))
        collected = {"metadata": {"ownerReferences": None}}
        yield from edit(f"collects a child: {resource}", p.COLLECTOR, OK, child, collected, ways=("merge",))
        yield from delete(f"deletes with the namespace: {resource}", p.NAMESPACE_CONTROLLER, OK, child)
    for resource, code in ((SERVICES, "DECCO-0553"), ("secrets", "DECCO-0553"), ("pods", OK), ("jobs.batch", OK)):
        yield Attempt(f"deletes all {resource}", p.OWNER, code, "delete", path(resource))
    for who in (p.TENANT_A, p.KUBE_EDIT):
        yield from edit("changes a copied Secret", who, "DECCO-0551", path("secrets", name="web"), CHANGES["secrets"])
        yield Attempt("deletes a copied Secret", who, "DECCO-0553", "delete", path("secrets", name="web"))
        yield Attempt("deletes a pod", who, OK, "delete", path("pods", name="web"))
        scaled = {"spec": {"replicas": 3}}
        yield Attempt("scales", who, OK, "merge", f"{path('deployments.apps', name='web')}/scale", scaled)
    web = path("deployments.apps", name="web")
    yield from edit("sets replicas", p.KUBE_EDIT, OK, web, {"spec": {"replicas": 2}})
    restarted = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    yield from edit(
        "restarts",
        p.KUBE_EDIT,
        OK,
        web,
        {"spec": {"template": {"metadata": {"annotations": restarted}}}},
        ways=("merge", "put"),
    )
    for what, patch in (
        ("annotates its pods", {"metadata": {"annotations": {"team": "a"}}}),
        ("labels its pods", {"metadata": {"labels": {"team": "a"}}}),
        ("changes its pods", {"spec": {"hostname": "x"}}),
    ):
        yield from edit(
            what, p.KUBE_EDIT, "DECCO-0551|DECCO-0554", web, {"spec": {"template": patch}}, ways=("merge", "put")
        )
    yield from edit("pauses the rollout", p.KUBE_EDIT, "DECCO-0551", web, {"spec": {"paused": True}})
    yield from edit(
        "suspends", p.KUBE_EDIT, OK, path("jobs.batch", name="web"), {"spec": {"suspend": False}}, ways=("merge", "put")
    )
    status = {"status": {"observedGeneration": 1}}
    yield from edit("writes the status of a child", p.OWNER, OK, f"{web}/status", status, ways=("merge",))
    marked = {"metadata": {"labels": {"decco.platform9.com/space": "bank"}}}
    there = f"{path(SERVICES, name='web')}/status"
    yield from edit(
        "moves a child by its status", p.OWNER, "DECCO-0550|DECCO-0551", there, marked, ways=("merge", "put")
    )
    revision = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}
    yield from edit("numbers the revision", p.DEPLOYMENTS, OK, web, revision, ways=("put",))


CHILD_ATTEMPTS = flat(forged(), children())

TENANT_TABLES: dict[str, Sequence[Attempt]] = {
    "tenant-hostnames": HOSTNAME_ATTEMPTS,
    "tenant-routes": ROUTE_ATTEMPTS,
    "tenant-kinds": KIND_ATTEMPTS,
    "tenant-annotations": ANNOTATION_ATTEMPTS,
    "tenant-services": SERVICE_ATTEMPTS,
    "tenant-network": NETWORK_ATTEMPTS,
    "tenant-children": CHILD_ATTEMPTS,
}
