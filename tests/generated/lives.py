"""Good, then a generated spec, then good again: what each of the three must leave on a real API server."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

from decco.api.crd import crds
from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, PATIENCE, Cluster, Obj, app, collection, eventually, space

GOOD_SPACE: Obj = {"domainName": "example.net", "egressPolicy": "Open", "mesh": "None", "podSecurity": "baseline"}
GOOD_APP: Obj = {
    "pod": {"containers": [{"name": "main", "image": "registry.example/app:1", "ports": [{"containerPort": 8080}]}]},
    "initialReplicas": 1,
    "endpoints": [{"name": "web", "port": 8080}],
}
WORKLOADS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/main",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets/main",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/main",
}
CHILDREN = (
    "/apis/apps/v1/namespaces/{}/deployments",
    "/apis/apps/v1/namespaces/{}/statefulsets",
    "/apis/batch/v1/namespaces/{}/jobs",
    "/api/v1/namespaces/{}/services",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/resourcequotas",
    "/api/v1/namespaces/{}/limitranges",
    "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
)
_HISTORY = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


class Lane:
    """A Space with an App: one case at a time."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.paths = {"Space": f"{APIS}/spaces/{name}", "App": f"{APIS}/namespaces/{name}/apps/main"}
        self.good = {"Space": GOOD_SPACE, "App": GOOD_APP}

    def begin(self) -> None:
        self.cluster.create({**space(self.name), "spec": GOOD_SPACE})
        eventually(lambda: self.cluster.get(f"/api/v1/namespaces/{self.name}"), what="the namespace")
        eventually(lambda: self._created_app(), what="the App is accepted")
        eventually(lambda: self.workload("Deployment"), what="the Deployment")
        for kind in self.paths:
            self.wait(kind)

    def _created_app(self) -> bool:
        made: Obj = {**app(self.name, "main"), "spec": GOOD_APP}
        return self.cluster.cp.request("POST", collection(made), made).status in (201, 409)

    def put(self, kind: str, spec: Any) -> int:
        """The answer of the API server to the object with this spec."""
        while True:
            live = self.cluster.get(self.paths[kind])
            assert live is not None, f"{self.paths[kind]} is gone"
            status = self.cluster.cp.request("PUT", self.paths[kind], {**live, "spec": spec}).status
            if status != 409:
                return status

    def wait(self, kind: str) -> Obj:
        """The status for the present generation; an object without one, or without a clear condition, fails."""

        def observed() -> Obj | None:
            self.collect()
            live = self.cluster.get(self.paths[kind]) or {}
            status = live.get("status") or {}
            return live if status.get("observedGeneration") == live["metadata"]["generation"] else None

        live = eventually(observed, what=f"decco reports on {self.paths[kind]}")
        conditions = {each["type"]: each for each in live["status"].get("conditions") or ()}
        ready = conditions.get("Ready")
        assert ready is not None, conditions
        assert ready["reason"], ready
        for each in conditions.values():
            assert each["status"] == "True" or each["message"].strip(), f"no message: {each}"
        return dict(live)

    def collect(self) -> None:
        """Ends deletions of workloads in the foreground, as the garbage collector does for what has no dependents."""
        for kind, path in WORKLOADS.items():
            live = self.workload(kind)
            if live is not None and "foregroundDeletion" in live["metadata"].get("finalizers", ()):
                body = {"metadata": {"finalizers": None, "uid": live["metadata"]["uid"]}}
                headers = {"Content-Type": "application/merge-patch+json"}
                self.cluster.cp.request("PATCH", path.format(self.name), body, headers=headers)

    def workload(self, kind: str) -> Obj | None:
        return self.cluster.get(WORKLOADS[kind].format(self.name))

    def workloads(self) -> dict[str, str]:
        found = {kind: self.workload(kind) for kind in WORKLOADS}
        return {kind: each["metadata"]["uid"] for kind, each in found.items() if each is not None}

    def fingerprint(self) -> dict[str, Obj]:
        """All children, without what their history has written. Replicas belong to whoever scales."""
        found = {}
        for path in CHILDREN:
            for each in self.cluster.items(path.format(self.name)):
                each = copy.deepcopy(each)
                each.pop("status", None)
                meta = {key: value for key, value in each.pop("metadata").items() if key not in _HISTORY}
                meta["ownerReferences"] = [owner["kind"] for owner in meta.get("ownerReferences") or ()]
                (each.get("spec") or {}).pop("replicas", None)
                for given in ("clusterIP", "clusterIPs"):
                    (each.get("spec") or {}).pop(given, None)
                found[f"{path.rsplit('/', 1)[-1]}/{meta['name']}"] = {**each, "metadata": meta}
        return found

    def converged(self, before: dict[str, Obj]) -> str:
        """Empty if the children are those of before, within the patience; else what differs."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.collect()
            after = self.fingerprint()
            differ = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
            if not differ or time.monotonic() > deadline:
                return "; ".join(f"{name}: {difference(before.get(name), after.get(name))}" for name in differ)
            time.sleep(0.1)


def difference(before: Any, after: Any, path: str = "") -> str:
    """The places in which two objects differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
        return ", ".join(difference(before.get(key), after.get(key), f"{path}.{key}") for key in keys)
    return f"{path} was {before}, is {after}"


def accept_anything(cp: ControlPlane) -> None:
    """The CRDs of a version that had no schema: every spec is stored, as those of an older version may be."""
    for crd in crds():
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
        live = cp.request("GET", path).json()
        for version in live["spec"]["versions"]:
            version.pop("selectableFields", None)  # of fields that a schema declares only
            version["schema"] = {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            }
        answer = cp.request("PUT", path, live)
        assert answer.status == 200, answer.json()


def kinds_of(spec: Any) -> Iterator[str]:
    """The kinds of workload that the spec may stand for."""
    if not isinstance(spec, dict):
        yield "Deployment"
    elif spec.get("job") is not None or spec.get("runAsJob"):
        yield "Job"
    elif spec.get("statefulSet") is not None:
        yield "StatefulSet"
    else:
        yield "Deployment"
