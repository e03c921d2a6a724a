"""The checks of ``decco doctor``, each against answers that a cluster could give."""

from __future__ import annotations

import base64
import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from decco import __version__
from decco.api.crd import crds
from decco.desired.space import SECRETS_ROLE
from decco.kube.client import Client, ListPage
from decco.kube.errors import Forbidden, NotFound
from decco.messages import Severity
from decco.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    LEASES,
    NAMESPACES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SPACES,
    Key,
    Obj,
    Resource,
)
from decco.reconcilers.kinds import ALL_SERVED
from decco.settings import Settings
from decco.views.findings import Finding
from decco.views.preflight import cluster, controller, edge, egress, isolation, mesh, placement
from decco.views.preflight.checks import CHECKS, Check
from decco.views.preflight.checks import run as run_check
from decco.views.preflight.model import BINDINGS, CRDS, NODES, POLICIES, ClusterContext
from decco.views.running import Running, _variables, read_running
from testbed import versions
from tests import tls_certificates
from tests.tls_certificates import Template
from tests.unit.desired.app_cases import SERVED
from tests.unit.desired.test_revocation import NOW as LISTED
from tests.unit.desired.test_revocation import ROOT, lists
from tests.unit.desired.test_revocation import secret as with_lists
from tests.unit.views.stories import secret, space

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"
NOW = datetime.now(UTC)


class Cluster:
    """Answers from a table; what is not in it is not found, and what is "forbidden" may not be read."""

    def __init__(self, *objects: tuple[Resource, Obj], answers: Any = None, version: str = "1.37") -> None:
        self.objects = {(resource, _key(obj)): obj for resource, obj in objects}
        self.answers = answers
        self.version = version

    async def get(self, resource: Resource, key: Key) -> Obj:
        found = self.objects.get((resource, key))
        if found is None:
            raise NotFound(404, "NotFound", f'{resource} "{key.name}" not found')
        return found

    async def list_pages(self, resource: Resource, **_: Any) -> AsyncIterator[ListPage]:
        yield ListPage([obj for (kind, _), obj in self.objects.items() if kind == resource], "1", remaining=False)

    async def create_review(self, _resource: Resource, question: Obj) -> Obj:
        return dict(self.answers(question))

    async def raw(self, _path: str) -> Obj:
        major, _, minor = self.version.partition(".")
        return {"major": major, "minor": minor}


def _key(obj: Obj) -> Key:
    return Key(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def context(*objects: tuple[Resource, Obj], running: Running | None = None, **more: Any) -> ClusterContext:
    settings = Settings.model_validate(more.pop("settings", {}))
    fake: Any = Cluster(*objects, **more)
    return ClusterContext(fake, settings, running or Running(), SERVED, NOW, "decco-controller")


def named(name: str, namespace: str = "", **parts: Any) -> Obj:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": {**meta, **parts.pop("meta", {})}, **parts}


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("1.29", "failure"),
        ("1.33", "warning"),
        ("1.34+", "ok"),
        ("1.37", "ok"),
        ("1.38", "warning"),
        ("2.0", "warning"),
    ],
)
async def test_versions_of_kubernetes(version: str, grade: str) -> None:
    assert [check.severity for check in await results(cluster.api_server, context(version=version))] == [grade]


@pytest.mark.parametrize(("seconds", "grade"), [(0, "ok"), (-4, "ok"), (30, "warning"), (-600, "failure")])
async def test_clocks(seconds: int, grade: str) -> None:
    stamp = (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = {"metadata": {"creationTimestamp": stamp}, "status": {"userInfo": {"username": "me"}}}
    you, clock = await results(cluster.clock, context(answers=lambda _: answer))
    assert (you.text, clock.severity) == ("me", grade)


def live_crd(**changes: Any) -> Obj:
    crd = copy.deepcopy(crds()[0])
    crd["spec"]["versions"][0] |= changes
    crd["status"] = {"conditions": [{"type": t, "status": "True"} for t in ("NamesAccepted", "Established")]}
    return crd


async def results(check: Check, of: ClusterContext) -> list[Finding]:
    return [finding async for finding in check(of)]


async def crd_check(*crd: Obj) -> Finding:
    return (await results(cluster.custom_resources, context(*((CRDS, each) for each in crd))))[0]


async def test_crds() -> None:
    assert (await crd_check()).severity is Severity.FAILURE
    assert (await crd_check(live_crd())).severity is Severity.OK
    assert (await crd_check(live_crd(served=False))).severity is Severity.FAILURE
    stale = live_crd()
    del stale["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["mesh"]
    found = await crd_check(stale)
    assert (found.severity, "differs in spec.mesh)" in found.text) == (Severity.WARNING, True)
    two = live_crd()
    two["spec"]["versions"].append({"name": "v1beta3", "served": True})
    assert "also has v1beta3" in (await crd_check(two)).text
    unserved = live_crd()
    unserved["status"] = {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "taken"}]}
    assert "NamesAccepted is False: taken" in (await crd_check(unserved)).text


def test_the_policies_are_those_of_the_manifests() -> None:
    documents = [
        each
        for path in (MANIFESTS / "policies").glob("*.yaml")
        for each in yaml.safe_load_all(path.read_text())
        if each
    ]
    names = {each["metadata"]["name"] for each in documents if each["kind"] == POLICIES.kind}
    assert {f"{short}.decco.platform9.com" for short in cluster.ADMISSION_POLICIES} == names, (
        "list the policies of manifests/policies in ADMISSION_POLICIES of src/decco/views/preflight/cluster.py"
    )


async def test_policies_need_a_binding_that_denies() -> None:
    def policies(**spec: Any) -> list[tuple[Resource, Obj]]:
        names = [f"{short}.decco.platform9.com" for short in cluster.ADMISSION_POLICIES]
        bindings = [named(name, spec={"validationActions": ["Deny"], **spec}) for name in names]
        return [*((POLICIES, named(name)) for name in names), *((BINDINGS, each) for each in bindings)]

    assert {found.severity for found in await results(cluster.admission, context())} == {Severity.FAILURE}
    assert "its binding is not there" in (await results(cluster.admission, context(*policies()[:1])))[0].text
    warn = await results(cluster.admission, context(*policies(validationActions=["Warn"])))
    assert "its binding says Warn and not Deny" in warn[0].text
    (deny,) = await results(cluster.admission, context(*policies()))
    assert (deny.about, deny.severity) == ("policies", Severity.OK)
    parameters = policies(paramRef={"name": "decco-policy", "namespace": "decco"})
    assert (
        "the ConfigMap decco/decco-policy, are not" in (await results(cluster.admission, context(*parameters)))[0].text
    )
    there = (CONFIGMAPS, named("decco-policy", "decco"))
    (found,) = await results(cluster.admission, context(*parameters, there))
    assert found.severity is Severity.OK
    selected = policies(paramRef={"selector": {}, "parameterNotFoundAction": "Allow"})
    (found,) = await results(cluster.admission, context(*selected))
    assert found.severity is Severity.OK


def test_the_manifests_grant_what_the_code_needs_and_nothing_else() -> None:
    granted: set[controller.Permission] = set()
    for document in yaml.safe_load_all((MANIFESTS / "rbac" / "controller.yaml").read_text()):
        # The role of the binding in namespaces of Spaces is never bound in the whole cluster.
        if document["kind"] in ("ClusterRole", "Role") and document["metadata"]["name"] != SECRETS_ROLE:
            namespace = document["metadata"].get("namespace", "")
            for rule in document["rules"]:
                granted |= {
                    controller.Permission(group, plural, verb, namespace, subresource, name)
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                    for plural, _, subresource in [resource.partition("/")]
                    for verb in rule["verbs"]
                    for name in rule.get("resourceNames", [""])
                }
    providers = [{"type": "externaldns", "zones": ["example.net"]}]
    routing = {"parentGateway": "edge/shared"}
    needs = controller.needed(context(settings={"dns": {"providers": providers}, "routing": routing}), privileged=True)
    assert {str(each) for each in needs} == {str(each) for each in granted}, "see manifests/rbac/controller.yaml"


async def test_permissions_name_what_is_lacking() -> None:
    account = (SERVICE_ACCOUNTS, named("decco-controller", "decco"))

    def answer(question: Obj) -> Obj:
        asked = question["spec"]["resourceAttributes"]
        assert question["spec"]["user"] == "system:serviceaccount:decco:decco-controller"
        return {"status": {"allowed": asked["resource"] != "leases"}}

    (found,) = await results(controller.permissions, context(account, answers=answer))
    assert found.severity is Severity.FAILURE
    assert "may not create leases.coordination.k8s.io in decco; get leases" in found.text
    assert "get leases.coordination.k8s.io 'decco-controller' in decco" in found.text
    (found,) = await results(controller.permissions, context())
    assert "there is no service account decco/decco-controller" in found.text


def gateway_class(status: str = "True", features: tuple[Any, ...] = ()) -> Obj:
    conditions = [{"type": "Accepted", "status": status, "reason": "R", "message": "M"}]
    return named(
        "decco",
        spec={"controllerName": "example.com/edge"},
        status={"conditions": conditions, "supportedFeatures": list(features)},
    )


@pytest.mark.parametrize(
    ("found", "grade", "words"),
    [
        (None, "failure", "there is no such GatewayClass"),
        (gateway_class("False"), "failure", "example.com/edge does not accept it: R: M"),
        (gateway_class("Unknown"), "failure", "is example.com/edge running?"),
        (gateway_class(), "ok", "does not list its features"),
        (gateway_class(features=({"name": "Gateway"},)), "warning", "does not claim to support HTTPRoute, "),
        (gateway_class(features=tuple(edge.FEATURES)), "ok", "with all features"),
    ],
)
async def test_gateway_classes(found: Obj | None, grade: str, words: str) -> None:
    objects = [(GATEWAY_CLASSES, found)] if found is not None else []
    check = (await results(edge.routing, context(*objects)))[-1]
    assert check.severity == grade
    assert words in check.text


@pytest.mark.parametrize(
    ("allowed", "selector", "grade"),
    [
        (None, None, "failure"),
        ("Same", None, "failure"),
        ("Selector", None, "warning"),
        ("Selector", {"matchLabels": {"team": "red"}}, "warning"),
        ("Selector", edge.OF_SPACES, "ok"),
        ("All", None, "warning"),
    ],
)
async def test_a_parent_gateway_must_let_listener_sets_in(
    allowed: str | None, selector: Obj | None, grade: str
) -> None:
    spec: Obj = {"gatewayClassName": "decco"}
    if allowed is not None:
        spec["allowedListeners"] = {"namespaces": {"from": allowed, **({"selector": selector} if selector else {})}}
    status = {"conditions": [{"type": "Programmed", "status": "True"}], "addresses": [{"value": "192.0.2.1"}]}
    resource = GATEWAYS
    objects = [(resource, named("shared", "edge", spec=spec, status=status)), (GATEWAY_CLASSES, gateway_class())]
    checks = await results(edge.routing, context(*objects, settings={"routing": {"parentGateway": "edge/shared"}}))
    assert [check.severity for check in checks if check.about == "gateway edge/shared"] == [grade]


async def test_conditions_of_an_earlier_generation_do_not_count() -> None:
    def observed(obj: Obj, generation: int) -> Obj:
        obj["metadata"]["generation"] = 2
        for condition in obj["status"]["conditions"]:
            condition["observedGeneration"] = generation
        return obj

    spec: Obj = {"gatewayClassName": "decco", "allowedListeners": {"namespaces": {"from": "Selector"}}}
    status = {"conditions": [{"type": "Programmed", "status": "True"}], "addresses": [{"value": "192.0.2.1"}]}
    settings = {"routing": {"parentGateway": "edge/shared"}}
    for generation, grades in ((1, ["warning", "failure", "failure"]), (2, ["warning", "ok"])):
        gateway = observed(named("shared", "edge", spec=spec, status=copy.deepcopy(status)), generation)
        objects = [(GATEWAYS, gateway), (GATEWAY_CLASSES, observed(gateway_class(), generation))]
        checks = await results(edge.routing, context(*objects, settings=settings))
        assert [
            check.severity for check in checks if check.about.startswith(("gateway edge", "gateway class"))
        ] == grades


async def test_the_edge_must_be_known_to_spaces_with_a_project() -> None:
    closed = (SPACES, space("acme", project="p"))
    assert (await results(edge.access, context(closed)))[0].severity is Severity.FAILURE
    assert (await results(edge.access, context((SPACES, space("acme")))))[0].severity is Severity.WARNING
    assert (await results(edge.access, context(closed, settings={"edge": {"namespace": "edge"}})))[
        0
    ].severity is Severity.OK


async def test_dns_providers_are_asked_for_their_zones() -> None:
    (found,) = await results(
        edge.dns, context(settings={"dns": {"providers": [{"type": "memory", "zones": ["example.net"]}]}})
    )
    assert (found.severity, found.text) == (Severity.OK, "answers, and has example.net")
    refused = {"type": "rfc2136", "zones": ["a.org"], "host": "127.0.0.1", "tsigKeyName": "k", "secretName": "missing"}
    (found,) = await results(edge.dns, context(settings={"dns": {"providers": [refused]}}))
    assert found.severity is Severity.FAILURE
    assert "missing" in found.text


@pytest.mark.parametrize(("age", "holder", "grade"), [(1, "pod-a", "ok"), (40, "pod-a", "failure"), (1, "", "failure")])
async def test_leases(age: float, holder: str, grade: str) -> None:
    renewed = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
    (found,) = await results(controller.running, context((LEASES, named(controller.NAME, "decco", spec=spec))))
    assert found.severity == grade


@pytest.mark.parametrize(
    ("image", "grade"),
    [
        (f"ghcr.io/x/controller:{__version__}", "ok"),
        ("registry:5000/controller:v99.1.0", "warning"),
        ("registry:5000/controller", "unknown"),
        ("x@sha256:abc", "unknown"),
    ],
)
async def test_replicas_and_versions(image: str, grade: str) -> None:
    pod = {"template": {"spec": {"containers": [{"image": image}]}}}
    deployment = named("decco-controller", "decco", spec={"replicas": 2, **pod}, status={"readyReplicas": 1})
    replicas, version = await results(controller.running, context(running=Running(deployment=deployment)))
    assert (replicas.severity, version.severity) == (Severity.WARNING, grade)


async def test_settings_are_those_of_the_config_map_that_the_deployment_mounts() -> None:
    """An overlay's generator gives the ConfigMap another name, and leaves the one of the base beside it."""
    volumes = [{"name": "settings", "configMap": {"name": "decco-settings-5f"}}]
    deployment = named("decco-controller", "decco", spec={"template": {"spec": {"containers": [], "volumes": volumes}}})
    base = named("decco-controller", "decco", data={"decco.yaml": "clusterId: base"})
    mounted = named("decco-settings-5f", "decco", data={"decco.yaml": "clusterId: mounted"})
    both = [(CONFIGMAPS, base), (CONFIGMAPS, mounted)]
    found = await read_running(cast("Client", Cluster(*both, (DEPLOYMENTS, deployment))), "decco")
    assert found.text is not None
    assert (found.text.text, "decco-settings-5f" in found.text.place) == ("clusterId: mounted", True)
    without = await read_running(cast("Client", Cluster(*both)), "decco")
    assert without.text is not None
    assert without.text.text == "clusterId: base"


async def test_marks_on_secrets() -> None:
    def labelled(name: str, label: str | None, annotation: str | None) -> tuple[Resource, Obj]:
        obj = secret(name, share=None)
        obj["metadata"]["labels"] = {} if label is None else {"decco.platform9.com/share": label}
        obj["metadata"]["annotations"] = {} if annotation is None else {"decco.platform9.com/share-with": annotation}
        return SECRETS, obj

    objects = [
        (
            SPACES,
            {**space("acme"), "metadata": {"name": "acme", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}},
        ),
        labelled("good", "true", "acme.example.net, project:a, *.example.net"),
        labelled("bare", "true", "acme"),
        labelled("all", "true", "*"),
        labelled("other", None, None),
        labelled("yes", "yes", "acme"),
        labelled("unlabelled", None, "acme"),
        labelled("nobody", "true", None),
        labelled("stranger", "true", "acme.example.net,acme.example.org"),
    ]
    found = {check.about: check.text for check in await results(controller.shared_secrets, context(*objects))}
    assert found.keys() == {f"secret decco/{name}" for name in ("bare", "yes", "unlabelled", "nobody", "stranger")}
    assert "is 'yes', so decco does not see it" in found["secret decco/yes"]
    assert "write acme.example.net" in found["secret decco/bare"]
    assert "names acme.example.org, and there is no such Space" in found["secret decco/stranger"]


async def test_a_certificate_that_is_not_valid_yet() -> None:
    made = Template(sans=("acme.example.net",), since=tls_certificates.NOW + tls_certificates.DAY).make()
    data = {name: base64.b64encode(value).decode() for name, value in tls_certificates.secret(made).items()}
    obj = {**secret("early"), "data": data}
    texts = {name: text for text, name in controller._sharing_problems(obj, [], tls_certificates.NOW)}
    assert "is not valid before" in texts["CertificateNotYetValid"]


def test_lists_of_revoked_certificates_that_end_soon() -> None:
    obj = {**secret("listed"), "data": with_lists(lists(ROOT))}
    names = {
        hours: [name for _, name in controller._sharing_problems(obj, [], LISTED + timedelta(hours=hours))]
        for hours in (-1, 1, 25)
    }
    assert names == {-1: [], 1: ["lists-end-soon"], 25: ["CRLExpired"]}


async def test_objects_that_were_never_reconciled() -> None:
    def one(name: str, seen: int | None, ready: str) -> Obj:
        status = {"observedGeneration": seen, "conditions": [{"type": "Ready", "status": ready}]}
        return named(name, meta={"generation": 2}, spec={}, status=status if seen is not None else {})

    async def grade(*objects: Obj) -> Severity:
        return (await results(controller.objects, context(*((SPACES, each) for each in objects))))[0].severity

    assert await grade() is Severity.OK
    assert await grade(one("a", 2, "True")) is Severity.OK
    assert await grade(one("a", 2, "False")) is Severity.WARNING
    assert await grade(one("a", 1, "True")) is Severity.FAILURE
    assert await grade(one("a", None, "")) is Severity.FAILURE


async def test_a_forbidden_check_does_not_affect_the_others() -> None:
    async def refused(_: ClusterContext) -> AsyncIterator[Finding]:
        yield Finding("secrets", "is seen before the refusal, and dropped")
        text = 'secrets is forbidden: User "u" cannot list resource "secrets" in API group "" in the namespace "decco"'
        raise Forbidden(403, "Forbidden", text)

    (found,) = await run_check("secrets", refused, context())
    assert (found.severity, found.text) == (
        Severity.UNKNOWN,
        "you may not list secrets in namespace decco; a platform operator may",
    )
    assert len(CHECKS) > 10


def test_variables_of_a_deployment() -> None:
    env = [
        {"name": "DECCO_CLUSTER_ID", "value": "west"},
        {"name": "DECCO_NAMESPACE", "valueFrom": {}},
        {"name": "X", "value": "1"},
    ]
    deployment = named("x", spec={"template": {"spec": {"containers": [{"env": env}]}}})
    assert _variables(deployment) == {"DECCO_CLUSTER_ID": "west"}


def live_space(**spec: Any) -> tuple[Resource, Obj]:
    made = space("acme", **spec)
    made["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return SPACES, made


LIMITED = live_space(egressPolicy="Declared")
DNS_POD = named("coredns", "kube-system", meta={"labels": {"k8s-app": "kube-dns"}}, spec={})
API = {"labels": {"kubernetes.io/service-name": "kubernetes"}}


def node(*addresses: str) -> tuple[Resource, Obj]:
    return NODES, named("n", status={"addresses": [{"type": "InternalIP", "address": each} for each in addresses]})


async def test_egress_is_checked_only_where_a_space_limits_it() -> None:
    (found,) = await results(egress.egress, context(live_space()))
    assert (found.severity, found.text) == (Severity.OK, "no Space limits it")


async def test_the_cluster_s_dns_is_looked_for_where_the_settings_say() -> None:
    async def dns(*objects: tuple[Resource, Obj], **settings: Any) -> Finding:
        return (await results(egress.egress, context(LIMITED, *objects, settings={"egress": settings})))[0]

    missing = await dns()
    assert (missing.name, missing.severity) == ("egress-dns-missing", Severity.WARNING)
    assert (await dns((egress.PODS, DNS_POD))).severity is Severity.OK
    ports = [{"ports": [{"containerPort": 5353, "protocol": "UDP"}, {"containerPort": 9153, "protocol": "TCP"}]}]
    openshift = {**DNS_POD, "spec": {"containers": ports}}
    wrong = await dns((egress.PODS, openshift))
    assert "listen on 5353" in wrong.text
    assert (await dns((egress.PODS, openshift), dnsPorts=[5353])).severity is Severity.OK


async def test_spaces_with_a_mesh() -> None:
    (none,) = await results(mesh.mesh, context(live_space()))
    assert (none.severity, none.text) == (Severity.OK, "no Space has one")
    meshed = live_space(mesh="Istio")
    (missing,) = await results(mesh.mesh, replace(context(meshed), served={}))
    assert (missing.name, missing.severity) == ("mesh-missing", Severity.FAILURE)
    inside = {"istio.io/dataplane-mode": "ambient"}

    async def clients(**labels: str) -> Finding:
        monitoring = named("monitoring", meta={"labels": {**labels, "decco.platform9.com/monitoring": "true"}})
        edge = named("edge", meta={"labels": inside})
        given = context(meshed, (NAMESPACES, monitoring), (NAMESPACES, edge), settings={"edge": {"namespace": "edge"}})
        (found,) = await results(mesh.mesh, replace(given, served=ALL_SERVED))
        return found

    assert (await clients(**inside)).severity is Severity.OK
    outside = await clients()
    assert (outside.name, outside.severity) == ("mesh-client-outside", Severity.WARNING)
    assert "pods of monitoring connect" in outside.text
    assert "istio.io/dataplane-mode=ambient" in outside.text


async def test_no_name_may_lead_to_a_node_or_the_api_server() -> None:
    async def names(*objects: tuple[Resource, Obj], **settings: Any) -> Finding:
        return (await results(egress.egress, context(LIMITED, *objects, settings={"egress": settings})))[1]

    assert (await names(node("10.0.0.1", "fd00::1", "host.example"))).severity is Severity.OK
    slice_ = named("kubernetes", "default", meta=API, endpoints=[{"addresses": ["1.1.1.1"]}])
    opened = await names(node("10.0.0.1", "8.8.8.8"), (egress.ENDPOINT_SLICES, slice_))
    assert (opened.name, opened.severity) == ("egress-address-open", Severity.WARNING)
    assert "1.1.1.1, 8.8.8.8" in opened.text
    refused = await names(node("8.8.8.8"), (egress.ENDPOINT_SLICES, slice_), refusedCidrs=["1.1.1.0/24", "8.8.8.0/24"])
    assert refused.severity is Severity.OK


async def test_policies_of_others_that_open_egress() -> None:
    def policy(name: str, namespace: str = "acme", **more: Any) -> tuple[Resource, Obj]:
        spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
        return NETWORK_POLICIES, named(name, namespace, spec=spec, **more)

    ours = policy("decco", meta={"labels": {"app.kubernetes.io/managed-by": "decco"}})
    found = await results(egress.egress, context(LIMITED, policy("wide"), policy("wide", "elsewhere"), ours))
    (last,) = (finding for finding in found if finding.name == "egress-policy-of-others")
    assert "(acme/wide)" in last.text


def runtime_class(name: str, handler: str) -> tuple[Resource, Obj]:
    return isolation.RUNTIME_CLASSES, named(name, handler=handler)


def runtimes(**user_namespaces: bool) -> tuple[Resource, Obj]:
    """A node with these handlers; "default" is that of pods without a RuntimeClass."""
    handlers = [
        {"name": "" if name == "default" else name, "features": {"userNamespaces": able}}
        for name, able in user_namespaces.items()
    ]
    return NODES, named("n", status={"runtimeHandlers": handlers})


async def isolated(*objects: tuple[Resource, Obj], sandboxes: tuple[str, ...] = (), level: str = "") -> list[Finding]:
    spaces = [live_space(isolation=level)] if level else []
    settings = {"isolation": {"sandboxes": sandboxes}}
    return await results(isolation.isolation, context(*spaces, *objects, settings=settings))


async def test_isolation_is_checked_where_a_space_or_the_settings_name_it() -> None:
    assert [(f.severity, f.text) for f in await isolated()] == [(Severity.OK, "every Space is Standard")]
    (found,) = await isolated(level="Sandboxed")
    assert (found.name, found.severity) == ("sandbox-missing", Severity.WARNING)
    assert "isolation.sandboxes is empty" in found.text


async def test_a_sandbox_needs_a_runtime_class_and_a_node() -> None:
    (missing,) = await isolated(sandboxes=("kata",))
    assert (missing.name, "no RuntimeClass" in missing.text) == ("sandbox-missing", True)
    (nowhere,) = await isolated(runtime_class("kata", "kata-qemu"), runtimes(default=True), sandboxes=("kata",))
    assert (nowhere.name, "no node has its runtime handler kata-qemu" in nowhere.text) == ("sandbox-missing", True)
    node = runtimes(default=True, **{"kata-qemu": False})
    (served,) = await isolated(runtime_class("kata", "kata-qemu"), node, sandboxes=("kata",))
    assert (served.severity, served.text) == (Severity.OK, "RuntimeClass with handler kata-qemu, on 1 of 1 nodes")


@pytest.mark.parametrize(
    ("nodes", "name", "words"),
    [
        ([], "", "no node reports"),
        ([runtimes(default=True)], "", "on 1 of 1 nodes"),
        ([runtimes(default=False)], "user-namespaces-missing", "its pods do not start"),
    ],
)
async def test_user_namespaces_need_a_node_that_has_them(
    nodes: list[tuple[Resource, Obj]], name: str, words: str
) -> None:
    (found,) = await isolated(*nodes, level="UserNamespace")
    assert (found.name, words in found.text) == (name, True)


def test_the_gateway_api_that_is_recommended_is_the_tested_one() -> None:
    assert versions.GATEWAY_API.version == edge.GATEWAY_API


@pytest.mark.parametrize(
    ("clusters", "federation", "name", "words"),
    [
        ([{"id": "east"}], "world", "", "Active 1, Standby 0, elsewhere 0"),
        ([{"id": "west"}, {"id": "east", "role": "Standby"}], "world", "", "Active 0, Standby 1, elsewhere 0"),
        ([{"id": "west"}], "world", "", "elsewhere 1"),
        ([{"id": "west"}], None, "placement-alone", "names of Space acme are absent while they change clusters"),
        ([{"id": "west"}, {"id": "east", "role": "Standby"}], None, "placement-alone", "stands by for Space acme"),
    ],
)
async def test_placement(clusters: list[Obj], federation: str | None, name: str, words: str) -> None:
    dns = {"providers": [{"type": "memory", "zones": ["example.net"]}], "federation": {"id": federation}}
    settings = {"clusterId": "east", "dns": dns}
    found = await results(placement.placement, context(live_space(placement={"clusters": clusters}), settings=settings))
    assert [(each.about, each.name) for each in found] == [("placement", name)]
    assert words in found[0].text
    assert await results(placement.placement, context(live_space(), settings=settings)) == []
