"""What ``decco import`` proposes for a namespace: whole inputs with golden results, then one rule each."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from decco.api.parse import parse_app, parse_space
from decco.errors import ConfigError
from decco.importing.fields import Level, Source
from decco.importing.namespace.proposal import propose
from decco.importing.output import join, left_out, yaml_files
from decco.importing.read import read_objects
from decco.importing.result import Imported, Result
from decco.objects import Key, Obj
from tests.unit.goldens import GOLDEN, UPDATE

INPUTS = Path(__file__).parents[2] / "importing" / "namespace"
CASES: dict[str, dict[str, str]] = {
    "wordpress": {"space": "acme", "domain": "example.net"},
    "shop": {},
    "database": {"domain": "example.com"},
    "rules": {"domain": "example.net"},
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """Comments are part of the result: they state what was lost."""
    given = [
        (Source(case, source.document, source.kind, source.key), obj)
        for source, obj in read_objects(str(INPUTS / f"{case}.yaml"), io.StringIO())
    ]
    result = propose(given, **CASES[case])
    got = join(yaml_files(result).values()) + left_out(result)
    file = GOLDEN / "importing" / f"{case}.yaml"
    want = file.read_text() if file.exists() else ""
    if got != want and os.environ.get(UPDATE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(got)
        pytest.fail(f"{file.name} written because {UPDATE} is set; read its diff, then run again without")
    assert got == want, "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "golden", "got"))
    for obj in yaml.safe_load_all(got):
        if obj["kind"] in ("Space", "App"):
            (parse_space if obj["kind"] == "Space" else parse_app)(obj)


@pytest.mark.parametrize("case", CASES)
def test_values_are_in_no_remark(case: str) -> None:
    """The inputs have the password swordfish in Secrets, variables and snippets."""
    given = read_objects(str(INPUTS / f"{case}.yaml"), io.StringIO())
    for imported in propose(given, **CASES[case]).all:
        assert not any(word in str(remark) for remark in imported.remarks for word in ("swordfish", "c3dvcmRmaXNo"))


# -- one rule each ----------------------------------------------------------------------------------------------------


def workload(name: str = "web", kind: str = "Deployment", port: int = 8080, **spec: Any) -> Obj:
    pod = {"containers": [{"name": name, "image": "i", "ports": [{"name": "http", "containerPort": port}]}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": template, **spec},
    }


def service(name: str = "web", **spec: Any) -> Obj:
    filled = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": "http"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": filled}


def ingress(*paths: tuple[str, str, str], name: str = "web", tls: Any = None, **annotations: str) -> Obj:
    """``paths``: (host, path, Service); ``annotations`` of ingress-nginx, with _ for -."""
    rules = []
    for host, path, backend in paths:
        item = {"path": path, "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}
        rules.append({**({"host": host} if host else {}), "http": {"paths": [item]}})
    written = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    meta = {"name": name, "namespace": "shop", "annotations": written}
    spec = {"rules": rules, **({"tls": tls} if tls else {})}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}


def result_of(*objects: Obj, **options: Any) -> Result:
    given = [
        (Source("f", number, obj["kind"], Key("shop", str(obj["metadata"].get("name")))), obj)
        for number, obj in enumerate(objects, 1)
    ]
    return propose(given, **{"domain": "example.net", **options})


def endpoints(result: Result, app: int = 0) -> list[Obj]:
    imported = result.apps[app]
    assert imported.obj is not None, imported.remarks
    return list(imported.obj["spec"]["endpoints"])


def names(imported: Imported, level: Level = Level.LOST) -> list[str]:
    return [remark.name for remark in imported.remarks if remark.level is level]


def other(result: Result, kind: str) -> Imported:
    return next(each for each in result.others if each.source.kind == kind)


@pytest.mark.parametrize(
    ("path", "target", "want"),
    [
        ("/api(/|$)(.*)", "/$2", {"httpPath": "/api", "rewritePath": "/"}),
        ("/api/(.*)", "/$1", {"httpPath": "/api", "rewritePath": "/"}),
        ("/api/(.*)", "/v1/$1", {"httpPath": "/api", "rewritePath": "/v1"}),
        ("/(.*)", "/$1", {"httpPath": "/"}),
        ("/api/.*", "/", {"httpPath": "/api", "rewritePath": "/"}),
        ("/api", "/", {"httpPath": "/api", "rewritePath": "/"}),
        ("/api(/|$)(.*)", "/$1", {"httpPath": "/api"}),
    ],
)
def test_rewriting_of_a_prefix(path: str, target: str, want: Obj) -> None:
    result = result_of(workload(), service(), ingress(("a.example.org", path, "web"), rewrite_target=target))
    [endpoint] = endpoints(result)
    assert {key: endpoint[key] for key in ("httpPath", "rewritePath") if key in endpoint} == want


@pytest.mark.parametrize("path", ["/re[0-9]+", "/a b", "/x/../y", "/(en|de)/shop", "shop", '/"; return 200'])
def test_a_path_that_is_no_prefix_is_left_out(path: str) -> None:
    result = result_of(workload(), service(), ingress(("a.example.org", path, "web"), use_regex="true"))
    assert endpoints(result) == []
    assert "path-not-convertible" in names(other(result, "Ingress"))


@pytest.mark.parametrize(
    "annotation",
    ["auth_type", "auth_url", "auth_tls_secret", "whitelist_source_range", "allowlist_source_range"],
)
def test_restricted_paths_are_not_opened(annotation: str) -> None:
    closed = ingress(("shop.example.net", "/admin", "web"), name="admin", **{annotation: "x"})
    result = result_of(workload(), service(), closed)
    assert endpoints(result) == []
    assert names(other(result, "Ingress")) == ["restricted-paths"]
    both = result_of(workload(), service(), closed, ingress(("shop.example.net", "/", "web")))
    assert "restricted-path-open" in names(other(both, "Ingress"))
    [endpoint] = endpoints(both)
    assert endpoint["httpPath"] == "/"


RANGE = {"whitelist_source_range": "10.0.0.0/8, 192.0.2.7,2001:DB8::/32"}
CIDRS = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]


def two(first: Obj, second: Obj) -> Result:
    """Two Ingresses with these annotations."""
    one = ingress(("shop.example.net", "/", "web"), name="one", **first)
    other_ = ingress(("shop.example.net", "/admin", "web"), name="two", **second)
    return result_of(workload(), service(), one, other_)


def limits(result: Result) -> Obj:
    [space] = result.spaces
    assert space.obj is not None
    return dict(space.obj["spec"].get("limits") or {})


def remarks(result: Result) -> set[str]:
    return {each.name for made in result.others if made.source.kind == "Ingress" for each in made.remarks}


def paths(result: Result) -> set[str]:
    return {
        each["path"] for one in endpoints(result) for each in (one.get("httpPaths") or [{"path": one.get("httpPath")}])
    }


@pytest.mark.parametrize(
    ("annotations", "want"),
    [
        ({"proxy_body_size": "64m"}, {"requestBody": "64Mi"}),
        ({"proxy_body_size": "1G"}, {"requestBody": "1024Mi"}),
        ({"proxy_body_size": "512k"}, {"requestBody": "512Ki"}),
        ({"proxy_body_size": "2048"}, {"requestBody": "2Ki"}),
        ({"limit_rps": "10"}, {"requestRate": {"requests": 10, "unit": "Second"}}),
        ({"limit_rpm": "300"}, {"requestRate": {"requests": 300, "unit": "Minute"}}),
        (RANGE, {"clientCidrs": CIDRS}),
        ({"allowlist_source_range": "10.1.2.3/8"}, {"clientCidrs": ["10.0.0.0/8"]}),
    ],
)
def test_a_limit_of_all_is_a_limit_of_the_space(annotations: Obj, want: Obj) -> None:
    both = two(annotations, annotations)
    assert limits(both) == want
    assert remarks(both) == {"limit-converted"}
    assert paths(both) == {"/", "/admin"}


def test_no_limit_of_a_body_is_none_of_the_space() -> None:
    for second in ({"proxy_body_size": "0"}, {}):
        both = two({"proxy_body_size": "0"}, second)
        assert limits(both) == {}
        assert remarks(both) == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"proxy_body_size": "64m"}, {}),
        ({"proxy_body_size": "64m"}, {"proxy_body_size": "32m"}),
        ({"limit_rps": "5"}, {"limit_rps": "6"}),
        ({"limit_rps": "5"}, {"limit_rpm": "5"}),
    ],
)
def test_a_limit_of_some_is_a_remark(first: Obj, second: Obj) -> None:
    both = two(first, second)
    assert limits(both) == {}
    assert remarks(both) == {"limit-of-some"}


@pytest.mark.parametrize(
    "annotations",
    [
        {"proxy_body_size": "3g"},
        {"proxy_body_size": "1000"},
        {"proxy_body_size": "much"},
        {"limit_rps": "5", "limit_rpm": "100"},
        {"limit_rps": "99999999"},
        {"limit_rps": "some"},
        {"limit_connections": "5"},
    ],
)
def test_a_limit_without_counterpart_is_a_remark(annotations: Obj) -> None:
    both = two(annotations, annotations)
    assert limits(both) == {}
    assert remarks(both) == {"limit-not-convertible"}


@pytest.mark.parametrize(
    ("first", "second", "want"),
    [
        ({}, RANGE, {"/"}),
        (RANGE, {"whitelist_source_range": "10.0.0.0/8"}, set()),
        (RANGE, {"whitelist_source_range": "all"}, set()),
        (RANGE, {**RANGE, "allowlist_source_range": "10.0.0.0/8"}, set()),
        (RANGE, {**RANGE, "auth_url": "https://a.example.net"}, {"/"}),
        (RANGE, {"denylist_source_range": "192.0.2.0/24"}, {"/"}),
    ],
    ids=["one is open", "other networks", "no network", "two lists", "one asks for more", "one has a list of others"],
)
def test_no_path_is_opened_to_other_clients(first: Obj, second: Obj, want: set[str]) -> None:
    both = two(first, second)
    assert paths(both) == want
    assert "restricted-paths" in remarks(both)
    assert limits(both) == ({"clientCidrs": CIDRS} if first and want else {})


def test_a_canary_has_no_limits_of_its_own() -> None:
    canary = ingress(("a.example.org", "/", "next"), name="c", canary="true", canary_weight="5")
    first = ingress(("a.example.org", "/", "web"), proxy_body_size="8m")
    result = result_of(workload(), service(), first, workload("next"), service("next"), canary)
    assert limits(result) == {"requestBody": "8Mi"}


@pytest.mark.parametrize(
    ("annotations", "want", "remark"),
    [
        ({"proxy_read_timeout": "120"}, "120s", set()),
        ({"proxy_read_timeout": "120", "proxy_send_timeout": "120"}, "120s", set()),
        ({"proxy_read_timeout": "120", "proxy_send_timeout": "300"}, "300s", {"timeout-changed"}),
        ({"proxy_read_timeout": "soon"}, None, {"annotation-without-counterpart"}),
        ({"proxy_read_timeout": "5m", "proxy_send_timeout": "300"}, "300s", {"annotation-without-counterpart"}),
    ],
)
def test_the_time_between_two_reads_is_the_idle_timeout(annotations: Obj, want: str | None, remark: set[str]) -> None:
    result = result_of(workload(), service(), ingress(("a.example.org", "/", "web"), **annotations))
    [endpoint] = endpoints(result)
    assert endpoint.get("timeouts") == ({"idle": want} if want else None)
    assert remarks(result) == remark


def test_a_name_of_a_space_without_a_domain_is_not_said_to_be_above() -> None:
    """The missing domain is an error of the Space; half of a name in another message helps nobody."""
    passed_on = ingress(("db.example.org", "/", "web"), ssl_passthrough="true")
    made = other(result_of(workload(), service(), passed_on, domain=None), "Ingress")
    [text] = [remark.message for remark in made.remarks if remark.name == "hostname-added-to-space"]
    assert text == "db.example.org is not below the Space's FQDN, so it was added to the Space's hostnames"


def test_a_canary_shares_the_route() -> None:
    objects = [workload(), service(), ingress(("a.example.org", "/", "web"))]
    canary = ingress(
        ("a.example.org", "/", "next"), name="c", canary="true", canary_weight="1", canary_weight_total="20"
    )
    result = result_of(*objects, workload("next"), service("next"), canary)
    app = result.apps[1].obj
    assert app is not None
    assert (app["spec"]["canaryOf"], app["spec"]["weight"]) == ("web", 5)
    assert endpoints(result, 1) == [{"name": "next", "port": 8080, "httpPath": "/"}]
    alone = result_of(workload("next"), service("next"), canary)
    assert names(other(alone, "Ingress")) == ["canary-not-convertible"]


@pytest.mark.parametrize(("protocol", "want"), [("GRPC", "grpc"), ("HTTP", None), ("HTTPS", None), ("FCGI", None)])
def test_backend_protocol(protocol: str, want: str | None) -> None:
    result = result_of(workload(), service(), ingress(("a.example.org", "/", "web"), backend_protocol=protocol))
    assert endpoints(result)[0].get("appProtocol") == want
    assert (protocol in ("HTTPS", "FCGI")) == ("annotation-without-counterpart" in names(other(result, "Ingress")))


def test_other_paths_for_each_host_are_not_swapped() -> None:
    """web has / at a and /w at b, and blog has / at b: the product would take blog's path."""
    rules = ingress(("a.example.org", "/", "web"), ("b.example.org", "/w", "web"), ("b.example.org", "/", "blog"))
    result = result_of(workload(), service(), workload("blog"), service("blog"), rules)
    assert endpoints(result) == [{"name": "web", "port": 8080, "httpPath": "/", "httpHostnames": ["a.example.org"]}]
    assert endpoints(result, 1)[0]["httpHostnames"] == ["b.example.org"]
    assert names(other(result, "Ingress")) == ["path-not-convertible"]


def test_the_service_is_the_endpoints_own_only_if_clients_see_no_difference() -> None:
    for changed in (
        {"ports": [{"port": 8080}]},
        {"clusterIP": "None"},
        {"ports": [{"port": 80}, {"name": "b", "port": 81}]},
    ):
        rules = ingress(("a.example.org", "/", "web"))
        backend = rules["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        backend["port"]["number"] = changed.get("ports", [{"port": 80}])[0]["port"]  # type: ignore[index]
        result = result_of(workload(), service(**changed), rules)
        assert [each["name"] for each in endpoints(result)] == ["web-edge"]
        assert [each["metadata"]["name"] for each in other(result, "Service").extras] == ["web"]
    result = result_of(workload(), service(), ingress(("a.example.org", "/", "web")))
    assert [each["name"] for each in endpoints(result)] == ["web"]
    assert other(result, "Service").extras == []


def test_more_hosts_than_a_space_can_have() -> None:
    rules = ingress(*((f"h{number}.example.org", "/", "web") for number in range(17)))
    result = result_of(workload(), service(), rules)
    space = result.spaces[0].obj
    assert space is not None
    assert len(space["spec"]["httpHostnames"]) == 15
    assert names(other(result, "Ingress")) == ["host-unusable"] * 2


def test_the_domain_is_behind_the_name_of_the_space() -> None:
    def domain_of(*hosts: str) -> str | None:
        rules = ingress(*((host, "/", "web") for host in hosts))
        space = result_of(workload(), service(), rules, domain=None).spaces[0]
        return space.obj["spec"]["domainName"] if space.obj is not None else None

    assert domain_of("www.example.org", "shop.example.com") == "example.com"
    assert domain_of("shop.example.com", "www.shop.example.com") is None  # below the FQDN nothing is served by path
    assert domain_of("shop") is None
    assert domain_of("*.example.com") is None


def test_an_ingress_without_a_host_is_served_at_the_names_of_the_space() -> None:
    result = result_of(workload(), service(), ingress(("", "/", "web")))
    assert endpoints(result) == [{"name": "web", "port": 8080, "httpPath": "/"}]
    space = result.spaces[0].obj
    assert space is not None
    assert space["spec"] == {"domainName": "example.net", "httpCertSecretName": "shop-example-net-tls"}


def test_a_rule_for_a_host_goes_before_one_without() -> None:
    rules = ingress(("", "/", "web"), ("b.example.org", "/", "blog"))
    result = result_of(workload(), service(), workload("blog"), service("blog"), rules)
    assert endpoints(result)[0]["httpHostnames"] == ["shop.example.net"]
    assert endpoints(result, 1)[0]["httpHostnames"] == ["b.example.org"]
    rules = ingress(("", "/", "web"), ("shop.example.net", "/", "blog"))
    result = result_of(workload(), service(), workload("blog"), service("blog"), rules)
    assert endpoints(result) == []
    # A further path of the host would take what the rule without a host serves there.
    more = ingress(("", "/", "web"), ("b.example.org", "/x", "blog"), ("c.example.org", "/", "blog"))
    result = result_of(workload(), service(), workload("blog"), service("blog"), more)
    assert endpoints(result, 1)[0]["httpHostnames"] == ["b.example.org"]
    assert endpoints(result, 1)[0]["httpPath"] == "/x"


@pytest.mark.parametrize("name", ["com", "kube-system", "default", "9lives"])
def test_names_that_no_space_can_have(name: str) -> None:
    deployed = workload()
    deployed["metadata"]["namespace"] = name
    [space] = result_of(deployed).spaces
    assert space.obj is None
    assert "name-invalid" in names(space, Level.ERROR)


def test_the_name_of_the_space_must_be_known() -> None:
    deployed = workload()
    del deployed["metadata"]["namespace"]
    with pytest.raises(ConfigError, match="--space"):
        result_of(deployed)
    assert result_of(deployed, space="acme").spaces[0].obj is not None
    second = workload()
    second["metadata"]["namespace"] = "two"
    with pytest.raises(ConfigError, match="2 namespaces"):
        result_of(workload(), second, space="acme")


def test_two_workloads_of_one_name() -> None:
    result = result_of(workload(), workload(kind="Job"))
    assert [each.obj is None for each in result.apps] == [False, True]
    assert names(result.apps[1], Level.ERROR) == ["name-not-unique"]


@pytest.mark.parametrize(
    ("budget", "want"),
    [
        ({"minAvailable": 1}, {"minAvailable": 1}),
        ({"maxUnavailable": "25%"}, {"maxUnavailable": "25%"}),
        ({"minAvailable": "100%"}, None),
        ({"maxUnavailable": 0}, None),
        ({"minAvailable": "many"}, None),
    ],
)
def test_disruption_budget(budget: Obj, want: Obj | None) -> None:
    meta = {"name": "web", "namespace": "shop"}
    spec = {"selector": {"matchLabels": {"app": "web"}}, **budget}
    given = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}
    result = result_of(workload(), given)
    app = result.apps[0].obj
    assert app is not None
    assert app["spec"].get("disruptionBudget") == want
    assert bool(names(other(result, "PodDisruptionBudget"))) == (want is None)


JUNK: list[Any] = [None, 7, "x", [], {}, [7], [{}], {"x": 1}, [[]], {"rules": [7, {"http": 1}], "tls": 3}, True]


@pytest.mark.parametrize("junk", JUNK)
def test_no_input_ends_the_import_with_a_crash(junk: Any) -> None:
    """Whatever a field has: each ends in a remark or is ignored, and nothing raises."""
    makers: tuple[Callable[[], Obj], ...] = (workload, service, lambda: ingress(("a.example.org", "/", "web")))
    for make in makers:
        whole = make()
        for field in list(whole["spec"]):
            broken = make()
            broken["spec"][field] = junk
            yaml_files(result_of(broken, *([workload()] if whole["kind"] != "Deployment" else [])))
        broken = make()
        broken["spec"] = junk
        broken["metadata"]["annotations"] = junk
        yaml_files(result_of(broken))
    pod = workload()
    pod["spec"]["template"]["spec"] = {"containers": junk, "volumes": junk, "imagePullSecrets": junk}
    pod["spec"]["template"]["metadata"] = {"labels": junk, "annotations": junk}
    yaml_files(result_of(pod, service(), ingress(("a.example.org", "/", "web"))))


def test_text_of_the_input_cannot_end_a_comment() -> None:
    hostile = ingress(("a.example.org\nkind: Evil", "/x\n---\nkind: Evil", "web\nkind: Evil"))
    hostile["metadata"]["annotations"]["x\nkind: Evil"] = "v"
    result = result_of(workload(), hostile)
    text = join(yaml_files(result).values()) + left_out(result)
    assert [each["kind"] for each in yaml.safe_load_all(text)] == ["Space", "App"]


# -- nothing is dropped without a word --------------------------------------------------------------------------------


def said(imported: Imported, path: str) -> list[str]:
    return [remark.message for remark in imported.remarks if remark.path == path and remark.level is Level.LOST]


def test_what_a_service_loses_is_listed() -> None:
    lost = {"externalIPs": ["192.0.2.1"], "loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerIP": "192.0.2.2"}
    given = service("cache", type="LoadBalancer", selector={"app": "web"}, **lost)
    given["metadata"]["annotations"] = {
        "external-dns.alpha.kubernetes.io/hostname": "cache.example.org",
        "example.com/owner": "swordfish",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    given["spec"]["ports"] = [{"name": "p-0123456789ab", "port": 1}, {"name": "b", "port": 2}]
    found = other(result_of(workload(), given), "Service")
    for path, word in (
        ("spec.externalIPs", "add an endpoint"),
        ("spec.loadBalancerSourceRanges", "limits.clientCidrs"),
        ("spec.loadBalancerIP", "the edge"),
        ("metadata.annotations[external-dns.alpha.kubernetes.io/hostname]", "createDnsRecord"),
        ("metadata.annotations[example.com/owner]", "set it there yourself"),
        ("spec.ports[0].name", "'p-0123456789ab' becomes port-1"),
    ):
        assert any(word in each for each in said(found, path)), (path, found.remarks)
    assert not any("last-applied" in remark.path or "swordfish" in str(remark) for remark in found.remarks)


def test_what_the_service_of_an_endpoint_loses_is_listed() -> None:
    given = service(sessionAffinity="ClientIP", internalTrafficPolicy="Cluster", ipFamilies=["IPv4"])
    given["metadata"]["annotations"] = {"example.com/owner": "a"}
    found = other(result_of(workload(), given, ingress(("a.example.org", "/", "web"))), "Service")
    assert {remark.path for remark in found.remarks} == {
        "spec.sessionAffinity",
        "metadata.annotations[example.com/owner]",
    }


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_what_a_workload_loses_is_listed(kind: str) -> None:
    given = workload(kind=kind)
    given["metadata"]["labels"] = {"app": "web", "team": "a", "helm.sh/chart": "web-1"}
    given["metadata"]["annotations"] = {"example.com/reload": "true", "deployment.kubernetes.io/revision": "3"}
    [imported] = result_of(given).apps
    assert [remark.path for remark in imported.remarks if remark.name == "metadata-left-out"] == [
        "metadata.labels",
        "metadata.annotations",
    ]
    assert said(imported, "metadata.labels")[0].startswith("'team': ")
    assert said(imported, "metadata.annotations")[0].startswith("'example.com/reload': ")


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"auth_type": "basic"}, "left out for their authentication"),
        ({"whitelist_source_range": "10.0.0.0/8,$office"}, "no list of 1 to 64 networks"),
        ({"allowlist_source_range": "10.0.0.0/8"}, "no list of 1 to 64 networks"),
    ],
)
def test_why_networks_of_a_single_ingress_are_not_converted(annotations: dict[str, str], says: str) -> None:
    """There is no other Ingress that could have other ones."""
    given = {"whitelist_source_range": "10.0.0.0/8", **annotations}
    found = other(result_of(workload(), service(), ingress(("a.example.org", "/", "web"), **given)), "Ingress")
    [text] = said(found, "metadata.annotations[nginx.ingress.kubernetes.io/whitelist-source-range]")
    assert says in text
    assert "office" not in text


def test_an_alias_is_a_name_of_the_space() -> None:
    rules = ingress(("a.example.org", "/", "web"), server_alias="b.example.org")
    found = other(result_of(workload(), service(), rules), "Ingress")
    [text] = said(found, "metadata.annotations[nginx.ingress.kubernetes.io/server-alias]")
    assert "httpHostnames" in text


def test_a_remark_is_made_once() -> None:
    rules = ingress(*((f"{host}.example.org", "/api", "web") for host in "abc"), rewrite_target="/")
    found = other(result_of(workload(), service(), rules), "Ingress")
    assert len(said(found, "metadata.annotations[nginx.ingress.kubernetes.io/rewrite-target]")) == 1


@pytest.mark.parametrize(
    ("given", "want", "lost"),
    [("99999", "99999s", 0), ("100800", "28h", 0), ("604801", "168h1s", 0), ("2073601", "576h", 1)],
)
def test_long_timeouts(given: str, want: str, lost: int) -> None:
    result = result_of(workload(), service(), ingress(("a.example.org", "/", "web"), proxy_read_timeout=given))
    assert endpoints(result)[0]["timeouts"] == {"idle": want}
    assert names(other(result, "Ingress")).count("timeout-changed") == lost
