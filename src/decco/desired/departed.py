"""A Space that is gone while its namespace is not: what may still serve its host names, and what others report of it.

A finalizer on any object holds a namespace in deletion, and whoever may write the object may set one. The names of a
Space that is gone must not be held in that way for ever. They are free when nothing that is left in the namespace can
lead traffic or DNS to it. decco does not watch the tenant's own objects, but the namespace controller writes in the
namespace's status which kinds are left.
"""

from __future__ import annotations

import re

from decco.desired.grants import parse_record
from decco.desired.ownership import holders_of
from decco.objects import ANNOTATION_FQDN, ANNOTATION_HOSTNAMES, ANNOTATION_TRANSFER, Obj, annotations_of

_UNKNOWN = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
)
"""If one of these is True, there may be more than the condition lists."""
_REMAINING = "NamespaceContentRemaining"
_KIND = re.compile(r"([a-z0-9-]+\.[a-z0-9.-]*) has [0-9]+ resource instances")
_LISTED = re.compile(rf"Some resources are remaining: {_KIND.pattern}(?:, {_KIND.pattern})*")
"""As the namespace controller writes it: <resource>.<group>, which is "configmaps." for the core group."""
_INERT = frozenset(
    {
        "configmaps.",
        "limitranges.",
        "persistentvolumeclaims.",
        "podtemplates.",
        "resourcequotas.",
        "secrets.",
        "serviceaccounts.",
        "apps.decco.platform9.com",
        "controllerrevisions.apps",
        "cronjobs.batch",
        "daemonsets.apps",
        "deployments.apps",
        "horizontalpodautoscalers.autoscaling",
        "jobs.batch",
        "leases.coordination.k8s.io",
        "networkpolicies.networking.k8s.io",
        "poddisruptionbudgets.policy",
        "replicasets.apps",
        "rolebindings.rbac.authorization.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "statefulsets.apps",
    }
)
"""Kinds that lead neither traffic nor DNS to the namespace. Not pods: API servers that delete pods first list nothing
else while there are some."""


def is_inert(namespace: Obj) -> bool:
    """Whether what is left in a namespace in deletion certainly serves no host name. False if that is not known."""
    conditions = {each.get("type"): each for each in (namespace.get("status") or {}).get("conditions") or ()}
    if any(conditions.get(kind, {}).get("status") != "False" for kind in _UNKNOWN):
        return False
    remaining = conditions.get(_REMAINING, {})
    message = str(remaining.get("message"))
    if remaining.get("status") != "True":
        return bool(remaining.get("status") == "False")
    return _LISTED.fullmatch(message) is not None and _INERT.issuperset(_KIND.findall(message))


def with_record(namespace: Obj, record: str) -> Obj | None:
    """The namespace with this record of grants; None if it has it.

    An empty record stays: without one, policies take the FQDN as granted.
    """
    annotations = annotations_of(namespace)
    if annotations.get(ANNOTATION_HOSTNAMES, "") == record:
        return None
    changed = {**annotations, ANNOTATION_HOSTNAMES: record}
    if f".{annotations.get(ANNOTATION_FQDN)}" not in parse_record(record):
        changed.pop(ANNOTATION_FQDN, None)
    return {**namespace, "metadata": {**namespace["metadata"], "annotations": changed}}


def departed_text(name: str, namespace: Obj) -> str:
    """What follows "is granted to Space <name>" where the Space is gone or going."""
    if "deletionTimestamp" not in namespace["metadata"]:
        return f", which is gone and has left its namespace {name}: have the namespace deleted"
    holders = ", ".join(holders_of(namespace))
    held = f", held by the finalizers {holders}" if holders else ""
    transfer = f"have the name transferred from {name} (annotation {ANNOTATION_TRANSFER})"
    wait = f"have them removed, or {transfer}" if holders else f"wait until it is gone, or {transfer}"
    return f", which is deleted, and whose namespace {name} is being deleted{held}: {wait}"
