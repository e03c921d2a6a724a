"""What the API server makes of a value that decco wrote: the same quantity in another form, and fields that it adds.

Used to recognize an object that nobody altered without a request. The tables need not be complete: what they do not
contain is a difference that a dry run decides about (``apply.py``). They must not contain anything that means something
else than its absence.
"""

from __future__ import annotations

from typing import Any, Final

from decco.quantities import quantity

_MAPS_OF_QUANTITIES: Final = frozenset(
    {"default", "defaultRequest", "hard", "limits", "max", "maxLimitRequestRatio", "min", "requests"}
)
_QUANTITIES: Final = frozenset({"divisor", "sizeLimit", "storage"})

_OF_STATEFUL_SETS: Final = ({"partition": 0}, {"partition": 0, "maxUnavailable": 1})
"""rollingUpdate of a StatefulSet in Kubernetes 1.34, and in 1.37."""
_OF_CLAIM_TEMPLATES: Final[dict[str, object]] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "status": {"phase": "Pending"},
}

_DEFAULTS: Final[dict[str, tuple[object, ...]]] = {
    # pods
    "apiVersion": ("v1",),
    "defaultMode": (420,),
    "divisor": ("0",),
    "dnsPolicy": ("ClusterFirst",),
    "enableServiceLinks": (True,),
    "expirationSeconds": (3600,),
    "failureThreshold": (3,),
    "imagePullPolicy": ("Always", "IfNotPresent"),
    "path": ("/",),
    "periodSeconds": (10,),
    "protocol": ("TCP",),
    "resources": ({},),
    "schedulerName": ("default-scheduler",),
    "scheme": ("HTTP",),
    "securityContext": ({},),
    "successThreshold": (1,),
    "terminationGracePeriodSeconds": (30,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "timeoutSeconds": (1,),
    # Deployments, StatefulSets, Jobs, Services
    "backoffLimit": (6,),
    "internalTrafficPolicy": ("Cluster",),
    "maxSurge": ("25%",),
    "maxUnavailable": ("25%",),
    "parallelism": (1,),
    "partition": (0,),
    "persistentVolumeClaimRetentionPolicy": ({"whenDeleted": "Retain", "whenScaled": "Retain"},),
    "podManagementPolicy": ("OrderedReady",),
    "progressDeadlineSeconds": (600,),
    "revisionHistoryLimit": (10,),
    "rollingUpdate": ({"maxSurge": "25%", "maxUnavailable": "25%"}, *_OF_STATEFUL_SETS),
    "sessionAffinity": ("None",),
    "strategy": ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},),
    "suspend": (False,),
    "type": ("ClusterIP", "Opaque", "PathPrefix", "RollingUpdate"),
    "updateStrategy": tuple({"type": "RollingUpdate", "rollingUpdate": each} for each in _OF_STATEFUL_SETS),
    "volumeMode": ("Filesystem",),
    "whenDeleted": ("Retain",),
    "whenScaled": ("Retain",),
    # Gateway API
    "policyTypes": (["Ingress"],),
    "allowedRoutes": ({"namespaces": {"from": "Same"}},),
    "from": ("Same",),
    "group": ("", "gateway.networking.k8s.io"),
    "kind": ("Gateway", "Secret", "Service"),
    "matches": ([{"path": {"type": "PathPrefix", "value": "/"}}],),
    "mode": ("Terminate",),
    "weight": (1,),
}


_SAME_AS: Final = {
    "default": ("max",),
    "defaultRequest": ("default", "max", "min"),
    "serviceAccount": ("serviceAccountName",),
    "serviceAccountName": ("serviceAccount",),
    "targetPort": ("port",),
}
"""Fields that the server copies from one beside them."""
_ZERO_IS_DEFAULT: Final = frozenset({"failureThreshold", "periodSeconds", "successThreshold", "timeoutSeconds"})


def is_added(within: str, name: str, value: Any, beside: dict[str, Any]) -> bool:
    """Whether the server adds this field, with this value, to what the field ``within`` contains; ``beside`` are the
    fields there that decco wrote.
    """
    if value is None:
        return True  # creationTimestamp of a pod template
    if name == "restartPolicy":
        return within == "spec" and value == "Always"  # of an init container it would mean something else
    if within == "volumeClaimTemplates" and name in _OF_CLAIM_TEMPLATES:
        return bool(value == _OF_CLAIM_TEMPLATES[name])
    if name == "maxUnavailable" and "partition" in beside:
        return bool(value == 1)  # a StatefulSet's, in Kubernetes 1.37
    if name in _SAME_AS:
        return any(beside.get(other) not in (None, "") and _alike(value, beside[other]) for other in _SAME_AS[name])
    return value in _DEFAULTS.get(name, ())


def is_default(within: str, name: str, live: Any, written: Any, beside: dict[str, Any]) -> bool:
    """Whether the server has replaced an empty value by the default."""
    empty = written is None or written == "" or (written == 0 and name in _ZERO_IS_DEFAULT)
    return empty and is_added(within, name, live, beside)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values, or two maps of quantities, are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal("limits", name, one[name], other[name]) for name in one)
    return bool(one == other)


def equal(within: str, name: str, live: Any, written: Any) -> bool:
    """Whether the field ``name``, which is in the field ``within``, has the value that decco wrote."""
    if live == written:
        return True
    if within not in _MAPS_OF_QUANTITIES and name not in _QUANTITIES:
        return False
    one, other = quantity(live), quantity(written)
    return one is not None and other is not None and one.amount == other.amount
