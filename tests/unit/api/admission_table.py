"""Wrong input as a table, each wrong object with a similar good one.

The integration tests show every pair to a real API server; the unit tests show the same pairs to ``parse.py``. A rule
that no row breaks fails ``test_every_rule_has_a_row``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.api.limit_rows import limit_rows, longest_rows
from tests.unit.api.placement_rows import placement_rows
from tests.unit.api.rows import Obj, Row, app, endpoints, pod, put, space
from tests.unit.api.scale_rows import scale_rows
from tests.unit.api.workload_rows import workload_rows

__all__ = ["ROWS", "Obj", "Row", "app", "endpoints", "pod", "put", "space"]

LABEL = "must be a DNS label: lower-case letters"
OBJECT_NAME = "must be a DNS label that starts with a letter"
DNS_NAME = "must be a DNS name in lower case"
HOST_PATTERN = "or a wildcard for one label in front of at least two"
SUBDOMAIN = "must be the name of a Kubernetes object"
APP_NAME = "must be the name of an App"
KIND = "must be a kind of Kubernetes"
DURATION = "must be a duration longer than 0"
SIZE = "must be a size from 1Ki to 1024Mi"
PATH = 'must be a path that starts with "/"'
TOO_LONG = "Too long"


_SPECIAL = ("\n", "\r\n", ";", "=", '"', "'", " ", "\t", "\x00", "#", "$", "\\", "{", "\u2028", "\u0430")
"""What ends a line, a word or a quotation somewhere, and a Cyrillic letter that looks like an a."""

LONG_NAME = ".".join(["a" * 63] * 3 + ["a" * 61])
"""A DNS name of 253 characters."""

GOOD = {
    KIND: ("A", "ClusterIssuer", "AWSPCAIssuer", "A" * 63),
    APP_NAME: ("a", "a.b", "1a", "a" * 63),
    DURATION: ("1ms", "30s", "1h30m", "0h5m", "576h", "575h59m60s", "99999ms99999ms99999ms99999ms"),
    SIZE: ("1Ki", "9Mi", "10Mi", "99Ki", "100Mi", "999Ki", "1009Mi", "1023Ki", "1024Mi"),
    LABEL: ("a", "1", "a-1", "a" * 63),
    OBJECT_NAME: ("a", "a-1", "a" * 63),
    DNS_NAME: ("a", "localhost", "a.b", "1.example.com", "a-b.c1", "xn--bcher-kva.example", LONG_NAME),
    HOST_PATTERN: ("a", "a.b", "*.a.b", "*.1.example.com", "xn--bcher-kva.example", LONG_NAME),
    SUBDOMAIN: ("a", "1", "a.b", "a-1.b", "a" * 253),
    PATH: ("/", "/a", "/a/", "/a/b.c", "/.well-known/x", "/...", "/a..b", "/~u:@=+,-_", "/%C3%BC", "/" + "a" * 1023),
}
BAD = {
    KIND: ("", "a", "1", "A-b", "A.b", "A/b", *(f"A{special}b" for special in _SPECIAL), "A\n"),
    DURATION: (
        *("", "0s", "0h0m", "00ms", "1", "s", "-1s", "1.5s", "1d", "1S", "100000s", "1s1s1s1s1s", "1s "),
        *(f"1s{special}" for special in _SPECIAL),
    ),
    SIZE: (
        *("", "0Ki", "01Mi", "1", "1M", "1k", "1Gi", "1mi", "1.5Mi", "-1Mi", "1025Mi", "1030Ki", "2000Mi", "1 Mi"),
        *(f"1Mi{special}" for special in _SPECIAL),
    ),
    LABEL: ("", "A", "a.b", "-a", "a-", "a_b", *(f"a{special}b" for special in _SPECIAL), "a\n"),
    OBJECT_NAME: ("", "A", "1", "1a", "a.b", "-a", "a-", "a_b", *(f"a{special}b" for special in _SPECIAL), "a\n"),
    DNS_NAME: (
        *(
            "",
            "A.b",
            "a..b",
            ".a",
            "a.",
            "*.a",
            "a.*",
            "-a.b",
            "a-.b",
            "a_b.c",
            "10.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "a.0x1f",
            "0x",
            "1",
            "a.1",
            "a:443",
            "::1",
        ),
        *("a" * 64, "a" * 64 + ".b", "a/b", "a@b", "http://a", *(f"a{special}b" for special in _SPECIAL), "a\n"),
    ),
    HOST_PATTERN: (
        *("", "*", "*.a", "*a.b", "a.*.b", "*.*.b.c", "**.a.b", "*.A.b", "*.a.b.", "*..a.b", "*.a.1", "*.10.0.0.1"),
        *("a.*", "A.b", "10.0.0.1", "*.a.b:443", *(f"*.a{special}b.c" for special in _SPECIAL), "*.a.b\n"),
    ),
    SUBDOMAIN: ("", "A", "a..b", ".a", "a.", "-a", "a-", "a_b", "a/b", "../a", *(f"a{s}b" for s in _SPECIAL), "a\n"),
    PATH: (
        *("", "a", "a/b", "//", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a/..", "/a?b", "/a#b", "/a%2fb", "/a%2Fb"),
        *("/%", "/%g0", "/%00", "/%1f", "/%7f", "/%2e%2e", "/*", "/a;b", "/a$b", "/a'b", "/a(b)", "/{a}", "http://a/"),
        *(f"/a{special}b" for special in _SPECIAL if special != "="),
        "/a\n",
    ),
}
BAD[APP_NAME] = BAD[SUBDOMAIN]
MAX = {
    KIND: 63,
    SIZE: 6,
    DURATION: 28,
    APP_NAME: 63,
    LABEL: 63,
    OBJECT_NAME: 63,
    DNS_NAME: 253,
    HOST_PATTERN: 253,
    SUBDOMAIN: 253,
    PATH: 1024,
}


def cidrs(*items: Obj) -> Obj:
    listed = [{"cidr": "192.0.2.0/24", **item} for item in items]
    return space(egressCidrs=[{key: value for key, value in item.items() if value is not None} for item in listed])


CIDRS: dict[str, str] = {
    "10.0.0.1/24": "10.0.0.0/24",
    "10.0.0.0": "10.0.0.0/32",
    "10.0.0.0/33": "10.0.0.0/8",
    "010.0.0.0/8": "0.0.0.0/0",
    "10.0.0.0/08": "127.0.0.0/8",
    "10.0.0.0/255.0.0.0": "192.0.2.128/25",
    "2001:DB8::/32": "2001:db8::/32",
    "2001:db8:0::/48": "2001:db8::/48",
    "2001:db8::1/64": "2001:db8:0:1::/64",
    "2001:db8:0:0:1:0:0:1/128": "2001:db8::1:0:0:1/128",
    "::ffff:10.0.0.0/104": "64:ff9b::/96",
    "::ffff:a00:0/104": "::/0",
    "fe80::%eth0/64": "fe80::/64",
    "example.com": "198.51.100.7/32",
    "": "1.2.3.4/32",
    "10.0.0.0/8\n": "10.0.0.0/9",
    " 10.0.0.0/8": "10.0.0.0/10",
}
"""A wrong network -> a similar one in canonical form."""

TEXTS: tuple[tuple[str, str, Obj], ...] = (
    (LABEL, "spec.project", space()),
    (DNS_NAME, "spec.domainName", space(name="b")),
    (DNS_NAME, "spec.hostnames[0]", space(hostnames=[""])),
    (HOST_PATTERN, "spec.httpHostnames[0].name", space(httpHostnames=[{"name": "", "certSecretName": "a"}])),
    (SUBDOMAIN, "spec.httpHostnames[0].certSecretName", space(httpHostnames=[{"name": "a", "certSecretName": ""}])),
    (SUBDOMAIN, "spec.httpCertSecretName", space()),
    (SUBDOMAIN, "spec.tcpCertAndCaSecretName", space()),
    (SUBDOMAIN, "spec.certificates.issuerRef.name", space(certificates={"issuerRef": {"name": "a"}})),
    (DNS_NAME, "spec.certificates.issuerRef.group", space(certificates={"issuerRef": {"name": "a"}})),
    (KIND, "spec.certificates.issuerRef.kind", space(certificates={"issuerRef": {"name": "a"}})),
    (SUBDOMAIN, "spec.runtimeClassName", space()),
    (SUBDOMAIN, "spec.secrets[0]", space(secrets=[""])),
    (PATH, "spec.httpUrlPath", app()),
    (DURATION, "spec.endpoints[0].timeouts.request", endpoints({"httpPath": "/x", "timeouts": {}})),
    (DURATION, "spec.endpoints[0].timeouts.idle", endpoints({"timeouts": {}})),
    (SIZE, "spec.limits.requestBody", space(limits={})),
    (DURATION, "spec.limits.timeouts.request", space(limits={"timeouts": {}})),
    (DURATION, "spec.limits.timeouts.idle", space(limits={"timeouts": {}})),
    (APP_NAME, "spec.canaryOf", app(httpUrlPath="/a", weight=0)),
    (SUBDOMAIN, "spec.tlsCaAndCertSecretName", app()),
    (OBJECT_NAME, "spec.endpoints[0].name", endpoints({})),
    (PATH, "spec.endpoints[0].httpPath", endpoints({})),
    (PATH, "spec.endpoints[0].rewritePath", endpoints({"httpPath": "/x"})),
    (PATH, "spec.endpoints[0].probePath", endpoints({"httpPath": "/x"})),
    (PATH, "spec.endpoints[0].httpPaths[0].path", endpoints({"httpPaths": [{"path": ""}]})),
    (PATH, "spec.endpoints[0].httpPaths[0].rewritePath", endpoints({"httpPaths": [{"path": "/x"}]})),
    (HOST_PATTERN, "spec.endpoints[0].httpHostnames[0]", endpoints({"httpPath": "/x", "httpHostnames": [""]})),
    (SUBDOMAIN, "spec.endpoints[0].certAndCaSecretName", endpoints({})),
    (DNS_NAME, "spec.endpoints[0].hostname", endpoints({})),
    (DNS_NAME, "spec.endpoints[0].allowedClients[0]", endpoints({"allowedClients": [""]})),
    *(
        row
        for field in ("tlsEgresses", "egresses")
        for row in (
            (DNS_NAME, f"spec.{field}[0].fqdn", app(**{field: [{"localPort": 1}]})),
            (OBJECT_NAME, f"spec.{field}[0].endpoint", app(**{field: [{"localPort": 1}]})),
            (OBJECT_NAME, f"spec.{field}[0].spaceName", app(**{field: [{"localPort": 1, "endpoint": "a"}]})),
            (SUBDOMAIN, f"spec.{field}[0].certAndCaSecretName", app(**{field: [{"localPort": 1, "fqdn": "a.b"}]})),
        )
    ),
)
"""Form, field, and an App or Space in which that field is set to each text of the form."""


def text_rows() -> Iterator[Row]:
    """Every text at the first field of its form; at the others, which have the same rule, one wrong and one right."""
    seen = set()
    for form, field, base in TEXTS:
        # The FQDN has a limit of its own, which leaves two characters less for the domain of a Space named "b".
        goods = [text[2:] if field == "spec.domainName" and len(text) == 253 else text for text in GOOD[form]]
        bads = BAD[form] if form not in seen else BAD[form][-1:]
        seen.add(form)
        for i, bad in enumerate(bads):
            yield Row(f"{field} {bad!r}", put(base, field, bad), put(base, field, goods[i % len(goods)]), field, form)
        longest = goods[-1]
        bad = ("/" + "a" * 1024) if form == PATH else longest + "a" * (MAX[form] + 1 - len(longest))
        yield Row(f"{field} too long", put(base, field, bad), put(base, field, longest), field, TOO_LONG)


def cidr_rows() -> Iterator[Row]:
    field = "spec.egressCidrs[0].cidr"
    for bad, good in CIDRS.items():
        says = "must be a network in canonical form"
        yield Row(f"{field} {bad!r}", cidrs({"cidr": bad}), cidrs({"cidr": good}), field, says)
    bad, good = cidrs({"cidr": "1" * 44}), cidrs({"cidr": "1111:1111:1111:1111:1111:1111:1111:1111/128"})
    yield Row(f"{field} too long", bad, good, field, TOO_LONG)


def number_rows() -> Iterator[Row]:
    ports = (
        ("spec.endpoints[0].port", endpoints({})),
        ("spec.endpoints[0].tlsListenPort", endpoints({})),
        *(
            (f"spec.{field}[0].{port}", app(**{field: [{"localPort": 5, "fqdn": "a.b"}]}))
            for field in ("tlsEgresses", "egresses")
            for port in ("localPort", "targetPort")
        ),
        ("spec.pod.containers[0].ports[0].containerPort", app()),
    )
    counts = (("spec.initialReplicas", app()), ("spec.jobBackoffLimit", app(runAsJob=True)))
    for (field, base), least, most in [
        *((port, 1, 65535) for port in ports),
        *((count, 0, 2**31 - 1) for count in counts),
    ]:
        at = "spec.pod" if field.startswith("spec.pod") else ""
        low, high = f"greater than or equal to {least}", f"less than or equal to {most}"
        yield Row(f"{field} low", put(base, field, least - 1), put(base, field, least), field, low, parsed_at=at)
        yield Row(f"{field} high", put(base, field, most + 1), put(base, field, most), field, high, parsed_at=at)
        text = put(base, field, "80")
        # A model reads digits as a number where nothing else can be meant; in a pod, decco guesses nothing.
        says, parsed = "must be of type integer", bool(at)
        yield Row(f"{field} text", text, put(base, field, 80), field, says, parsed, parsed_at=at)


def shape_rows() -> Iterator[Row]:
    """What OpenAPI alone says: required fields, enumerations, lengths of lists, sets."""
    required = "Required value"
    yield Row("no domain", space(domainName=None), space(), "spec.domainName", required)
    yield Row("no spec", put(space(), "spec", None), space(), "spec", required)
    yield Row("no pod", app(pod=None), app(), "spec.pod", required)
    yield Row("no containers", app(pod={}), app(), "spec.pod.containers", required, parsed_at="spec.pod")
    empty = app(pod={"containers": []})
    yield Row(
        "empty containers",
        empty,
        app(),
        "spec.pod.containers",
        "must hold at least one container",
        parsed_at="spec.pod",
    )
    no_number = put(app(), "spec.pod.containers[0].ports[0]", {"name": "http"})
    at = "spec.pod.containers[0].ports[0].containerPort"
    yield Row("port without number", no_number, app(), at, required, parsed_at="spec.pod")
    for field in ("name", "port"):
        bad = put(endpoints({}), f"spec.endpoints[0].{field}", None)
        yield Row(f"endpoint without {field}", bad, endpoints({}), f"spec.endpoints[0].{field}", required)
    for field in ("tlsEgresses", "egresses"):
        good = app(**{field: [{"localPort": 1, "fqdn": "a.b"}]})
        bad = put(good, f"spec.{field}[0].localPort", None)
        yield Row(f"{field} without localPort", bad, good, f"spec.{field}[0].localPort", required)
    for field, good, values in (
        ("spec.podSecurity", "restricted", '"privileged", "baseline", "restricted"'),
        ("spec.egressPolicy", "Declared", '"Open", "Declared"'),
        ("spec.mesh", "Istio", '"None", "Istio"'),
        ("spec.topology.zoneSpread", "Off", '"Off", "Prefer", "Require"'),
        ("spec.topology.nodeTaintsPolicy", "Honor", '"Ignore", "Honor"'),
        (
            "spec.topology.trafficDistribution",
            "PreferSameZone",
            '"PreferClose", "PreferSameZone", "PreferSameNode"',
        ),
    ):
        base = space(topology={})
        yield Row(f"{field} unknown", put(base, field, "Nonsense"), put(base, field, good), field, values)
    base = endpoints({"httpPath": "/a"})
    at = "spec.endpoints[0].appProtocol"
    yield Row("appProtocol unknown", put(base, at, "http2"), put(base, at, "h2c"), at, '"http", "h2c", "grpc"')
    spread = space(topology={"zoneSpread": False})  # how YAML reads a bare Off
    off = space(topology={"zoneSpread": "Off"})
    yield Row("zoneSpread as a bare Off", spread, off, "spec.topology.zoneSpread", "must be of type string")
    names = [f"h{i}.example.org" for i in range(61)]
    many = "must have at most"
    yield Row("many hostnames", space(hostnames=names), space(hostnames=names[:60]), "spec.hostnames", many)
    bad, good = (space(httpHostnames=_http(*names[:n])) for n in (16, 15))
    yield Row("many httpHostnames", bad, good, "spec.httpHostnames", many)
    whole = space(httpHostnames=_http("a.b"), certificates={"issuerRef": {"name": "a"}})
    for at in ("spec.httpHostnames[0].name", "spec.certificates.issuerRef", "spec.certificates.issuerRef.name"):
        yield Row(f"without {at}", put(whole, at, None), whole, at, required)
    for count, limit in ((0, "must have at least"), (9, many)):
        bad, good = (endpoints({"httpPaths": [{"path": f"/p{i}"} for i in range(n)]}) for n in (count, 8))
        says = "should have at least 1 items" if not count else limit
        yield Row(f"{count} httpPaths", bad, good, "spec.endpoints[0].httpPaths", says)
    no_path = endpoints({"httpPaths": [{"rewritePath": "/"}]})
    yield Row(
        "path without path",
        no_path,
        endpoints({"httpPaths": [{"path": "/"}]}),
        "spec.endpoints[0].httpPaths[0].path",
        required,
    )
    bad, good = (endpoints({"httpPath": "/", "httpHostnames": names[:n]}) for n in (17, 16))
    yield Row("many names of an endpoint", bad, good, "spec.endpoints[0].httpHostnames", many)
    names = [f"s{i}" for i in range(65)]
    yield Row("many secrets", space(secrets=names), space(secrets=names[:64]), "spec.secrets", many)
    bad, good = (endpoints({"allowedClients": [f"c{i}.example.org" for i in range(n)]}) for n in (65, 64))
    yield Row("many clients", bad, good, "spec.endpoints[0].allowedClients", many)
    yield Row("many endpoints", endpoints(*[{}] * 65), endpoints(*[{}] * 64), "spec.endpoints", many)
    for field in ("tlsEgresses", "egresses"):
        bad, good = (app(**{field: [{"localPort": 1 + i, "fqdn": "a.b"} for i in range(n)]}) for n in (65, 64))
        yield Row(f"many {field}", bad, good, f"spec.{field}", many)
    listed = [{"cidr": f"10.0.{i}.0/24"} for i in range(65)]
    yield Row("many CIDRs", space(egressCidrs=listed), space(egressCidrs=listed[:64]), "spec.egressCidrs", many)
    bad, good = (cidrs({"ports": [{"port": 1 + i} for i in range(n)]}) for n in (17, 16))
    yield Row("many ports of a CIDR", bad, good, "spec.egressCidrs[0].ports", many)
    for field, bad_port in (("port", {"port": 0}), ("endPort", {"port": 1, "endPort": 65536})):
        bad = cidrs({"ports": [bad_port]})
        yield Row(f"egress {field}", bad, cidrs({"ports": [{"port": 1}]}), f"spec.egressCidrs[0].ports[0].{field}", "")
    bad, good = cidrs({"ports": [{"endPort": 2}]}), cidrs({"ports": [{"port": 1, "endPort": 2}]})
    yield Row("egress without port", bad, good, "spec.egressCidrs[0].ports[0].port", required)
    bad, good = cidrs({"cidr": None}), cidrs({})
    yield Row("egress without cidr", bad, good, "spec.egressCidrs[0].cidr", required)
    bad, good = (cidrs({"ports": [{"port": 1, "protocol": name}]}) for name in ("ICMP", "SCTP"))
    yield Row("egress protocol", bad, good, "spec.egressCidrs[0].ports[0].protocol", '"TCP", "UDP", "SCTP"')
    twice = "Duplicate value"
    yield Row(
        "hostname twice", space(hostnames=["a", "a"]), space(hostnames=["a", "b"]), "spec.hostnames[1]", twice, False
    )
    yield Row("secret twice", space(secrets=["a", "a"]), space(secrets=["a", "b"]), "spec.secrets[1]", twice, False)
    bad, good = endpoints({"allowedClients": ["a", "a"]}), endpoints({"allowedClients": ["a", "b"]})
    yield Row("client twice", bad, good, "spec.endpoints[0].allowedClients[1]", twice, False)
    bad, good = endpoints({"name": "a"}, {"name": "a"}), endpoints({"name": "a"}, {"name": "b"})
    yield Row("name twice, the list", bad, good, "spec.endpoints[1]", twice, parsed_at="spec.endpoints")


def _http(*names: str) -> list[Obj]:
    return [{"name": name, "certSecretName": "tls"} for name in names]


def rule_rows() -> Iterator[Row]:
    """The rules of decco/api/admission.py, in their order."""
    # Space
    for bad, good in (("1acme", "acme1"), ("a.b", "a-b"), ("0", "o")):
        yield Row(f"space named {bad}", space(bad), space(good), "metadata.name", OBJECT_NAME)
    reserved = "is a top-level domain, a word of cluster DNS, or a system namespace's name"
    for bad, good in (
        ("com", "com-1"),
        ("svc", "svcs"),
        ("io", "i-o"),
        ("kube-evil", "kubes"),
        ("dev", "devs"),
        ("in-addr", "inaddr"),
        ("wpad", "wpads"),
        ("local", "global"),
        ("xn--p1ai", "xn--p1ai-1"),
        ("xn--fiqs8s", "xn--caf-dma"),
    ):
        yield Row(f"space named {bad}", space(bad), space(good), "metadata.name", reserved, parsed=False)
    yield Row("long space name", space("a" * 64), space("a" * 63), "metadata.name", TOO_LONG)
    parts = ".".join(["a" * 63] * 3)  # 191 characters
    fits = f"{parts[: 252 - 63 - 1]}a"  # 63 + 1 + 189 = 253
    says = "is too long: the FQDN <name>.<domainName>"
    yield Row(
        "long FQDN", space("s" * 63, domainName=fits + "a"), space("s" * 63, domainName=fits), "spec.domainName", says
    )
    says = "holds the Space's own FQDN or a name below it"
    for bad, good in (
        ("acme.example.com", "acm.example.com"),
        ("x.acme.example.com", "xacme.example.com"),
        ("y.x.acme.example.com", "acme.example.com.x"),
    ):
        hosts = space(hostnames=["a.b", good])
        yield Row(f"hostname {bad}", space(hostnames=["a.b", bad]), hosts, "spec.hostnames", says)

    twice = cidrs({}, {})
    yield Row(
        "CIDR twice", twice, cidrs({}, {"cidr": "192.0.2.0/25"}), "spec.egressCidrs", "two items have the same cidr"
    )
    bad, good = (cidrs({"ports": [{"port": 80, "endPort": end}]}) for end in (79, 80))
    yield Row("range of ports", bad, good, "spec.egressCidrs[0].ports[0].endPort", "is below port")

    # App
    says = "is also the name of the App's one endpoint and of its Service"
    for bad in ("1web", "web.v2"):
        yield Row(f"short form named {bad}", app(bad), app(bad, endpoints=[]), "metadata.name", says)
        yield Row(f"short form named {bad}, no port", app(bad), app(bad, pod=pod()), "metadata.name", says)
    yield Row("long app name", app("a" * 64, endpoints=[]), app("a" * 63), "metadata.name", TOO_LONG, parsed=False)

    # Endpoint
    at = "spec.endpoints[0]"
    yield Row(
        "rewritePath alone",
        endpoints({"rewritePath": "/"}),
        endpoints({"rewritePath": "/", "httpPath": "/a"}),
        f"{at}.rewritePath",
        "replaces the prefix httpPath, and there is no httpPath",
    )
    yield Row(
        "probePath alone",
        endpoints({"probePath": "/healthz"}),
        endpoints({"probePath": "/healthz", "httpPath": "/a"}),
        f"{at}.probePath",
        "is requested by HTTP through the edge, and there is no httpPath",
    )
    yield from _protocols(at)
    verify: tuple[tuple[str, Any, Any], ...] = (
        ("verifyTcpClientCert", True, False),
        ("allowedClients", ["a.b"], []),
    )
    for field, on, off in verify:
        for other, value in (("httpPath", "/a"), ("disableTlsTermination", True), ("isMetricsEndpoint", True)):
            bad, good = endpoints({field: on, other: value}), endpoints({field: off, other: value})
            yield Row(f"{field} and {other}", bad, good, f"{at}.{field}", f"cannot be combined with {other}")
    passthrough = {"disableTlsTermination": True}
    yield Row(
        "clear text of TLS",
        endpoints({"createClearTextService": True, **passthrough}),
        endpoints({"createClearTextService": False, **passthrough}),
        f"{at}.createClearTextService",
        "cannot be combined with disableTlsTermination",
    )
    yield Row(
        "long name for a clear-text Service",
        endpoints({"name": "a" * 54, "createClearTextService": True}),
        endpoints({"name": "a" * 53, "createClearTextService": True}),
        f"{at}.name",
        "is too long for createClearTextService",
    )
    metrics = {"isMetricsEndpoint": True}
    says = "cannot be combined with isMetricsEndpoint"
    yield Row("metrics by path", endpoints({"httpPath": "/a", **metrics}), endpoints(metrics), f"{at}.httpPath", says)
    bad, good = ({"createDnsRecord": on, **metrics} for on in (True, False))
    yield Row("metrics in DNS", endpoints(bad), endpoints(good), f"{at}.createDnsRecord", says)

    # Egress
    for field in ("tlsEgresses", "egresses"):
        at, port = f"spec.{field}[0]", {"localPort": 1}
        none, fqdn = app(**{field: [port]}), app(**{field: [{**port, "fqdn": "a.b"}]})
        inside = app(**{field: [{**port, "endpoint": "a"}]})
        both = app(**{field: [{**port, "endpoint": "a", "fqdn": "a.b"}]})
        elsewhere = app(**{field: [{**port, "fqdn": "a.b", "spaceName": "s"}]})
        right = app(**{field: [{**port, "endpoint": "a", "spaceName": "s"}]})
        yield Row(f"{field}: no target", none, fqdn, at, "has no target")
        yield Row(f"{field}: two targets", both, inside, at, "has two targets")
        yield Row(f"{field}: spaceName alone", elsewhere, right, f"{at}.spaceName", "says in which Space")

        bad, good = (app(**{field: [{"localPort": p, "fqdn": "a.b"} for p in (1, q)]}) for q in (1, 2))
        yield Row(f"{field}: port twice", bad, good, "spec", "two egresses have the same localPort")
        yield Row(f"{field}: port twice, list", bad, good, f"spec.{field}[1]", "Duplicate value", parsed_at="spec")
        bad, good = (
            app(endpoints=[{"name": "a", "port": 80}], **{field: [{"localPort": p, "fqdn": "a.b"}]}) for p in (80, 81)
        )
        says = "the localPort of an egress is also the port"
        yield Row(f"{field}: port of an endpoint", bad, good, "spec", says)
        bad, good = (app(**{field: [{"localPort": p, "fqdn": "a.b"}]}) for p in (8080, 9090))
        yield Row(f"{field}: port of the short form", bad, good, "spec", says)
    one = [{"localPort": 1, "fqdn": "a.b"}]
    bad, good = app(tlsEgresses=one, egresses=one), app(egresses=one)
    yield Row("both spellings", bad, good, "spec.egresses", "is another spelling of tlsEgresses", parsed_at="spec")

    # AppSpec
    says = "cannot be combined with the short form"
    for field, value in (
        ("httpUrlPath", "/a"),
        ("verifyTcpClientCert", False),
        ("createDnsRecord", False),
        ("tlsCaAndCertSecretName", "a"),
    ):
        good = app(**{field: value})
        yield Row(f"endpoints and {field}", app(endpoints=[], **{field: value}), good, "spec.endpoints", says)
    bad, good = (app(httpUrlPath="/a", verifyTcpClientCert=on) for on in (True, False))
    yield Row("short: verify by path", bad, good, "spec.verifyTcpClientCert", "cannot be combined with httpUrlPath")
    bad, good = (app(httpUrlPath="/a", pod=pod(*ports)) for ports in ((), (8080,)))
    yield Row(
        "short: path without port", bad, good, "spec.httpUrlPath", "is the path of the first container's first port"
    )
    for bad in (app(jobBackoffLimit=1), app(jobBackoffLimit=1, runAsJob=False)):
        good = app(jobBackoffLimit=1, runAsJob=True)
        yield Row(f"retries of no Job {len(bad['spec'])}", bad, good, "spec.jobBackoffLimit", "only a Job has retries")
    at = "spec.endpoints"
    bad, good = endpoints({"name": "a"}, {}, {"name": "a"}), endpoints({"name": "a"}, {}, {"name": "b"})
    yield Row("name twice", bad, good, at, "two endpoints have the same name")
    bad, good = endpoints({"port": 1}, {}, {"port": 1}), endpoints({"port": 1}, {}, {"port": 2})
    yield Row("port twice", bad, good, at, "two endpoints have the same port")
    says = "two endpoints have the same httpPath"
    for first, second, third in (("/a", "/a", "/b"), ("/a", "/a/", "/a/b"), ("/a/", "/a", "/A"), ("/", "/", "/a")):
        bad, good = (endpoints({"httpPath": first}, {}, {"httpPath": other}) for other in (second, third))
        yield Row(f"paths {first} and {second}", bad, good, at, says)
    shared = {"httpPath": "/a"}
    bad, good = endpoints(shared, shared), endpoints(shared, {**shared, "httpHostnames": ["a.b"]})
    yield Row("paths at the same names", bad, good, at, says)
    says = "two TCP endpoints have the same hostname"
    host = {"hostname": "a.b"}
    for name, other in (
        ("host", {"hostname": "a.c"}),
        ("path", {**host, "httpPath": "/"}),
        ("paths", {**host, "httpPaths": [{"path": "/"}]}),
        ("metrics", {**host, **metrics}),
    ):
        yield Row(f"hostname twice but for {name}", endpoints(host, {}, host), endpoints(host, {}, other), at, says)
    bad, good = (
        endpoints({"name": "a", "createClearTextService": on}, {"name": "a-cleartext"}) for on in (True, False)
    )
    yield Row("name of a clear-text Service", bad, good, at, "createClearTextService makes a Service named")

    yield from _canaries()


def _canaries() -> Iterator[Row]:
    canary = {"canaryOf": "main", "weight": 5, "httpUrlPath": "/a"}
    good = app(**canary)
    bad = app(**{**canary, "canaryOf": None})
    yield Row("weight alone", bad, good, "spec.weight", "there is no canaryOf")
    bad = app(**{**canary, "weight": None})
    yield Row("canary without weight", bad, good, "spec.canaryOf", "there is no weight")
    yield Row("canary of itself", app("main", **canary), good, "spec.canaryOf", "is this App itself")
    says = "cannot be combined with job or runAsJob"
    for job in ({"runAsJob": True}, {"job": {}}):
        yield Row(f"canary as a Job by {next(iter(job))}", app(**canary, **job), good, "spec.canaryOf", says)
    says = "this App has no HTTP endpoint"
    yield Row("canary by TCP", app(**{**canary, "httpUrlPath": None}), good, "spec.canaryOf", says)
    yield Row("canary of nothing", app(**{**canary, "httpUrlPath": None, "endpoints": []}), good, "spec.canaryOf", says)
    share = {"canaryOf": "main", "weight": 0}
    for field, value in (("rewritePath", "/"), ("probePath", "/"), ("timeouts", {"idle": "1s"})):
        bad, good = (
            put(put(endpoints({"httpPath": "/a", **more}), "spec.canaryOf", "main"), "spec.weight", 0)
            for more in ({field: value}, {})
        )
        yield Row(f"{field} of a canary", bad, good, "spec.endpoints", "the route is that of the App in canaryOf")
    good = app(**{**share, "httpUrlPath": "/a"})
    for weight, says in ((-1, "greater than or equal to 0"), (101, "less than or equal to 100")):
        bad, good = put(good, "spec.weight", weight), put(good, "spec.weight", min(100, weight + 1))
        yield Row(f"weight {weight}", bad, good, "spec.weight", says)


def _timeouts(at: str) -> Iterator[Row]:
    request, idle = {"timeouts": {"request": "1s"}}, {"timeouts": {"idle": "1s"}}
    bad, good = endpoints(request), endpoints({**request, "httpPath": "/a"})
    yield Row("request of TCP", bad, good, f"{at}.timeouts.request", "and there is no httpPath")
    bad, good = (endpoints({**idle, "isMetricsEndpoint": on}) for on in (True, False))
    yield Row("timeouts of metrics", bad, good, f"{at}.timeouts", "cannot be combined with isMetricsEndpoint")
    bad, good = (endpoints({**idle, "disableTlsTermination": on}) for on in (True, False))
    yield Row("idle without sidecar", bad, good, f"{at}.timeouts.idle", "is kept by the TLS sidecar")


def _protocols(at: str) -> Iterator[Row]:
    path, metrics = {"httpPath": "/a"}, {"isMetricsEndpoint": True}
    bad, good = endpoints({**path, "appProtocol": "tcp"}), endpoints({"appProtocol": "tcp"})
    yield Row("tcp by path", bad, good, f"{at}.appProtocol", "is tcp, which has no paths")
    for protocol in ("http", "h2c", "grpc", "websocket"):
        bad, good = endpoints({"appProtocol": protocol}), endpoints({**path, "appProtocol": protocol})
        yield Row(f"{protocol} without path", bad, good, f"{at}.appProtocol", "and there is no httpPath")
    for protocol in ("h2c", "grpc", "websocket", "tcp"):
        bad, good = (endpoints({**metrics, "appProtocol": each}) for each in (protocol, "http"))
        yield Row(f"metrics by {protocol}", bad, good, f"{at}.appProtocol", "metrics are read by HTTP/1.1")
    bad, good = (endpoints({**path, "probePath": "/x", "appProtocol": each}) for each in ("grpc", "h2c"))
    yield from _timeouts(at)
    yield Row("probe of gRPC", bad, good, f"{at}.probePath", "a gRPC server answers no GET request")


def http_rows() -> Iterator[Row]:
    """HTTP at further names and by several paths."""
    says = "holds the Space's own FQDN, whose certificate is httpCertSecretName, or a name below it"
    for bad, good in (
        ("acme.example.com", "acm.example.com"),
        ("x.acme.example.com", "xacme.example.com"),
        ("*.acme.example.com", "*.xacme.example.com"),
        ("*.y.acme.example.com", "*.example.com"),
    ):
        rows = (space(httpHostnames=_http("a.b", name)) for name in (bad, good))
        yield Row(f"http hostname {bad}", *rows, "spec.httpHostnames", says)
    listed, http = [f"h{i}.example.org" for i in range(60)], _http(*(f"w{i}.example.org" for i in range(15)))
    bad, good = (space(hostnames=listed[:n], httpHostnames=http) for n in (32, 31))
    yield Row("many listeners", bad, good, "spec.httpHostnames", "are too many together with hostnames")
    says = "holds a name that hostnames holds too"
    bad, good = (space(hostnames=["a.b", "a.c"], httpHostnames=_http("a.d", name)) for name in ("a.c", "*.a.c"))
    yield Row("a name in both lists", bad, good, "spec.httpHostnames", says)
    bad, good = (space(httpHostnames=_http("a.b", "a.c", name)) for name in ("a.b", "a.d"))
    yield Row("http hostname twice", bad, good, "spec.httpHostnames", "holds a name twice")
    two = [{"path": "/a"}, {"path": "/b", "rewritePath": "/"}]
    for field, value in (("probePath", "/x"), ("httpHostnames", ["a.b"])):
        more = {field: value}
        bad, good = endpoints(more), endpoints({**more, "httpPaths": two})
        says = "and there is no httpPath"
        yield Row(f"{field} without paths", bad, good, f"spec.endpoints[0].{field}", says)
    for field, on, off in (("verifyTcpClientCert", True, False), ("allowedClients", ["a.b"], [])):
        bad, good = endpoints({field: on, "httpPaths": two}), endpoints({field: off, "httpPaths": two})
        yield Row(
            f"{field} and httpPaths", bad, good, f"spec.endpoints[0].{field}", "cannot be combined with httpPaths"
        )
    bad, good = endpoints({"httpPaths": two, "httpPath": "/c"}), endpoints({"httpPaths": [*two, {"path": "/c"}]})
    yield Row("httpPath and httpPaths", bad, good, "spec.endpoints[0].httpPaths", "cannot be combined with httpPath")
    bad, good = endpoints({"httpPaths": two, "rewritePath": "/c"}), endpoints({"httpPaths": two})
    yield Row("rewritePath and httpPaths", bad, good, "spec.endpoints[0].rewritePath", "replaces the prefix httpPath")
    bad, good = (endpoints({"httpPaths": [*two, {"path": path}]}) for path in ("/a/", "/A/"))
    yield Row("path twice", bad, good, "spec.endpoints[0].httpPaths", "two entries have the same path")
    bad = endpoints({"httpPaths": two, "isMetricsEndpoint": True})
    yield Row(
        "metrics by paths",
        bad,
        endpoints({"isMetricsEndpoint": True}),
        "spec.endpoints[0].httpPaths",
        "cannot be combined with isMetricsEndpoint",
    )


ROWS = (
    *text_rows(),
    *cidr_rows(),
    *limit_rows(),
    *longest_rows(),
    *placement_rows(),
    *number_rows(),
    *shape_rows(),
    *rule_rows(),
    *workload_rows(),
    *scale_rows(),
    *http_rows(),
)
