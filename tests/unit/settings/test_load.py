"""Settings: what each source may say, which one wins, and the exact line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.forms import parse_bind_address, parse_name_server
from decco.settings import LogLevel, RoutingBackend, Settings
from decco.settings.fields import SETTINGS
from decco.settings.load import NOT_SETTINGS, WrongSettings, dump, load
from tools.descriptions import describe

LABEL = "must be a DNS label: lower-case letters, digits and inner hyphens, at most 63 of them"
NETWORK = "must be a network such as 192.0.2.0/24 or 2001:db8::/32, host bits zero"
RESOURCES = "must be a mapping with requests and limits, each of names to quantities"
BIND = "must be host:port, [IPv6]:port, :port for all interfaces, or 0 for off"
PODS = "must be namespace/label=value of pods, such as kube-system/k8s-app=kube-dns"
AT_TOP = (
    "namespace, clusterId, clusterDomain, kubeconfig, context, metricsBindAddress, logFormat, logLevel, dryRun, "
    "routing, edge, dns, egress, mesh, certificates, isolation, sidecar, controller, probe, leaderElection, verify"
)
IN_ROUTING = "backend, parentGateway, gatewayClassName, ingressDialect, ingressClassName"
IN_EDGE = ("DECCO_EDGE__NAMESPACE", "DECCO_EDGE__CIDRS", "DECCO_EDGE__SERVICE", "DECCO_EDGE__ADDRESSES")

# One value for each setting that is not its default, as the file has it.
OTHER: dict[str, Any] = {
    "namespace": "platform",
    "clusterId": "east-1",
    "clusterDomain": "k8s.example",
    "kubeconfig": "/etc/kube/config",
    "context": "prod",
    "metricsBindAddress": "[::1]:9090",
    "logFormat": "console",
    "logLevel": "debug",
    "dryRun": True,
    "routing.backend": "ingress",
    "routing.parentGateway": "edge/shared",
    "routing.gatewayClassName": "envoy.example",
    "routing.ingressDialect": "traefik",
    "routing.ingressClassName": "public",
    "edge.namespace": "edge-system",
    "edge.cidrs": ["192.0.2.0/24", "2001:db8::/32"],
    "edge.service": "edge/proxy",
    "edge.addresses": ["203.0.113.7", "2001:db8::7", "edge.example.com"],
    "dns.providers": [
        {
            "name": "inside",
            "zones": ["corp.example"],
            "nameServers": ["192.0.2.53", "192.0.2.54:5353", "[2001:db8::53]:5353"],
            "secretName": None,
            "timeoutSeconds": 5.0,
            "requestsPerSecond": None,
            "type": "rfc2136",
            "host": "ns1.corp.example",
            "port": 5353,
            "tsigKeyName": None,
            "tsigAlgorithm": "hmac-sha256",
            "tsigSecretFile": None,
        }
    ],
    "dns.ttl": 60,
    "dns.gatherMilliseconds": 100,
    "dns.compareSeconds": 600.0,
    "dns.noAddressGraceSeconds": 0.0,
    "dns.retryBaseSeconds": 2.0,
    "dns.retryMaxSeconds": 60.0,
    "dns.federation.id": "world",
    "dns.federation.compareSeconds": 30.0,
    "dns.federation.withdrawSeconds": 0.0,
    "dns.adopt": True,
    "egress.dnsPods": ["openshift-dns/dns.operator.openshift.io/daemonset-dns=default"],
    "egress.dnsAddresses": ["10.96.0.10/32"],
    "egress.dnsPorts": [53, 5353],
    "egress.allowedCidrs": ["10.20.0.0/16"],
    "egress.refusedCidrs": ["203.0.113.0/24"],
    "egress.edgePorts": [8443],
    "egress.nameServers": ["192.0.2.53:5353"],
    "egress.refreshMinSeconds": 5.0,
    "egress.refreshMaxSeconds": 60.0,
    "egress.keepSeconds": 30.0,
    "mesh.switchSeconds": 30.0,
    "certificates.issuerName": "letsencrypt",
    "certificates.issuerKind": "Issuer",
    "certificates.issuerGroup": "awspca.cert-manager.io",
    "isolation.sandboxes": ["kata", "gvisor"],
    "sidecar.image": "example.test:5000/stunnel@sha256:" + "0" * 64,
    "sidecar.imagePullPolicy": "Always",
    "sidecar.imagePullSecrets": ["regcred", "mirror.example"],
    "sidecar.resources": {"limits": {"memory": "64Mi", "cpu": 1}},
    "sidecar.runAsUser": 1000,
    "controller.spaceWorkers": 2,
    "controller.appWorkers": 3,
    "controller.requestsInFlight": 4,
    "controller.watchIdleSeconds": 90.5,
    "controller.retryBaseSeconds": 0.5,
    "controller.retryMaxSeconds": 60.0,
    "controller.loopSilenceSeconds": 20.0,
    "probe.enabled": False,
    "probe.intervalSeconds": 60.0,
    "probe.maxPerSecond": 50,
    "leaderElection.enabled": False,
    "leaderElection.leaseName": "another",
    "leaderElection.leaseSeconds": 60.0,
    "leaderElection.renewSeconds": 8.5,
    "leaderElection.retrySeconds": 1.5,
    "verify.image": "registry.example.net/busybox:1",
}


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "decco.yaml"
    path.write_text(text)
    return path


def mistakes(environ: dict[str, str], path: Path | None = None, **flags: object) -> list[str]:
    """The lines of the refusal; paths are cut to the file's name."""
    with pytest.raises(WrongSettings) as caught:
        load(flags, environ, path)
    return [line.replace(f"{path}", "decco.yaml") for line in caught.value.lines]


def nested(key: str, value: object) -> object:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def value_of(settings: Settings, key: str) -> Any:
    value: Any = settings.model_dump(mode="json", by_alias=True)
    for part in key.split("."):
        value = value[part]
    return value


def test_nothing_given_is_the_defaults() -> None:
    assert load({"log_level": None}, {"PATH": "/bin", "DECCO_CONTEXT": ""}, None) == Settings()


def test_the_table_above_has_every_setting() -> None:
    assert list(OTHER) == list(SETTINGS)
    for key, value in OTHER.items():
        assert value != value_of(Settings(), key)


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_can_be_set_in_the_file_and_in_the_environment(key: str, tmp_path: Path) -> None:
    value = OTHER[key]
    flags = {"cluster_id": "east"} if key == "dns.federation.id" else {}
    path = config(tmp_path, yaml.safe_dump(nested(key, value)))
    assert value_of(load(flags, {}, path), key) == value
    text = value if isinstance(value, str) else json.dumps(value)
    assert value_of(load(flags, {SETTINGS[key].variable: text}, None), key) == value


def test_a_federation_needs_a_cluster_id_of_its_own(tmp_path: Path) -> None:
    [line] = mistakes({}, config(tmp_path, "dns: {federation: {id: world}}\n"))
    assert "federation.id needs an id of this cluster's own" in line
    assert "set clusterId" in line


def test_later_sources_win_one_by_one(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        "logLevel: error\nclusterId: file\nnamespace: file\nrouting: {backend: ingress, ingressDialect: nginx}\n",
    )
    environ = {"DECCO_CLUSTER_ID": "env", "DECCO_NAMESPACE": "env", "DECCO_ROUTING__BACKEND": "none"}
    settings = load({"namespace": "flag", "dry_run": None}, environ, path)
    assert settings.log_level is LogLevel.ERROR
    assert settings.cluster_id == "env"
    assert settings.namespace == "flag"
    assert settings.routing.backend is RoutingBackend.NONE
    assert settings.routing.ingress_dialect == "nginx"  # a variable replaces one setting, not its whole group


def test_a_value_that_a_stronger_source_replaces_is_not_judged(tmp_path: Path) -> None:
    path = config(tmp_path, "logLevel: loud\n")
    assert load({}, {"DECCO_LOG_LEVEL": "error"}, path).log_level is LogLevel.ERROR
    assert load({"log_level": "debug"}, {"DECCO_LOG_LEVEL": "loud"}, None).log_level is LogLevel.DEBUG


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.0/24", ("192.0.2.0/24",)),
        (" 192.0.2.0/24 , 2001:db8::/32,", ("192.0.2.0/24", "2001:db8::/32")),
        ('["192.0.2.0/24"]', ("192.0.2.0/24",)),
        ("[]", ()),
    ],
)
def test_lists_in_the_environment(text: str, expected: tuple[str, ...]) -> None:
    assert load({}, {"DECCO_EDGE__CIDRS": text}, None).edge.cidrs == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "routing: {backend: gatway}",
            '1: routing.backend: "gatway" must be gateway, ingress or none; did you mean gateway?',
        ),
        ("routing: {backend: xds}", '1: routing.backend: "xds" must be gateway, ingress or none'),
        ("routing:\n  backed: none", "2: routing.backed: unknown setting; did you mean routing.backend?"),
        ("backend: none", "1: backend: unknown setting; did you mean routing.backend?"),
        ("log_format: json", "1: log_format: unknown setting; did you mean logFormat?"),
        ("log-level: info", "1: log-level: unknown setting; did you mean logLevel?"),
        (
            "edge: {zzz: 1}",
            "1: edge.zzz: unknown setting; allowed here: namespace, cidrs, service, addresses",
        ),
        ("routing: gateway", f"1: routing: must be a mapping with keys among {IN_ROUTING}"),
        ('"a\\nb": 1', f'1: "a\\nb": unknown setting; allowed here: {AT_TOP}'),
        ("logLevel: INFO", '1: logLevel: "INFO" must be debug, info, warning or error; did you mean info?'),
        ("dryRun: perhaps", '1: dryRun: "perhaps" must be true or false'),
        ("clusterId: 5", f"1: clusterId: 5 {LABEL}; write it in quotes"),
        ("clusterId: 2026-01-02", f'1: clusterId: "2026-01-02" {LABEL}; write it in quotes'),
        (
            "clusterId: 2026-13-02",
            "1: clusterId: cannot be understood: month must be in 1..12; docs/reference/settings.md shows its form",
        ),
        (
            "clusterId: !secret x",
            (
                "1: clusterId: cannot be understood: could not determine a constructor for the tag '!secret'; "
                "docs/reference/settings.md shows its form"
            ),
        ),
        ("namespace:", f"1: namespace: null {LABEL}"),
        ("namespace: a_b", f'1: namespace: "a_b" {LABEL}'),
        (f"namespace: {'x' * 64}", f'1: namespace: "{"x" * 59}… {LABEL}'),
        ("metricsBindAddress: 8080", f"1: metricsBindAddress: 8080 {BIND}; write it in quotes"),
        ("metricsBindAddress: localhost", f'1: metricsBindAddress: "localhost" {BIND}'),
        ("context: ''", '1: context: "" must be text of at least one character'),
        ("routing: {parentGateway: shared}", '1: routing.parentGateway: "shared" must be namespace/name of an object'),
        ("edge: {service: a/b/c}", '1: edge.service: "a/b/c" must be namespace/name of an object'),
        ("edge: {cidrs: [192.0.2.0/24, 192.0.2.1/24]}", f'1: edge.cidrs[1]: "192.0.2.1/24" {NETWORK}'),
        ("edge: {cidrs: [192.0.2.1]}", f'1: edge.cidrs[0]: "192.0.2.1" {NETWORK}'),
        ("edge: {cidrs: [10.0.0.0/255.0.0.0]}", f'1: edge.cidrs[0]: "10.0.0.0/255.0.0.0" {NETWORK}'),
        ("edge: {cidrs: 192.0.2.0/24}", f'1: edge.cidrs: "192.0.2.0/24" must be a list, each item {NETWORK[8:]}'),
        ("edge: {cidrs: [7]}", f"1: edge.cidrs[0]: 7 {NETWORK}; write it in quotes"),
        ("edge: {addresses: [a_b]}", '1: edge.addresses[0]: "a_b" must be an IP address or a DNS name'),
        ("edge: {cidrs: ['fe80::%eth0/64']}", f'1: edge.cidrs[0]: "fe80::%eth0/64" {NETWORK}'),
        (
            "edge: {addresses: ['fe80::1%eth0']}",
            '1: edge.addresses[0]: "fe80::1%eth0" must be an IP address or a DNS name',
        ),
        (
            "egress: {dnsPods: [kube-system]}",
            f'1: egress.dnsPods[0]: "kube-system" {PODS}',
        ),
        (
            "egress: {refreshMinSeconds: 60, refreshMaxSeconds: 30}",
            "1: egress.refreshMaxSeconds: 30 must be at least refreshMinSeconds, which is 60",
        ),
        ("sidecar: {image: 'a b'}", '1: sidecar.image: "a b" must be an image reference'),
        ("sidecar: {resources: [1]}", f"1: sidecar.resources: [1] {RESOURCES}"),
        ("sidecar: {resources: {request: {}}}", f'1: sidecar.resources: {{"request": {{}}}} {RESOURCES}'),
        (
            "sidecar: {resources: {limits: {cpu: lots}}}",
            f'1: sidecar.resources: {{"limits": {{"cpu": "lots"}}}} {RESOURCES}',
        ),
        ("sidecar: {resources: {limits: 5}}", f'1: sidecar.resources: {{"limits": 5}} {RESOURCES}'),
        ("sidecar: {runAsUser: 0}", "1: sidecar.runAsUser: 0 must be a whole number of at least 1"),
        (
            "sidecar: {imagePullPolicy: always}",
            '1: sidecar.imagePullPolicy: "always" must be Always, IfNotPresent or Never; did you mean Always?',
        ),
        ("controller: {appWorkers: 1000}", "1: controller.appWorkers: 1000 must be a whole number from 1 to 256"),
        ("controller: {watchIdleSeconds: .inf}", "1: controller.watchIdleSeconds: Infinity must be a number above 0"),
        ("controller: {watchIdleSeconds: 0}", "1: controller.watchIdleSeconds: 0 must be a number above 0"),
        (
            "leaderElection: {retrySeconds: 10}",
            "1: leaderElection.retrySeconds: 10 must be less than renewSeconds, which is 10",
        ),
        (
            "controller: {retryMaxSeconds: 1, retryBaseSeconds: 2}",
            "1: controller.retryMaxSeconds: 1 must be at least retryBaseSeconds, which is 2",
        ),
        ("namespace: a\nlogLevel: info\nnamespace: b", "3: namespace: stands here twice; keep one"),
        ("routing: {}\nrouting: {}", "2: routing: stands here twice; keep one"),
    ],
)
def test_each_mistake_in_the_file_has_its_line(text: str, line: str, tmp_path: Path) -> None:
    assert mistakes({}, config(tmp_path, text)) == [f"decco.yaml:{line}"]


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("DECCO_ROUTNG__BACKEND", "none", "unknown setting; did you mean DECCO_ROUTING__BACKEND?"),
        ("DECCO_ROUTING_BACKEND", "none", "unknown setting; did you mean DECCO_ROUTING__BACKEND?"),
        ("DECCO_BACKEND", "none", "unknown setting; did you mean DECCO_ROUTING__BACKEND?"),
        ("DECCO_LOGLEVEL", "info", "unknown setting; did you mean DECCO_LOG_LEVEL?"),
        ("DECCO_log_level", "info", "unknown setting; did you mean DECCO_LOG_LEVEL?"),
        ("DECCO_QQQQ", "", "unknown setting; docs/reference/settings.md lists them all"),
        (
            "DECCO_EDGE",
            "{}",
            f"is a group of settings; set {', '.join(IN_EDGE)}",
        ),
        ("DECCO_LOG_LEVEL", "loud", '"loud" must be debug, info, warning or error'),
        ("DECCO_DRY_RUN", "maybe", '"maybe" must be true or false'),
        ("DECCO_CONTROLLER__APP_WORKERS", "many", '"many" must be a whole number from 1 to 256'),
        ("DECCO_CONTROLLER__APP_WORKERS", "1.5", '"1.5" must be a whole number from 1 to 256'),
        ("DECCO_EDGE__CIDRS", "[oops", f'"[oops" must be a list, each item {NETWORK[8:]}'),
        ("DECCO_SIDECAR__RESOURCES", "{", f'"{{" {RESOURCES}'),
        ("DECCO_SIDECAR__RESOURCES", "[]", f"[] {RESOURCES}"),
        ("DECCO_NAMESPACE", "a\x1b[2J\u2028b", f'"a\\u001b[2J\\u2028b" {LABEL}'),
    ],
)
def test_each_mistake_in_the_environment_has_its_line(variable: str, text: str, line: str) -> None:
    assert mistakes({variable: text}) == [f"{variable}: {line}"]


def test_an_item_of_a_list_is_named_by_its_place() -> None:
    assert mistakes({"DECCO_EDGE__ADDRESSES": "192.0.2.1,a_b"}) == [
        'DECCO_EDGE__ADDRESSES[1]: "a_b" must be an IP address or a DNS name'
    ]


def test_a_default_that_does_not_fit_a_given_value_is_named_as_one() -> None:
    assert mistakes({"DECCO_CONTROLLER__RETRY_BASE_SECONDS": "500"}) == [
        "controller.retryMaxSeconds (default): 300.0 must be at least retryBaseSeconds, which is 500"
    ]
    assert mistakes({"DECCO_LEADER_ELECTION__LEASE_SECONDS": "10"}) == [
        "leaderElection.renewSeconds (default): 10.0 must be less than leaseSeconds, which is 10"
    ]


def test_mistakes_of_all_sources_come_at_once(tmp_path: Path) -> None:
    path = config(tmp_path, "routing:\n  backend: gatway\n  parentGatway: a/b\ndryRun: maybe\nsidecar:\n")
    lines = mistakes({"DECCO_CLUSTER_ID": "A", "DECCO_NOPE": "1"}, path, log_level="loud", metrics_bind_address="x")
    assert lines == [
        "decco.yaml:3: routing.parentGatway: unknown setting; did you mean routing.parentGateway?",
        "DECCO_NOPE: unknown setting; docs/reference/settings.md lists them all",
        f'DECCO_CLUSTER_ID: "A" {LABEL}',
        f'--metrics-bind-address: "x" {BIND}',
        '--log-level: "loud" must be debug, info, warning or error',
        'decco.yaml:4: dryRun: "maybe" must be true or false',
        'decco.yaml:2: routing.backend: "gatway" must be gateway, ingress or none; did you mean gateway?',
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "decco.yaml: cannot be read: No such file or directory; --config names the file with the settings"),
        (b"\xff", "decco.yaml: is not UTF-8 text (byte 0): save it as UTF-8"),
        (b"- a\n", f"decco.yaml: must be a mapping with keys among {AT_TOP}"),
        (b"a: [1\nb: 2\n", "decco.yaml:2: is not one YAML document: expected ',' or ']', but got ':'"),
        (
            b"logLevel: info\n---\nlogLevel: debug\n",
            "decco.yaml:2: is not one YAML document: but found another document",
        ),
        (
            b"\x00",
            "decco.yaml: is not one YAML document: unacceptable character #x0000: special characters are not allowed",
        ),
    ],
)
def test_a_file_that_cannot_be_read(content: bytes | None, line: str, tmp_path: Path) -> None:
    path = tmp_path / "decco.yaml"
    if content is not None:
        path.write_bytes(content)
    assert mistakes({}, path) == [line]


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "routing:\n  # backend: none\n", "{}", "metricsBindAddress: ':8080'"]
)
def test_files_that_say_nothing_new(text: str, tmp_path: Path) -> None:
    assert load({}, {}, config(tmp_path, text)) == Settings()


def test_the_kubelets_variables_for_our_own_services_are_not_settings() -> None:
    # What a pod finds beside Services named decco, decco-edge and decco-metrics (enableServiceLinks).
    environ = {
        "DECCO_SERVICE_HOST": "10.0.0.7",
        "DECCO_SERVICE_PORT": "8080",
        "DECCO_SERVICE_PORT_METRICS": "8080",
        "DECCO_PORT": "tcp://10.0.0.7:8080",
        "DECCO_PORT_8080_TCP": "tcp://10.0.0.7:8080",
        "DECCO_PORT_8080_TCP_PROTO": "tcp",
        "DECCO_PORT_8080_TCP_PORT": "8080",
        "DECCO_PORT_8080_TCP_ADDR": "10.0.0.7",
        "DECCO_EDGE_SERVICE_HOST": "10.0.0.8",
        "DECCO_METRICS_PORT_9090_TCP_ADDR": "10.0.0.9",
    }
    assert load({}, environ | dict.fromkeys(NOT_SETTINGS, "/tmp/x"), None) == Settings()


def test_zero_as_a_number_turns_the_endpoints_off(tmp_path: Path) -> None:
    assert load({}, {}, config(tmp_path, "metricsBindAddress: 0")).metrics_bind_address == "0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8080", (None, 8080)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:80", ("localhost", 80)),
        ("0", None),
    ],
)
def test_bind_addresses(text: str, expected: tuple[str | None, int] | None) -> None:
    assert parse_bind_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", ":65536", "::1:80", "[::1]", "[x]:1", "a b:1", ":-1", "h:8\n"]
)
def test_what_is_no_bind_address(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text of the message is the form's
        parse_bind_address(text)


@pytest.mark.parametrize("given", [{}, OTHER])
def test_what_is_printed_is_read_back(given: dict[str, Any], tmp_path: Path) -> None:
    everything: dict[str, Any] = {}
    for key, value in given.items():
        *groups, last = key.split(".")
        place = everything
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    settings = Settings.model_validate(everything)
    assert load({}, {}, config(tmp_path, dump(settings))) == settings


def test_every_setting_says_what_it_is_and_what_it_must_be() -> None:
    describe(Settings)
    for setting in SETTINGS.values():
        assert setting.field.description, setting.key
        assert setting.type.allowed, setting.key


@pytest.mark.parametrize(
    ("provider", "line"),
    [
        ({"type": "mem", "zones": ["a.b"]}, "[0]: {"),
        ({"type": "memory"}, "[0].zones: is missing; it must be a list of at least one DNS name"),
        ({"type": "memory", "zones": ["a.b", "*.c"]}, "[0].zones[1]: \"*.c\" must be a DNS name, without '*'"),
        (
            {"type": "rfc2136", "zones": ["a.b"], "host": "ns", "prot": 5353},
            "[0].prot: 5353 is given to an unknown setting; did you mean port?",
        ),
        ({"type": "rfc2136", "zones": ["a.b"], "host": "ns", "port": 0}, "[0].port: 0 must be a whole number from 1"),
        ("memory", '[0]: "memory" must be a mapping whose type is one of clouddns, coredns, '),
    ],
)
def test_a_mistake_in_a_dns_provider_has_its_place(provider: Any, line: str, tmp_path: Path) -> None:
    [mistake] = mistakes({"DECCO_DNS__PROVIDERS": json.dumps([provider])})
    assert mistake.startswith(f"DECCO_DNS__PROVIDERS{line}")
    path = config(tmp_path, yaml.safe_dump({"dns": {"providers": [provider]}}))
    [mistake] = mistakes({}, path)
    assert mistake.startswith(f"decco.yaml:2: dns.providers{line}")


def test_the_sidecars_user_can_be_left_to_the_cluster(tmp_path: Path) -> None:
    for text in ("sidecar: {runAsUser: null}", "sidecar:\n  runAsUser:"):
        assert load({}, {}, config(tmp_path, text)).sidecar.run_as_user is None
    assert load({}, {"DECCO_SIDECAR__RUN_AS_USER": "null"}, None).sidecar.run_as_user is None
    assert load({}, {"DECCO_SIDECAR__RUN_AS_USER": ""}, None).sidecar.run_as_user == 65532


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_name_server(text: str, server: tuple[str, int]) -> None:
    assert parse_name_server(text) == server


@pytest.mark.parametrize("text", ["", "ns1.example", "ns1.example:53", ":53", "192.0.2.53:0", "192.0.2.53:x", "0"])
def test_no_name_server(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (of any kind)
        parse_name_server(text)
