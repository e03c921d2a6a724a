from __future__ import annotations

from typing import Any

import pytest

from decco.api.types import AppSpec, Endpoint
from decco.desired import names
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint, container_ports, endpoints_of, resolve
from decco.desired.http_routes import ResolvedPath
from decco.desired.model import AppInputs
from tests.unit.desired.app_cases import FQDN, POD, app


def one(inputs: AppInputs) -> ResolvedEndpoint:
    (endpoint,) = resolve(inputs).endpoints
    return endpoint


def problems_of(inputs: AppInputs) -> list[tuple[str, str]]:
    resolved = resolve(inputs)
    workload = [("WorkloadReady", problem.reason) for problem in resolved.problems]
    return workload + [("RoutesReady", problem.reason) for problem in resolved.route_problems]


def endpoints(*items: dict[str, Any]) -> dict[str, Any]:
    return {"endpoints": [{"port": 8080 + i, "name": f"e{i}", **item} for i, item in enumerate(items)]}


# -- which endpoints there are ----------------------------------------------------------------------------------------


def test_the_short_form_is_one_endpoint_named_after_the_app_on_the_first_port() -> None:
    spec = {
        "pod": {
            "containers": [
                {"name": "a", "ports": [{"containerPort": 8000}, {"containerPort": 9000}]},
                {"name": "b", "ports": [{"containerPort": 7000}]},
            ]
        },
        "verifyTcpClientCert": True,
        "createDnsRecord": True,
        "tlsCaAndCertSecretName": "own",
    }
    assert endpoints_of("web", AppSpec.model_validate(spec)) == (
        Endpoint(
            name="web", port=8000, verify_tcp_client_cert=True, create_dns_record=True, cert_and_ca_secret_name="own"
        ),
    )


def test_the_short_form_with_a_path() -> None:
    endpoint = one(app({"httpUrlPath": "/shop"}))
    assert (endpoint.name, endpoint.kind, endpoint.paths) == ("web", EndpointKind.HTTP, (ResolvedPath("/shop"),))


@pytest.mark.parametrize(
    "spec",
    [
        {"endpoints": []},
        {"pod": {"containers": [{"name": "a"}]}},
        {"pod": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 1}]}]}},
    ],
    ids=["an empty list", "no port", "only the second container has a port"],
)
def test_an_app_without_endpoints(spec: dict[str, Any]) -> None:
    resolved = resolve(app(spec))
    assert resolved.endpoints == ()
    assert resolved.problems == resolved.route_problems == ()


# -- what an endpoint becomes -----------------------------------------------------------------------------------------

PORT_NAME = names.listener_port_name("e0")


@pytest.mark.parametrize(
    ("item", "space", "want"),
    [
        ({}, {}, ("tcp", 443, "tls", PORT_NAME, "tcp", f"e0.{FQDN}")),
        ({"tlsListenPort": 5432}, {}, ("tcp", 5432, "tls", PORT_NAME, "tcp", f"e0.{FQDN}")),
        ({"certAndCaSecretName": "own"}, {}, ("tcp", 443, "tls", PORT_NAME, "own", f"e0.{FQDN}")),
        ({"disableTlsTermination": True}, {}, ("tcp", 443, "tls", 8080, None, f"e0.{FQDN}")),
        ({}, {"tcpCertAndCaSecretName": None}, ("tcp", 443, "tls", PORT_NAME, None, f"e0.{FQDN}")),
        ({"httpPath": "/a"}, {}, ("http", 80, "http", 8080, None, FQDN)),
        ({"httpPath": "/a"}, {"httpCertSecretName": None}, ("http", 80, "http", 8080, None, FQDN)),
        ({"httpPath": "/a"}, {"encryptHttp": True}, ("http", 443, "https", PORT_NAME, "http", FQDN)),
        (
            {"httpPath": "/a", "tlsListenPort": 8443},
            {"encryptHttp": True},
            ("http", 8443, "https", PORT_NAME, "http", FQDN),
        ),
        (
            {"httpPath": "/a"},
            {"encryptHttp": True, "httpCertSecretName": None},
            ("http", 443, "https", PORT_NAME, None, FQDN),
        ),
        (
            {"httpPath": "/a", "disableTlsTermination": True},
            {"encryptHttp": True},
            ("http", 443, "https", 8080, None, FQDN),
        ),
        ({"isMetricsEndpoint": True}, {"encryptHttp": True}, ("metrics", 8080, "metrics", 8080, None, None)),
    ],
    ids=[
        "TCP",
        "TCP on another port",
        "TCP with its own Secret",
        "TCP with TLS in the container",
        "TCP without a Secret: the Service leads to a port that no pod has",
        "HTTP",
        "HTTP without a certificate",
        "HTTP encrypted to the pod",
        "HTTP encrypted to the pod on another port",
        "HTTP encrypted but without a certificate: never plain",
        "HTTP with TLS in the container",
        "metrics",
    ],
)
def test_kind_ports_certificate_and_hostname(
    item: dict[str, Any], space: dict[str, Any], want: tuple[Any, ...]
) -> None:
    endpoint = one(app(endpoints(item), space=space))
    got = (
        endpoint.kind,
        endpoint.service_port,
        endpoint.service_port_name,
        endpoint.target_port,
        endpoint.tls.secret if endpoint.tls else None,
        endpoint.hostname,
    )
    assert got == want


@pytest.mark.parametrize(
    ("item", "verify", "clients"),
    [
        ({}, False, ()),
        ({"verifyTcpClientCert": True}, True, ()),
        ({"allowedClients": ["nova.acme.test", "x"]}, True, ("nova.acme.test", "x")),
    ],
)
def test_allowed_clients_imply_verification(item: dict[str, Any], verify: bool, clients: tuple[str, ...]) -> None:
    tls = one(app(endpoints(item))).tls
    assert tls is not None
    assert (tls.verify_client, tls.allowed_clients) == (verify, clients)


def test_what_the_outside_may_reach_is_never_the_plain_port_behind_tls() -> None:
    resolved = resolve(
        app(endpoints({}, {"httpPath": "/"}, {"isMetricsEndpoint": True}, {"disableTlsTermination": True}))
    )
    tls, *plain = (endpoint.pod_port for endpoint in resolved.endpoints)
    assert tls in range(20000, 30000)
    assert plain == [8081, 8082, 8083]
    without = one(app(endpoints({}), space={"tcpCertAndCaSecretName": None}))
    assert without.pod_port is None


def test_listener_ports_hang_on_the_name_and_avoid_the_ports_of_the_pod() -> None:
    free = resolve(app(endpoints({"name": "a"}, {"name": "b"})))
    port = {endpoint.name: endpoint.pod_port for endpoint in free.endpoints}
    turned = resolve(app(endpoints({"name": "b"}, {"name": "a"})))
    assert {endpoint.name: endpoint.pod_port for endpoint in turned.endpoints} == port

    pod = {"containers": [{"name": "main", "image": "x", "ports": [{"containerPort": port["a"]}]}]}
    assert one(app({"pod": pod, **endpoints({"name": "a"})})).pod_port != port["a"]
    egresses = {"tlsEgresses": [{"localPort": port["a"], "fqdn": "x.test"}]}
    assert one(app({**endpoints({"name": "a"}), **egresses})).pod_port != port["a"]
    assert one(app(endpoints({"name": "a", "port": port["a"]}))).pod_port != port["a"]


def test_two_names_that_meet_at_one_port_keep_theirs_whatever_the_order() -> None:
    met: dict[int, str] = {}
    for number in range(1000):
        name = f"n{number}"
        port = names.pod_ports([name], ())[name]
        if port in met:
            break
        met[port] = name
    pair = [{"name": met[port]}, {"name": name}]
    got = {e.name: e.pod_port for e in resolve(app(endpoints(*pair))).endpoints}
    assert got == {e.name: e.pod_port for e in resolve(app(endpoints(*pair[::-1]))).endpoints}
    assert sorted(got.values()) == [port, port + 1]


def test_container_ports_reads_unvalidated_input() -> None:
    pod = {
        "initContainers": [{"ports": [{"containerPort": 1}]}, "text", None],
        "containers": [{"ports": [{"containerPort": 2}, {"containerPort": "3"}, {}]}, {"ports": "text"}, {}],
    }
    assert container_ports(pod) == {1, 2}
    assert container_ports({"containers": None}) == frozenset()


@pytest.mark.parametrize(("path", "prefix"), [("/", "/"), ("/a", "/a"), ("/a/", "/a"), ("/a/b/", "/a/b")])
def test_a_slash_at_the_end_of_a_path_makes_no_difference(path: str, prefix: str) -> None:
    [found] = one(app(endpoints({"httpPath": path, "rewritePath": path}))).paths
    assert (found.path, found.prefix, found.rewrite) == (path, prefix, prefix)


# -- DNS --------------------------------------------------------------------------------------------------------------


def test_a_record_is_wanted_for_tcp_only_and_only_for_a_hostname_of_its_own() -> None:
    wanted = {"createDnsRecord": True}
    assert one(app(endpoints(wanted))).dns
    assert not one(app(endpoints({}))).dns
    assert not one(app(endpoints({**wanted, "httpPath": "/a"}))).dns
    assert not one(app(endpoints({**wanted, "hostname": "foreign.test"}))).dns
    assert not one(app(endpoints(wanted), lost={FQDN: "elder"})).dns


# -- hostnames --------------------------------------------------------------------------------------------------------

LISTED = {"hostnames": ["shop.example.com"]}
ALLOWED, CONFLICT = ("RoutesReady", "HostnameNotAllowed"), ("RoutesReady", "HostnameConflict")


@pytest.mark.parametrize(
    ("hostname", "lost", "want"),
    [
        (f"x.{FQDN}", {}, []),
        (f"a.b.{FQDN}", {}, []),
        ("shop.example.com", {}, []),
        ("shop.example.com", {FQDN: "elder"}, []),
        ("other.example.com", {}, [ALLOWED]),
        (FQDN, {}, [ALLOWED]),
        (f"x{FQDN}", {}, [ALLOWED]),
        ("decco.test", {}, [ALLOWED]),
        ("shop.example.com", {"shop.example.com": "elder"}, [CONFLICT]),
        (f"x.{FQDN}", {FQDN: "elder"}, [CONFLICT]),
        (None, {FQDN: "elder"}, [CONFLICT]),
    ],
)
def test_hostnames(hostname: str | None, lost: dict[str, str], want: list[tuple[str, str]]) -> None:
    item = {} if hostname is None else {"hostname": hostname}
    inputs = app(endpoints(item), space=LISTED, lost=lost)
    endpoint = one(inputs)
    assert problems_of(inputs) == want
    assert endpoint.routed is not bool(want)
    assert endpoint.hostname == (None if want else hostname or f"e0.{FQDN}")
    # What runs goes on: the Service and the listener do not hang on the hostname.
    assert endpoint.tls is not None


def test_a_default_hostname_that_is_too_long_for_dns_is_reported() -> None:
    domain = ".".join(["d" * 60] * 4)
    inputs = app(endpoints({"name": "e" * 63}), space={"domainName": domain[:188].rstrip(".")})
    assert problems_of(inputs) == [ALLOWED]
    assert "more than 253 characters" in resolve(inputs).route_problems[0].message
    assert not one(inputs).routed
    assert one(inputs).tls is not None


def test_a_hostname_with_a_path_is_reported_and_served_at_the_fqdn() -> None:
    inputs = app(endpoints({"httpPath": "/a", "hostname": "shop.example.com"}), space=LISTED)
    assert (one(inputs).hostname, one(inputs).routed) == (FQDN, True)
    assert problems_of(inputs) == [ALLOWED]
    assert problems_of(app(endpoints({"httpPath": "/a", "hostname": FQDN}))) == []


def test_a_lost_fqdn_takes_the_paths_with_it() -> None:
    inputs = app(endpoints({"httpPath": "/a"}), lost={FQDN: "elder"})
    assert not one(inputs).routed
    assert problems_of(inputs) == [CONFLICT]
    assert "elder" in resolve(inputs).route_problems[0].message


# -- what an older App has --------------------------------------------------------------------------------------------


def test_a_taken_name_gets_nothing_and_the_others_go_on() -> None:
    inputs = app(endpoints({}, {}), taken={"name:e0": "elder"})
    assert [endpoint.name for endpoint in resolve(inputs).endpoints] == ["e1"]
    assert problems_of(inputs) == [("WorkloadReady", "EndpointConflict")]


@pytest.mark.parametrize("written", ["/a", "/a/"])
def test_a_taken_path_gets_no_route(written: str) -> None:
    inputs = app(endpoints({"httpPath": written}), taken={"path:/a": "elder"})
    assert not one(inputs).routed
    assert problems_of(inputs) == [("RoutesReady", "PathConflict")]


def test_a_taken_hostname_gets_no_route() -> None:
    inputs = app(endpoints({}), taken={f"hostname:e0.{FQDN}": "elder"})
    assert not one(inputs).routed
    assert problems_of(inputs) == [CONFLICT]


def test_a_taken_clear_text_service_is_left_out() -> None:
    inputs = app(endpoints({"createClearTextService": True}), taken={"name:e0-cleartext": "elder"})
    assert not one(inputs).clear_text_service
    assert one(inputs).routed
    assert problems_of(inputs) == [("WorkloadReady", "EndpointConflict")]


def test_of_two_equal_ones_in_an_old_object_the_first_stays() -> None:
    pair = (Endpoint(name="a", port=1, http_path="/x"), Endpoint(name="a", port=2))
    spec = AppSpec.model_construct(pod=POD, endpoints=(*pair, Endpoint(name="b", port=3, http_path="/x/")))
    inputs = app(spec)
    assert [(e.name, e.container_port, e.routed) for e in resolve(inputs).endpoints] == [
        ("a", 1, True),
        ("b", 3, False),
    ]
    assert problems_of(inputs) == [("WorkloadReady", "EndpointConflict"), ("RoutesReady", "PathConflict")]

    hostname = f"x.{FQDN}"
    pair = (Endpoint(name="a", port=1, hostname=hostname), Endpoint(name="b", port=2, hostname=hostname))
    inputs = app(AppSpec.model_construct(pod=POD, endpoints=pair))
    assert [endpoint.hostname for endpoint in resolve(inputs).endpoints] == [hostname, None]
    assert problems_of(inputs) == [CONFLICT]


def test_tls_in_the_container_of_an_http_endpoint_needs_an_edge_that_speaks_tls() -> None:
    item = {"httpPath": "/a", "disableTlsTermination": True}
    assert problems_of(app(endpoints(item))) == [("RoutesReady", "RouteNotSupported")]
    assert not one(app(endpoints(item))).routed
    assert one(app(endpoints(item), space={"encryptHttp": True})).routed


# -- text that admission would never have let in ----------------------------------------------------------------------

EVIL = ["a\nb", "a b", 'a"b', "a;b", "A", "a.b", "-a", "1a", "", "a" * 64, "a]\n[b", "a`b"]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_of_the_wrong_form_gets_nothing(name: str) -> None:
    inputs = app(AppSpec.model_construct(pod=POD, endpoints=(Endpoint.model_construct(name=name, port=1),)))
    assert resolve(inputs).endpoints == ()
    assert problems_of(inputs) == [("WorkloadReady", "Invalid")]


@pytest.mark.parametrize("path", ["a", "", "/a b", "/a\n", "/a;b", "/a`", "/$1", "/../a", "//a", "/a{", "/a?b", "/a#b"])
@pytest.mark.parametrize("field", ["http_path", "rewrite_path"])
def test_a_path_of_the_wrong_form_gets_no_route(field: str, path: str) -> None:
    endpoint = Endpoint.model_construct(**{"name": "a", "port": 1, "http_path": "/ok", field: path})
    inputs = app(AppSpec.model_construct(pod=POD, endpoints=(endpoint,)))
    assert not one(inputs).routed
    assert problems_of(inputs) == [("RoutesReady", "Invalid")]


@pytest.mark.parametrize("label", ["a`) || HostSNI(`b", "*", "a\nb", "a b", "-", "a_b"])
def test_a_hostname_of_the_wrong_form_gets_no_route(label: str) -> None:
    endpoint = Endpoint.model_construct(name="a", port=1, hostname=f"{label}.{FQDN}")
    inputs = app(AppSpec.model_construct(pod=POD, endpoints=(endpoint,)))
    assert not one(inputs).routed
    assert problems_of(inputs) == [ALLOWED]
