"""Wrong input about the kind of the workload and the metadata of its pods."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.api.rows import Obj, Row, app, pod, put

BARE = {"pod": pod(), "endpoints": []}
MANY = {f"k{i}": "v" for i in range(65)}
CLAIM: Obj = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}

_OWN = "has a key that decco writes itself"
_FORM = "has a key that is not of the form of Kubernetes"
_BEYOND = "has a key of a service mesh, a network, a container runtime, a cloud or an agent of the node"
_CONTROLLERS = "has a key that controllers of Kubernetes write"
_DOMAINS = "has a key of Kubernetes' own domains"

KEYS: tuple[tuple[str, str, str], ...] = (
    ("decco.platform9.com/app", "platform9.com/app", _OWN),
    ("decco.platform9.com/hash", "xdecco.platform9.com/hash", _OWN),
    ("x.decco.platform9.com/app", "decco.platform9.com.example.com/app", _OWN),
    ("app.kubernetes.io/managed-by", "app.kubernetes.io/name", _OWN),
    ("istio.io/rev", "istio.io.example.com/rev", _BEYOND),
    ("sidecar.istio.io/inject", "sidecar.example.com/inject", _BEYOND),
    ("config.linkerd.io/skip-inbound-ports", "linkerd", _BEYOND),
    ("k8s.v1.cni.cncf.io/networks", "v1.cni/networks", _BEYOND),
    ("cni.projectcalico.org/ipAddrs", "projectcalico.org.example.com/ipAddrs", _BEYOND),
    ("io.kubernetes.cri-o.Devices", "io.example.Devices", _BEYOND),
    ("io.katacontainers.config.hypervisor.path", "katacontainers", _BEYOND),
    ("dev.gvisor.spec.mount.v.share", "dev.example", _BEYOND),
    ("run.oci.handler", "run.example", _BEYOND),
    ("devices.nri.io/container.c", "devices.example.com/c", _BEYOND),
    ("iam.amazonaws.com/role", "amazonaws.com/role", _BEYOND),
    ("aadpodidbinding", "aadpodidbindings", _BEYOND),
    ("org.systemd.property.DeviceAllow", "org.example.systemd", _BEYOND),
    ("com.github.containers.virtcontainers.x", "com.github.example.x", _BEYOND),
    ("k8s.aliyun.com/eni", "aliyun.com/eni", _BEYOND),
    ("tke.cloud.tencent.com/networks", "cloud.tencent.com/networks", _BEYOND),
    ("ad.datadoghq.com/c.instances", "tags.datadoghq.com/service", _BEYOND),
    ("co.elastic.hints/hosts", "co.elastic.logs/enabled", _BEYOND),
    ("co.elastic.monitor/1.hosts", "elastic.co/monitor", _BEYOND),
    ("a b", "a-b", _FORM),
    ("", "a", _FORM),
    ("a,b", "a.b", _FORM),
    ("A.example.com/a", "a.example.com/A", _FORM),
    ("a/b/c", "a/b", _FORM),
    ("a\n", "a", _FORM),
    ("a" * 64, "a" * 63, _FORM),
)
"""A key that is refused, a similar one that is not, and the message; of labels and annotations alike."""
LABELS: tuple[tuple[str, str], ...] = (
    ("pod-template-hash", "template-hash"),
    ("controller-revision-hash", "revision-hash"),
    ("controller-uid", "uid"),
    ("job-name", "name"),
    ("batch.kubernetes.io/job-name", "batch/job-name"),
    ("statefulset.kubernetes.io/pod-name", "statefulset/pod-name"),
    ("topology.kubernetes.io/zone", "topology/zone"),
    ("kubernetes.io/hostname", "kubernetes.io.example.com/hostname"),
    ("security.k8s.io/x", "k8s/x"),
)
ANNOTATIONS: tuple[tuple[str, str], ...] = (
    ("kubectl.kubernetes.io/restartedAt", "kubectl.kubernetes.io/default-container"),
    ("container.apparmor.security.beta.kubernetes.io/c", "kubernetes.io/egress-bandwidth"),
    ("cdi.k8s.io/gpu", "controller.kubernetes.io/pod-deletion-cost"),
    ("scheduler.alpha.kubernetes.io/critical-pod", "cluster-autoscaler.kubernetes.io/safe-to-evict"),
    ("kubernetes.io/config.source", "prometheus.io/scrape"),
)


def workload_rows() -> Iterator[Row]:
    yield from _metadata_rows()
    yield from _kind_rows()
    yield from _refused_rows()


def _metadata_rows() -> Iterator[Row]:
    tables = [("labels", key, other, says) for key, other, says in KEYS]
    tables += [("annotations", key, other, says) for key, other, says in KEYS]
    tables += [("labels", key, other, _CONTROLLERS) for key, other in LABELS]
    tables += [("annotations", key, other, _DOMAINS) for key, other in ANNOTATIONS]
    for field, key, other, says in tables:
        bad, good = (app(podMetadata={field: {"fine": "x", each: "x"}}) for each in (key, other))
        yield Row(f"pod {field} {key!r}", bad, good, f"spec.podMetadata.{field}", says)
    says = "has a value that no label can have"
    for value, right in (("a b", "a_b"), ("-", ""), ("a/b", "a.b"), ("x\n", "X")):
        bad, good = (app(podMetadata={"labels": {"a": each}}) for each in (value, right))
        yield Row(f"pod label {value!r}", bad, good, "spec.podMetadata.labels", says)
    for field, most in (("labels", 63), ("annotations", 16384)):
        at = f"spec.podMetadata.{field}"
        bad, good = (app(podMetadata={field: {"a": "x" * length}}) for length in (most + 1, most))
        yield Row(f"long pod {field}", bad, good, f"{at}.a", "Too long", parsed_at=at)
        bad = app(podMetadata={field: MANY})
        good = app(podMetadata={field: dict(list(MANY.items())[:64])})
        yield Row(f"many pod {field}", bad, good, at, "must have at most 64")


def _kind_rows() -> Iterator[Row]:
    both = "deployment, statefulSet and job are kinds of workload"
    for one, other in (("deployment", "statefulSet"), ("statefulSet", "job"), ("job", "deployment")):
        yield Row(f"{one} and {other}", app(**{one: {}, other: {}}), app(**{one: {}}), "spec", both)
    for kind in ("deployment", "statefulSet"):
        bad, good = (app(runAsJob=on, **{kind: {}}) for on in (True, False))
        yield Row(f"runAsJob and {kind}", bad, good, "spec.runAsJob", "makes the workload a Job, and")
    bad, good = (app(runAsJob=on, job={}) for on in (False, True))
    yield Row("no runAsJob and job", bad, good, "spec.runAsJob", "is false, and job makes the workload a Job")
    bad, good = (app(jobBackoffLimit=1, job=job) for job in ({"backoffLimit": 1}, {"completions": 1}))
    yield Row("two backoffLimits", bad, good, "spec.jobBackoffLimit", "is the short form of job.backoffLimit")
    bad, good = (app(jobBackoffLimit=1, **{kind: {}}) for kind in ("deployment", "job"))
    yield Row("retries of a Deployment", bad, good, "spec.jobBackoffLimit", "only a Job has retries")
    named = "is also the name of the App's StatefulSet"
    for bad_name, good_name in (("1db", "db1"), ("db.v2", "db-v2"), ("a" * 53, "a" * 52)):
        bad, good = (app(name, statefulSet={}, **BARE) for name in (bad_name, good_name))
        yield Row(f"StatefulSet {bad_name}", bad, good, "metadata.name", named)
    bad, good = (app("db", statefulSet={}, endpoints=[{"name": name, "port": 80}]) for name in ("db-pods", "db-pod"))
    yield Row("endpoint db-pods", bad, good, "spec.endpoints", "the Service of a StatefulSet's pod names is")


def _refused_rows() -> Iterator[Row]:
    """Fields that decco writes."""
    values = {"replicas": 1, "selector": {}, "manualSelector": True, "serviceName": "x", "template": {}}
    fields = (
        ("deployment", "minReadySeconds", 1, ("replicas", "selector", "template")),
        ("statefulSet", "podManagementPolicy", "Parallel", ("replicas", "selector", "serviceName", "template")),
        ("job", "ttlSecondsAfterFinished", 0, ("selector", "manualSelector", "template")),
    )
    says = {
        "replicas": "is set by initialReplicas",
        "selector": "is decco's: the workload selects",
        "manualSelector": "would let the Job take other pods",
        "serviceName": "is decco's: the Service of the pods' names",
        "template": "is made of pod and podMetadata",
    }
    for kind, free, value, refused in fields:
        good = app(**{kind: {free: value, "somethingNew": {"of": "tomorrow"}}})
        for name in refused:
            bad = put(good, f"spec.{kind}.{name}", values[name])
            yield Row(f"{kind}.{name}", bad, good, f"spec.{kind}.{name}", says[name], parsed_at=f"spec.{kind}")
    at = "spec.statefulSet.volumeClaimTemplates"
    good = app(statefulSet={"volumeClaimTemplates": [CLAIM] * 32})
    yield Row(
        "many claims",
        app(statefulSet={"volumeClaimTemplates": [CLAIM] * 33}),
        good,
        at,
        "must have at most",
        parsed_at="spec.statefulSet",
    )
    for field in ("labels", "annotations"):
        bad, good = (
            app(statefulSet={"volumeClaimTemplates": [put(CLAIM, f"metadata.{field}", {key: "x"})]})
            for key in ("decco.platform9.com/app", "example.com/app")
        )
        yield Row(f"{field} of claims", bad, good, f"{at}[0].metadata.{field}", _OWN, parsed_at="spec.statefulSet")
