"""Bad input: refused at admission with a message, or a condition with a reason; the others never notice.

``test_admission.py`` has the whole table of what the CRDs refuse. Here is what only the cluster can detect: objects
that today's rules would refuse, and sizes at the limit of what etcd holds. Beside each bad object a good one is made at
the same time, and it must be served as quickly as ever.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.harness import APIS, Cluster, Decco, Obj, app, collection, eventually, pod, space, tls_secret
from tests.integration.logs import assert_no_secrets, assert_sound, lines, repetitions
from tests.sample import full

IN_TIME = 10.0
"""Seconds within which a good object is served beside any number of bad ones; it takes 0.1 s on a quiet machine."""
CALM_SECONDS = 10.0
"""How long requests are counted to see that nothing is tried again and again."""
TENANT = "bad-input"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MANIFESTS = Path(__file__).parents[2] / "manifests" / "crds"


@pytest.fixture(scope="module", autouse=True)
def tenant(cluster: Cluster, decco: Decco) -> Iterator[str]:
    """A Space for the bad Apps, with a good one that runs; at the end what is large or broken is deleted."""
    cluster.create(tls_secret("bad-input-tls", f"*.{TENANT}.example.net", "www.example.com"))
    cluster.make_space(TENANT, tcpCertAndCaSecretName="bad-input-tls")
    cluster.create(app(TENANT, "good"))
    eventually(lambda: cluster.deployment(TENANT, "good"), IN_TIME)
    yield TENANT
    assert_sound(decco)
    assert_no_secrets(decco, cluster)
    for path in (f"{APIS}/namespaces/{TENANT}/apps", f"{APIS}/spaces"):
        for item in cluster.items(path):
            cluster.delete(f"{path}/{item['metadata']['name']}")


def nested(levels: int) -> Obj:
    made: Obj = {}
    for _ in range(levels):
        made = {"a": made}
    return made


def one(**container: Any) -> Obj:
    """A PodSpec with one container."""
    return {"containers": [{"name": "main", "image": "registry.example/app:1", **container}]}


def served_in_time(cluster: Cluster, namespace: str, name: str) -> None:
    """Makes a good App and waits for its Deployment."""
    cluster.create(app(namespace, name, endpoints=[]))
    eventually(lambda: cluster.deployment(namespace, name), IN_TIME, f"the good App {namespace}/{name}")


def problem(obj: Obj | None, kind: str, cluster: Cluster) -> tuple[str, str]:
    """Reason and message of a condition that is False, else two empty texts."""
    condition = cluster.condition(obj, kind) or {}
    return (condition["reason"], condition["message"]) if condition.get("status") == "False" else ("", "")


# Refused at once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        (app(TENANT, "refused", pod={}), "spec.pod.containers: Required value"),
        (app(TENANT, "refused", pod={"containers": []}), "must hold at least one container"),
        (
            app(TENANT, "refused", pod=pod(80), endpoints=[{"name": "a", "port": 80}], httpUrlPath="/a"),
            "cannot be combined with the short form",
        ),
        (space("Refused_"), "must be a DNS label that starts with a letter"),
    ],
    ids=["no containers", "an empty list of containers", "both forms", "a name that is no label"],
)
def test_admission_answers_with_a_message(cluster: Cluster, obj: Obj, says: str) -> None:
    answer = cluster.cp.request("POST", collection(obj), obj)
    assert answer.status == 422
    assert says in answer.json()["message"] or "RFC 1123" in answer.json()["message"]


# Reported by a condition ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """An App's spec, and the condition that reports it."""

    id: str
    condition: str
    reason: str
    says: str
    spec: Obj = field(default_factory=dict)
    runs: bool = False
    """Whether its Deployment is made all the same."""


TLS = {"certAndCaSecretName": "bad-input-tls"}
BAD = [
    Bad(
        "a value that Kubernetes does not have",
        "WorkloadReady",
        "Invalid",
        "imagePullPolicy: Unsupported value",
        {"pod": one(imagePullPolicy="Sometimes")},
    ),
    Bad("a list for a text", "WorkloadReady", "Invalid", "image of type string", {"pod": one(image=["a"])}),
    Bad("a text for a list", "WorkloadReady", "Invalid", "initContainers", {"pod": {**one(), "initContainers": "a"}}),
    Bad(
        "a field that Kubernetes does not have",
        "WorkloadReady",
        "Invalid",
        'unknown field "spec.template.spec.nonsense"',
        {"pod": {**one(), "nonsense": 1}},
    ),
    Bad(
        "a number beyond 64 bits",
        "WorkloadReady",
        "Invalid",
        "terminationGracePeriodSeconds",
        {"pod": {**one(), "terminationGracePeriodSeconds": 2**70}},
    ),
    Bad("400 levels", "WorkloadReady", "Invalid", "unknown field", {"pod": one(nested=nested(400))}),
    Bad(
        "two containers of one name",
        "WorkloadReady",
        "Invalid",
        "Duplicate value",
        {"pod": {"containers": [*one()["containers"], *one()["containers"]]}},
    ),
    Bad(
        "a name of control characters",
        "WorkloadReady",
        "Invalid",
        "RFC 1123 label",
        {"pod": {"containers": [{"name": "\u202e\x01\U0001f4a9", "image": "\u2028"}]}},
    ),
    Bad(
        "a restart policy for Jobs",
        "WorkloadReady",
        "Invalid",
        "restartPolicy",
        {"pod": {**one(), "restartPolicy": "Never"}},
    ),
    Bad(
        "a path without a certificate",
        "CertificatesReady",
        "CertificateMissing",
        "httpCertSecretName",
        {"endpoints": [{"name": "path", "port": 80, "httpPath": "/bad"}]},
        runs=True,
    ),
    Bad(
        "a host name of another owner",
        "RoutesReady",
        "HostnameNotAllowed",
        "'www.example.com'",
        {"endpoints": [{"name": "stolen", "port": 80, "hostname": "www.example.com", **TLS}]},
        runs=True,
    ),
    Bad(
        "a Secret that is not there",
        "CertificatesReady",
        "SecretMissing",
        "no Secret decco/nowhere is shared with this Space",
        {"endpoints": [{"name": "nosecret", "port": 80, "certAndCaSecretName": "nowhere"}]},
        runs=True,
    ),
    Bad(
        "an egress into a Space that is not there",
        "WorkloadReady",
        "EgressTargetNotFound",
        "endpoint db of Space nowhere does not exist",
        {"endpoints": [], "tlsEgresses": [{"localPort": 6000, "endpoint": "db", "spaceName": "nowhere", **TLS}]},
        runs=True,
    ),
]


def _make(cluster: Cluster, bad: Bad) -> str:
    """Creates the App, unless it is there, and returns its name."""
    name = f"bad-{BAD.index(bad)}"
    if cluster.app(TENANT, name) is None:
        cluster.create(app(TENANT, name, **{"endpoints": [], **bad.spec}))
    return name


@pytest.mark.parametrize("bad", BAD, ids=[bad.id for bad in BAD])
def test_a_condition_says_what_is_wrong(cluster: Cluster, bad: Bad) -> None:
    name = _make(cluster, bad)
    served_in_time(cluster, TENANT, f"beside-{name}")
    reason, message = _failure(cluster, lambda: cluster.app(TENANT, name), bad.condition)
    assert reason == bad.reason
    assert bad.says in message
    assert message.isprintable()
    assert problem(cluster.app(TENANT, name), "Ready", cluster)[0] == bad.reason
    assert bool(cluster.deployment(TENANT, name)) is bad.runs
    for kind in ("httproutes", "tlsroutes"):
        routes = cluster.items(f"/apis/gateway.networking.k8s.io/v1/namespaces/{TENANT}/{kind}")
        assert "www.example.com" not in str([route["spec"] for route in routes])


def _half(secret: Obj) -> None:
    pem = base64.b64decode(secret["data"]["tls.key"])
    secret["data"]["tls.key"] = base64.b64encode(pem[: len(pem) // 2]).decode()


def _garbage(secret: Obj) -> None:
    secret["data"]["tls.key"] = base64.b64encode(bytes(range(256))).decode()


def _another(secret: Obj) -> None:
    secret["data"]["tls.key"] = tls_secret("another")["data"]["tls.key"]


def _without_key(secret: Obj) -> None:
    secret["type"] = "Opaque"
    del secret["data"]["tls.key"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_half, "tls.key: the block that begins in line 1 has no end"),
        (_garbage, "tls.key: it contains a zero byte"),
        (_another, "tls.key does not belong to the certificate in tls.crt"),
        (_without_key, "tls.key is missing"),
    ],
    ids=["half a key", "garbage", "another's key", "no key"],
)
@pytest.mark.parametrize("field_name", ["httpCertSecretName", "tcpCertAndCaSecretName"])
def test_an_unusable_secret(
    cluster: Cluster, name: str, spoil: Callable[[Obj], None], says: str, field_name: str
) -> None:
    secret = tls_secret(name)
    spoil(secret)
    cluster.create(secret)
    cluster.create(space(name, **{field_name: name}))
    cluster.create(space(f"{name}-good"))
    reason, message = _failure(cluster, lambda: cluster.space(name), "CertificatesReady")
    assert (reason, says in message) == ("SecretInvalid", True), message
    for each in (name, f"{name}-good"):
        eventually(
            lambda each=each: (cluster.space_condition(each, "NetworkReady") or {}).get("status") == "True", IN_TIME
        )
    assert cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}") is None


def test_a_secret_that_becomes_unusable_leaves_the_last_good_copy(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.create(tls_secret(name))
    cluster.make_space(name, tcpCertAndCaSecretName=name)
    copy = f"/api/v1/namespaces/{name}/secrets/{name}"
    good = eventually(lambda: cluster.get(copy), IN_TIME)
    spoilt = cluster.get(f"/api/v1/namespaces/decco/secrets/{name}") or {}
    _half(spoilt)
    cluster.patch(f"/api/v1/namespaces/decco/secrets/{name}", {"data": spoilt["data"]})
    reason, _ = _failure(cluster, lambda: cluster.space(name), "CertificatesReady")
    assert reason == "SecretInvalid"
    decco.settle()
    assert cluster.get(copy) == good
    whole = tls_secret(name)["data"]
    cluster.patch(f"/api/v1/namespaces/decco/secrets/{name}", {"data": whole})
    eventually(lambda: (cluster.get(copy) or {})["data"] == whole, IN_TIME)
    eventually(lambda: (cluster.space_condition(name, "CertificatesReady") or {}).get("status") == "True", IN_TIME)


# What runs goes on running --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        {"pod": one(imagePullPolicy="Sometimes")},
        {"pod": one(imagePullPolicy="Sometimes"), "endpoints": []},
        {"pod": {**one(), "restartPolicy": "Never"}, "runAsJob": False, "initialReplicas": 7},
        {"pod": {**one(), "restartPolicy": "Sometimes"}, "runAsJob": True},
    ],
    ids=["pod", "pod and endpoints", "pod and replicas", "pod and kind"],
)
def test_a_refused_edit_leaves_what_runs(cluster: Cluster, decco: Decco, name: str, edit: Obj) -> None:
    """The Deployment, and the configuration that its pods mount."""
    cluster.make_space(name, tcpCertAndCaSecretName="bad-input-tls")
    cluster.create(app(name, "web", endpoints=[{"name": "db", "port": 5432}]))
    config = f"/api/v1/namespaces/{name}/configmaps/web-stunnel"
    before = eventually(lambda: cluster.deployment(name, "web"), IN_TIME)
    decco.settle()
    cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": edit})
    reason, _ = _failure(cluster, lambda: cluster.app(name, "web"), "WorkloadReady", "Invalid")
    assert reason == "Invalid"
    decco.settle()
    after = cluster.deployment(name, "web") or {}
    assert (after["metadata"]["uid"], after["metadata"]["generation"]) == (before["metadata"]["uid"], 1)
    assert after["spec"] == before["spec"]
    assert cluster.get(config), "a pod that is started again mounts it"
    cluster.patch(
        f"{APIS}/namespaces/{name}/apps/web",
        {"spec": {"pod": pod(80, image="b:2", restartPolicy=None), "runAsJob": None}},
    )
    eventually(lambda: "b:2" in str(cluster.deployment(name, "web")), IN_TIME)


def _failure(
    cluster: Cluster, read: Callable[[], Obj | None], condition: str, wanted: str = "", seconds: float = IN_TIME
) -> tuple[str, str]:
    """Reason (``wanted``, if given) and message of a condition once it is False."""

    def ask() -> tuple[str, str] | None:
        found = problem(read(), condition, cluster)
        return found if found[0] and wanted in {"", found[0]} else None

    return eventually(ask, seconds, f"{condition} False {wanted}")


# Sizes ----------------------------------------------------------------------------------------------------------------


def test_hundreds_of_containers_and_variables_in_any_script(cluster: Cluster) -> None:
    odd = "\u202e\u2028\u0627\U0001f4a9\\n\"'`$(HOME)${x}\t"
    variables = [{"name": f"V{number}", "value": odd} for number in range(50)]
    containers = [{"name": f"c{number}", "image": "registry.example/app:1", "env": variables} for number in range(200)]
    cluster.create(app(TENANT, "many", pod={"containers": containers}, endpoints=[]))
    served_in_time(cluster, TENANT, "beside-many")
    made = eventually(lambda: cluster.deployment(TENANT, "many"), 2 * IN_TIME)
    pod_spec = made["spec"]["template"]["spec"]
    assert [each["env"] for each in pod_spec["containers"]] == [variables] * 200
    cluster.delete(f"{APIS}/namespaces/{TENANT}/apps/many")


def test_a_spec_of_one_mebibyte(cluster: Cluster) -> None:
    cluster.create(app(TENANT, "large", pod=one(args=["v" * 2**20]), endpoints=[]))
    served_in_time(cluster, TENANT, "beside-large")
    eventually(lambda: cluster.deployment(TENANT, "large"), IN_TIME)
    cluster.delete(f"{APIS}/namespaces/{TENANT}/apps/large")


def test_an_app_that_is_larger_than_decco_reads(cluster: Cluster, decco: Decco) -> None:
    """It is not parsed: the condition says why, edits of it cost no more, and what it had goes on running."""
    cluster.create(app(TENANT, "grows", endpoints=[]))
    before = eventually(lambda: cluster.deployment(TENANT, "grows"), IN_TIME)
    path = f"{APIS}/namespaces/{TENANT}/apps/grows"
    cluster.patch(path, {"spec": {"pod": one(args=["v" * 1_320_000])}})
    served_in_time(cluster, TENANT, "beside-grows")
    reason, message = _failure(cluster, lambda: cluster.app(TENANT, "grows"), "Ready", "Invalid", 20)
    assert reason == "Invalid"
    assert "at most 1280 KiB" in message
    decco.settle()
    after = cluster.deployment(TENANT, "grows") or {}
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])
    cluster.patch(path, {"spec": {"pod": pod(8080)}})
    eventually(lambda: cluster.app_condition(TENANT, "grows", "Ready")["reason"] != "Invalid", IN_TIME)
    cluster.delete(path)


def test_large_objects_with_decco_s_label_change_nothing_for_others(cluster: Cluster, decco: Decco) -> None:
    """Only stubs of them are cached (tests/unit/reconcilers/test_caches.py measures them)."""
    labels = {"app.kubernetes.io/managed-by": "decco", "decco.platform9.com/space": TENANT}
    for number in range(10):
        meta = {"name": f"ballast-{number}", "namespace": TENANT, "labels": labels}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"x": "x" * 900_000}})
    served_in_time(cluster, TENANT, "beside-ballast")
    for number in range(10):
        path = f"/api/v1/namespaces/{TENANT}/configmaps/ballast-{number}"
        assert len((cluster.get(path) or {})["data"]["x"]) == 900_000, "they are somebody else's"
        cluster.delete(path)


@full
@pytest.mark.parametrize("count", [26_000, 40_000], ids=["etcd refuses it", "the API server's own client refuses it"])
def test_a_deployment_that_is_too_large_for_etcd(cluster: Cluster, decco: Decco, count: int) -> None:
    """An App of 1 MB or less, and a Deployment that defaults and the ownership of fields make larger than 1.5 MiB."""
    name = f"too-large-{count}"
    containers = [{"name": f"c{number}", "image": "a"} for number in range(count)]
    cluster.create(app(TENANT, name, pod={"containers": containers}, endpoints=[]))
    served_in_time(cluster, TENANT, f"beside-{name}")
    reason, message = _failure(cluster, lambda: cluster.app(TENANT, name), "WorkloadReady", "Invalid", 20)
    assert (reason, message) == (
        "Invalid",
        f"Deployment {TENANT}/{name} is larger than the cluster's storage takes: make the spec smaller.",
    )
    mark = cluster.cp.audit_mark()
    time.sleep(2)
    assert [event for event in cluster.cp.audit("decco", since=mark) if event.resource == "deployments"] == []
    cluster.delete(f"{APIS}/namespaces/{TENANT}/apps/{name}")
    decco.settle()


def test_an_app_too_large_for_its_status(cluster: Cluster, decco: Decco) -> None:
    """It fills etcd's limit to the last bytes: reported in the log and by an Event, since no condition fits in."""
    path = f"{APIS}/namespaces/{TENANT}/apps"
    fits, too_many = 1_500_000, 1_600_000

    def filled(length: int) -> Obj:
        # A name of its own, always as long: decco may report one that nearly fits as well, until it is deleted.
        return app(TENANT, f"full-{length}", pod=one(args=["v" * length]), endpoints=[])

    while too_many - fits > 64:
        middle = (fits + too_many) // 2
        answer = cluster.cp.request("POST", path, filled(middle))
        assert answer.status in (201, 500), answer.json()
        fits, too_many = (middle, too_many) if answer.status == 201 else (fits, middle)
        cluster.delete(f"{path}/full-{middle}")
        eventually(lambda middle=middle: cluster.app(TENANT, f"full-{middle}") is None, IN_TIME)
    made = cluster.create(filled(fits))
    name = made["metadata"]["name"]
    served_in_time(cluster, TENANT, "beside-full")

    def said() -> list[Obj]:
        found = [line for line in lines(decco, "warning") if line["event"].startswith("status cannot be written")]
        return [line for line in found if line["key"] == f"{TENANT}/{name}"]

    eventually(said, IN_TIME)
    assert "request is too large" in said()[-1]["error"]

    def events() -> list[Obj]:
        found = cluster.items(f"/apis/events.k8s.io/v1/namespaces/{TENANT}/events")
        return [event for event in found if event["regarding"].get("uid") == made["metadata"]["uid"]]

    eventually(events, IN_TIME, "an Event about the full App")
    times = len(said())
    mark = cluster.cp.audit_mark()
    time.sleep(3)
    assert len(said()) == times
    assert [event for event in cluster.cp.audit("decco", since=mark) if event.name == name] == []
    cluster.delete(f"{path}/{name}")


# Objects that today's rules would not let in --------------------------------------------------------------------------


@pytest.fixture
def lax(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """CRDs that let anything in, as those of an older version might; the fixture's value puts today's back."""
    for plural in ("apps", "spaces"):
        version = {
            "name": "v1beta2",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
        _set_version(cluster, plural, version)
    _await_rules(cluster, 201)

    def strict() -> None:
        for plural in ("apps", "spaces"):
            crd = yaml.safe_load((MANIFESTS / f"decco.platform9.com_{plural}.yaml").read_text())
            _set_version(cluster, plural, crd["spec"]["versions"][0])
        _await_rules(cluster, 422)

    yield strict
    strict()


def _set_version(cluster: Cluster, plural: str, version: Obj) -> None:
    patch = [{"op": "replace", "path": "/spec/versions", "value": [version]}]
    cluster.patch(f"{CRDS}/{plural}.decco.platform9.com", patch, "json")


def _await_rules(cluster: Cluster, status: int) -> None:
    """Waits until the API server judges both kinds by the CRDs that it was given."""
    for obj in ({**app("default", "probe"), "spec": {}}, {**space("probe"), "spec": {}}):
        path = f"{collection(obj)}?dryRun=All"
        eventually(lambda path=path, obj=obj: cluster.cp.request("POST", path, obj).status == status, 20)


UNDECODABLE: dict[str, tuple[Any, str]] = {
    # The spec of an App (... for none), and the message for its owner.
    "no-spec": (..., "spec: must be an object"),
    "text": ("x", "spec: must be an object"),
    "no-pod": ({}, "spec.pod: must be given"),
    "pod-is-text": ({"pod": "x"}, "spec.pod: must be an object"),
    "endpoints-is-text": ({"pod": pod(80), "endpoints": "x"}, "spec.endpoints: must be a list"),
    "wrong-types": (
        {"pod": pod(80), "endpoints": [{"name": 3, "port": "x", "hostname": {}}]},
        "spec.endpoints[0].name: must be text, ",
    ),
    "injection": (
        {"pod": pod(80), "endpoints": [{"name": "a", "port": 80, "hostname": "a\n[evil]\nconnect = 1"}]},
        "spec.endpoints[0].hostname: must be a DNS name",
    ),
    "new-rule": (
        {"pod": pod(80), "endpoints": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]},
        "two endpoints have the same name",
    ),
}
UNDECODABLE_SPACES: dict[str, tuple[Any, str]] = {
    "lax-text": ("x", "spec: must be an object"),
    "lax-no-domain": ({}, "spec.domainName: must be given"),
    "lax-hostnames": ({"domainName": "x.test", "hostnames": "x"}, "spec.hostnames: must be a list"),
    "lax-injection": ({"domainName": "a\nb"}, "spec.domainName: must be a DNS name"),
    "9lax": ({"domainName": "x.test"}, "metadata.name: must be a DNS label that starts with a letter"),
}


def test_undecodable_objects(cluster: Cluster, decco: Decco, name: str, lax: Callable[[], None]) -> None:
    """The condition of each reports the error, no child is created, what it had stays, and others are not affected."""
    cluster.make_space(name)
    cluster.create(app(name, "once-good", endpoints=[]))
    before = eventually(lambda: cluster.deployment(name, "once-good"), IN_TIME)
    base = app(name, "x")
    for each, (spec, _) in UNDECODABLE.items():
        obj = {**base, "metadata": {"name": each, "namespace": name}, "spec": spec}
        cluster.create({key: value for key, value in obj.items() if value is not ...})
    for each, (spec, _) in UNDECODABLE_SPACES.items():
        cluster.create({**space(each), "spec": spec})
    cluster.patch(f"{APIS}/namespaces/{name}/apps/once-good", {"spec": {"pod": "x"}})
    cluster.patch(f"{APIS}/namespaces/{name}/apps/no-pod/status", {"status": {"conditions": "x"}})
    cluster.patch(f"{APIS}/namespaces/{name}/apps/text/status", {"status": "x"})
    served_in_time(cluster, name, "beside")
    cluster.make_space(f"{name}-beside")

    for each, (_, says) in {**UNDECODABLE, "once-good": (..., "spec.pod: must be an object")}.items():
        _, message = _failure(cluster, lambda each=each: cluster.app(name, each), "Ready", "Invalid")
        assert says in message, message
        assert message.isprintable()
    for each, (_, says) in UNDECODABLE_SPACES.items():
        _, message = _failure(cluster, lambda each=each: cluster.space(each), "Ready", "Invalid")
        assert says in message, message
        assert cluster.get(f"/api/v1/namespaces/{each}") is None
    decco.settle()
    assert {item["metadata"]["name"] for item in cluster.items(f"/apis/apps/v1/namespaces/{name}/deployments")} == {
        "once-good",
        "beside",
    }
    assert (cluster.deployment(name, "once-good") or {})["metadata"]["generation"] == before["metadata"]["generation"]
    assert decco.get("/healthz").startswith("ok")
    assert decco.metric("decco_build_info{") == 1

    lax()
    # Now the API server takes no status for them either; that is logged once for each.
    cluster.create(app(name, "after", endpoints=[]))
    eventually(lambda: cluster.deployment(name, "after"), IN_TIME)
    decco.settle()
    assert max(repetitions(decco).values(), default=0) <= 2, repetitions(decco).most_common(3)
    cluster.patch(f"{APIS}/namespaces/{name}/apps/once-good", {"spec": {"pod": one(image="b:2")}})
    eventually(lambda: "b:2" in str(cluster.deployment(name, "once-good")), IN_TIME)
    for each in UNDECODABLE:
        cluster.delete(f"{APIS}/namespaces/{name}/apps/{each}")
    for each in UNDECODABLE_SPACES:
        cluster.delete(f"{APIS}/spaces/{each}")


@full
def test_all_of_it_together_is_calm(cluster: Cluster, decco: Decco) -> None:
    """With every bad App of above, decco requests only the Secrets that are missing.

    A missing Secret is asked for every 15 s, by the App and by its Space, so in 10 s twice at most.
    """
    for bad in BAD:
        _make(cluster, bad)
    decco.settle(quiet=2.0)
    mark = cluster.cp.audit_mark()
    time.sleep(CALM_SECONDS)
    asked = [event for event in cluster.cp.audit("decco", since=mark) if event.verb != "watch"]
    assert [event for event in asked if event.resource != "secrets"] == []
    assert len(asked) <= 2, asked
    assert max(repetitions(decco).values(), default=0) <= 2, repetitions(decco).most_common(3)
