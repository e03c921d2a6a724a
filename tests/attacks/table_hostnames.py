"""Host names in tenants' own objects."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, delete, edit, flat
from tests.attacks.tenants import (
    BANK,
    BELOW,
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
    naming,
    one,
    path,
    proxy,
    route,
    rule,
    servers,
)

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
            yield from one(f"names {host}", p.OWNER, "DECCO-0655", resource, obj)
    for host in ANYWHERE:
        for resource, obj in naming(host):
            # Alone, as from an Issuer of the namespace, a single label may be a Service's name; but Istio gives the
            # single label of a ServiceEntry to the pods of all namespaces.
            if (
                "." in host
                or resource.partition(".")[2] not in {"cert-manager.io", "networking.istio.io"}
                or resource.startswith("serviceentries")
            ):
                yield from one(f"names {host}", p.OWNER, "DECCO-0655", resource, obj)


def spellings() -> Iterator[Attempt]:
    for host in ODD:
        for resource, obj in naming(host):
            if resource.startswith(FREE_TEXT):
                yield from one(f"names {host}", p.OWNER, "DECCO-0655", resource, obj)
    for host in (OWN.upper(), f"{OWN}."):
        for resource, obj in naming(host):
            if resource.startswith(FREE_TEXT):
                yield from one(f"names its own as {host}", p.OWNER, OK, resource, obj)


def hostnames_by_role() -> Iterator[Attempt]:
    for who in (p.KUBE_EDIT, p.KUBE_ADMIN):
        yield from create("names its own host", who, OK, path(INGRESSES), ingress(OWN))
        yield from create("names another's host", who, "DECCO-0655", path(INGRESSES), ingress(BANK))
    for who in (p.EXEMPT, p.ADMIN):
        yield from create("names another's host", who, OK, path(INGRESSES), ingress(BANK))
    yield from one("writes a route of decco", p.CONTROLLER, OK, INGRESSES, ingress(BANK))
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
        yield from one(f"takes all names by {what}", p.OWNER, "DECCO-0655", resource, obj)
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
        yield from one(f"writes the rule {match}", p.OWNER, "DECCO-0655", "ingressroutes.traefik.io", rule(match))


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
            f"certifies {host}", p.OWNER, "DECCO-0655", "certificates.cert-manager.io", certificate(dnsNames=[host])
        )
    for host in others:
        own = certificate("Issuer", dnsNames=[host])
        yield from one(f"certifies {host} by its Issuer", p.OWNER, "DECCO-0655", "certificates.cert-manager.io", own)
        yield from one(f"routes {host}", p.OWNER, "DECCO-0655", VIRTUAL, made(VIRTUAL, {"hosts": [host]}))
    own = certificate("Issuer", commonName="My CA", isCA=True)
    yield from one("makes its own authority", p.OWNER, OK, "certificates.cert-manager.io", own)
    for host in ("s", "s.evil1", "s.evil1.svc.cluster.local"):
        yield from one(f"routes {host}", p.OWNER, OK, VIRTUAL, made(VIRTUAL, {"hosts": [host]}))
    yield from one("serves the mesh's name", p.OWNER, "DECCO-0655", INGRESSES, ingress("s.evil1.svc"))


def granted() -> Iterator[Attempt]:
    """The grants of the namespace granted: .granted.evil.test, *.wild.evil.test and single.evil.test."""
    for host, expect in (
        ("granted.evil.test", OK),
        ("a.b.granted.evil.test", OK),
        ("*.granted.evil.test", OK),
        ("single.evil.test", OK),
        ("x.single.evil.test", "DECCO-0655"),
        ("*.single.evil.test", "DECCO-0655"),
        ("www.single.evil.test", "DECCO-0655"),
        ("a.wild.evil.test", OK),
        ("*.wild.evil.test", OK),
        ("a.b.wild.evil.test", "DECCO-0655"),
        ("wild.evil.test", "DECCO-0655"),
        ("*.b.wild.evil.test", "DECCO-0655"),
        ("evil.test", "DECCO-0655"),
        ("asingle.evil.test", "DECCO-0655"),
        (OWN, "DECCO-0655"),
        ("lost.evil.test", "DECCO-0655"),
    ):
        yield from one(f"names {host} of grants", p.OWNER, expect, INGRESSES, ingress(host), "granted")
        yield from one(f"names {host} of grants", p.OWNER, expect, ROUTE, route(ROUTE, host), "granted")
    # The namespace lost has an FQDN that was not granted: its record is empty.
    yield from one(
        "names an FQDN that was not granted", p.OWNER, "DECCO-0655", INGRESSES, ingress("lost.evil.test"), "lost"
    )


def hostnames_later() -> Iterator[Attempt]:
    """An object that was stored with another's name, and one that is honest until it is changed."""
    old, own = path(INGRESSES, name="old"), path(INGRESSES, name="own")
    moved = {"spec": {"rules": ingress(BANK)["spec"]["rules"]}}
    yield from edit("takes a name into its Ingress", p.KUBE_EDIT, "DECCO-0655", own, moved)
    yield from edit("changes its Ingress", p.KUBE_EDIT, OK, own, {"spec": {"rules": ingress(BELOW)["spec"]["rules"]}})
    yield from edit("labels an old Ingress", p.KUBE_EDIT, OK, old, {"metadata": {"labels": {"a": "b"}}})
    yield from edit("changes an old Ingress", p.KUBE_EDIT, "DECCO-0655", old, {"spec": {"ingressClassName": "x"}})
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
        for host, expect in ((OWN, OK), (BANK, "DECCO-0655")):
            obj = {**made(VIRTUAL, {"hosts": [host]}), "apiVersion": api}
            yield Attempt(f"names {host} by version {version}", p.OWNER, expect, "create", where, obj)
    for host, expect in ((OWN, OK), (BANK, "DECCO-0655")):
        for resource, obj in ((ROUTE, route(ROUTE, host)), (GATEWAY, gateway(host))):
            where = path(resource).replace("/v1/", "/v1beta1/")
            old_api = {**obj, "apiVersion": "gateway.networking.k8s.io/v1beta1"}
            yield Attempt(f"names {host} by an old version: {resource}", p.OWNER, expect, "create", where, old_api)


def large() -> Iterator[Attempt]:
    """Within the limits of the API server's cost, with a foreign name at the end and without."""
    long = f"{'x' * 40}.{OWN}"
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    http = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    for last, expect in ((OWN, OK), (BANK, "DECCO-0655")):
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


HOSTNAME_ATTEMPTS = flat(
    hostnames(),
    spellings(),
    hostnames_by_role(),
    all_names(),
    rules(),
    inside(),
    granted(),
    hostnames_later(),
    large(),
)
