"""Leaves out of specs what an API server has filled in, so that a proposal contains what people have set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decco.importing.fields import as_object, as_objects
from decco.objects import Obj

_POD: Mapping[str, Any] = {
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": True,
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER: Mapping[str, Any] = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE: Mapping[str, Any] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_MODE = 0o644
_CLAIM_META = ("creationTimestamp", "uid", "resourceVersion", "managedFields", "namespace")

DEPLOYMENT: Mapping[str, Any] = {
    "progressDeadlineSeconds": 600,
    "revisionHistoryLimit": 10,
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    "minReadySeconds": 0,
    "paused": False,
}
STATEFUL_SET: Mapping[str, Any] = {
    "podManagementPolicy": "OrderedReady",
    "revisionHistoryLimit": 10,
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    "minReadySeconds": 0,
}
JOB: Mapping[str, Any] = {
    "backoffLimit": 6,
    "completions": 1,
    "parallelism": 1,
    "completionMode": "NonIndexed",
    "suspend": False,
    "podReplacementPolicy": "TerminatingOrFailed",
}


def without_defaults(obj: Obj, defaults: Mapping[str, Any]) -> Obj:
    """Also without fields that are null."""
    return {
        name: value for name, value in obj.items() if value is not None and (name, value) not in [*defaults.items()]
    }


def shortened_pod(pod: Obj) -> Obj:
    made = without_defaults(pod, _POD)
    made.pop("serviceAccount", None) if "serviceAccountName" in made else None
    if made.get("serviceAccountName") == "default":
        del made["serviceAccountName"]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        if isinstance(made.get(kind), list):
            made[kind] = [_container(each) if isinstance(each, dict) else each for each in made[kind]]
    if isinstance(made.get("volumes"), list):
        made["volumes"] = [_volume(each) if isinstance(each, dict) else each for each in made["volumes"]]
    return made


def shortened_claim(claim: Obj) -> Obj:
    """A volumeClaimTemplate; ``metadata`` keeps what users set."""
    meta = {name: value for name, value in as_object(claim.get("metadata")).items() if name not in _CLAIM_META}
    return {"metadata": meta, "spec": without_defaults(as_object(claim.get("spec")), {"volumeMode": "Filesystem"})}


def _container(container: Obj) -> Obj:
    made = without_defaults(container, _CONTAINER)
    if made.get("imagePullPolicy") == _pull_policy(made.get("image")):
        del made["imagePullPolicy"]
    if isinstance(made.get("ports"), list):
        made["ports"] = [
            without_defaults(port, {"protocol": "TCP"}) if isinstance(port, dict) else port for port in made["ports"]
        ]
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(made.get(name), dict):
            probe = made[name] = without_defaults(made[name], _PROBE)
            if isinstance(probe.get("httpGet"), dict):
                probe["httpGet"] = without_defaults(probe["httpGet"], {"scheme": "HTTP"})
    if isinstance(made.get("env"), list):
        made["env"] = [_variable(each) for _, each in as_objects(made["env"])]
    return made


def _variable(variable: Obj) -> Obj:
    source = as_object(variable.get("valueFrom"))
    if isinstance(source.get("fieldRef"), dict):
        reference = without_defaults(source["fieldRef"], {"apiVersion": "v1"})
        return {**variable, "valueFrom": {**source, "fieldRef": reference}}
    return variable


def _volume(volume: Obj) -> Obj:
    return {
        name: without_defaults(value, {"defaultMode": _MODE}) if isinstance(value, dict) else value
        for name, value in volume.items()
    }


def _pull_policy(image: Any) -> str:
    """What the API server fills in."""
    last = str(image or "").rpartition("/")[2]
    if "@" in last:
        return "IfNotPresent"
    return "Always" if last.partition(":")[2] in ("", "latest") else "IfNotPresent"
