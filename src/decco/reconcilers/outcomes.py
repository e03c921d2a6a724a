"""Maps an API server's refusal to a reason and a message that a Space's or App's owner can act on.

Three cases: the refusal stands until the object changes (Invalid); it may end without an event (Forbidden by a quota,
Conflict with a foreign object), so the object is requeued; or the error is not about the object (unreachable,
overloaded) and retryable: then there is no outcome, and the whole reconcile is tried again.
"""

from __future__ import annotations

import re

from decco.desired import reasons
from decco.desired.model import Child, Problem
from decco.desired.ownership import LabelledOwner, holders_of
from decco.errors import DeccoError
from decco.frozen import frozen
from decco.kube.errors import (
    ApiError,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotFound,
    NotServed,
    ServerError,
)
from decco.kube.identity import Foreign
from decco.kube.repair_backoff import DriftConflict
from decco.objects import STATEFUL_SETS, Key, Obj, Resource, key_of
from decco.text import shown, truncate

REQUEUE_SECONDS = 15.0
"""requeue_after in seconds for a refusal that may end by itself."""

_LONGEST_MESSAGE = 1024
_QUOTA_CURE = (
    "what decco makes for Spaces and Apps counts too: raise the quota (the one named decco is spec.resourceQuota of "
    "the Space), or ask for less"
)


@frozen
class Refusal:
    """Why one child is not as desired; ``requeue_after``: seconds, None to wait for a change."""

    problem: Problem
    requeue_after: float | None
    optional: bool = False
    """Whether the child can be written without the field that was refused, see ``Child.without``."""


def value_not_served(error: Exception, child: Child) -> Refusal | None:
    """The refusal if the only cause is the value of the child's optional field: an older API server does not know it,
    or a feature gate has it turned off. None otherwise.
    """
    if child.without is None or not isinstance(error, Invalid):
        return None
    field, _ = child.without
    served = [cause for cause in error.causes if cause.get("field") == field]
    if not served or len(served) != len(error.causes) or not error.has_cause("FieldValueNotSupported"):
        return None
    what = f"{child.resource.kind} {key_of(child.obj)}"
    message = (
        f"{what} is written without {field}, whose value this cluster's version does not serve: "
        f"{_shorten(error.message)}; choose another value for the Space, or upgrade the cluster"
    )
    return Refusal(Problem(reasons.VALUE_NOT_SERVED, message), None, optional=True)


def refusal_of(error: Exception, resource: Resource, key: Key) -> Refusal | None:
    """None if the error is not about the object itself and the reconcile should be tried again."""
    what = f"{resource.kind} {key}"
    if isinstance(error, Foreign):
        return _refusal(reasons.CONFLICT, _foreign(error, what), REQUEUE_SECONDS)
    if isinstance(error, DriftConflict):
        return _refusal(reasons.CONTESTED, _contested(error, what), error.seconds)
    if not isinstance(error, ApiError) or isinstance(error, NotServed):
        return None  # of a kind that is not served: it is about to be followed in another version, or to be dropped
    answer = _shorten(error.message)
    if isinstance(error, Invalid) and error.immutable and resource == STATEFUL_SETS:
        return _refusal(reasons.INVALID, _fixed(error, key))
    if isinstance(error, Invalid) and error.immutable:
        message = (
            f"The API server refuses to change {what}: {answer}; decco does not delete it, since that "
            f"would stop what runs. Delete it, and decco creates it as it should be"
        )
        return _refusal(reasons.INVALID, message)
    if isinstance(error, Forbidden):
        if error.namespace_terminating:
            message = f"Namespace {key.namespace} is being deleted; decco continues when it is gone."
            return _refusal(reasons.NAMESPACE_TERMINATING, message, REQUEUE_SECONDS)
        reason = reasons.QUOTA_EXCEEDED if error.quota_exceeded else reasons.FORBIDDEN
        cure = _QUOTA_CURE if error.quota_exceeded else "permit it to decco, or ask for another"
        return _refusal(reason, f"The API server forbids {what}: {answer}; {cure}", REQUEUE_SECONDS)
    if isinstance(error, NotFound) and error.details.get("kind") == "namespaces":
        message = f"Namespace {key.namespace} does not exist; decco continues when it exists."
        return _refusal(reasons.NAMESPACE_NOT_READY, message, REQUEUE_SECONDS)
    if isinstance(error, NotFound | MethodNotAllowed):
        message = f"The cluster has no place for {what}: {answer}; install or upgrade what serves it"
        return _refusal(reasons.INVALID, message, REQUEUE_SECONDS)
    if isinstance(error, ServerError) and error.too_large:
        return _refusal(reasons.INVALID, f"{what} is larger than the cluster's storage takes: make the spec smaller.")
    if 400 <= error.status < 500 and error.status not in _NOT_ABOUT_THE_OBJECT:
        return _refusal(reasons.INVALID, f"The API server refuses {what}: {answer}; correct the spec")
    return None


def _fixed(error: Invalid, key: Key) -> str:
    """A StatefulSet is not deleted for a change: that would stop the pods, and perhaps delete their volumes."""
    fields = sorted({str(cause.get("field")).removeprefix("spec.") for cause in error.causes})
    named = ", ".join(field for field in fields if field in _FIXED) or " or ".join(_FIXED)
    return (
        f"Kubernetes cannot change {named} of StatefulSet {key}: what runs goes on as it is, and the workload is "
        "not updated. Put the former value back; or delete the App and create it again; or have your cluster "
        f"administrator run kubectl delete statefulset {key.name} --namespace {key.namespace} --cascade=orphan, after "
        "which decco creates it as the spec asks, around the same pods. Claims stay, unless "
        "persistentVolumeClaimRetentionPolicy has whenDeleted: Delete"
    )


_FIXED = ("podManagementPolicy", "volumeClaimTemplates")
"""Fields that only the first StatefulSet of an App sets; decco sets the others to values that never change."""
_NOT_ABOUT_THE_OBJECT = frozenset({401, 408, 409, 410, 429})


def _refusal(reason: str, message: str, requeue_after: float | None = None) -> Refusal:
    return Refusal(Problem(reason, message), requeue_after)


_BUILT_IN = frozenset({"", "apps", "batch", "networking.k8s.io"})
_RULES = (
    re.compile(r"""^admission webhook "([^"]+)" denied the request"""),
    re.compile(r"""ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request"""),
    re.compile(r"""exceeded quota: ([^,]+),"""),
    re.compile(r"""User "[^"]*" cannot (\w+) resource "([^"]+)" in API group"""),
)


def is_by_policy(error: ApiError) -> bool:
    """Whether a policy or webhook of the cluster refused: it may be corrected at any time."""
    return any(pattern.search(error.message) for pattern in _RULES[:2])


def rule_of(error: ApiError, resource: Resource, key: Key) -> str:
    """The name of the webhook, policy, quota or permission that refused; "" for the API server's own validation. The
    API server gives these names only in its message. Rules of CustomResourceDefinitions change with an upgrade of their
    CRDs, built-in ones with the API server.
    """
    for pattern in _RULES:
        if found := pattern.search(error.message):
            where = key.namespace if isinstance(error, Forbidden) and error.quota_exceeded else ""
            return "/".join((pattern.pattern[:12], where, *found.groups()))
    if isinstance(error, Forbidden | NotFound | MethodNotAllowed) or resource.group not in _BUILT_IN:
        return f"{type(error).__name__}/{resource}"
    return ""


def _contested(error: DriftConflict, what: str) -> str:
    if error.deletes:
        return (
            f"{what} is deleted again and again after decco has created it; decco goes on with growing pauses. "
            "The audit log of the API server names who deletes it: correct that, or pause this object"
        )
    who = ", ".join(error.managers) or "somebody who leaves no name in managedFields"
    return (
        f"{what} is altered again and again after decco has put it right (who else writes to it: {who}); decco "
        "goes on with growing pauses. Correct the other writer, or pause this object"
    )


def _foreign(error: Foreign, what: str) -> str:
    former = error.labelled_owner
    if isinstance(former, LabelledOwner) and former.fqdn:
        project = f"project {shown(former.project)}" if former.project else "no project"
        return (
            f"{what} was made for another Space of this name, of {shown(former.fqdn)} and {project}. decco leaves it "
            "alone; create that Space again, choose another name, or delete the namespace and all that is in it."
        )
    return (
        f"{what} exists already and does not belong to this object. decco leaves it alone; "
        "rename one of the two, or delete the other."
    )


def being_deleted(resource: Resource, key: Key, live: Obj) -> Problem:
    """The problem of a child that is being deleted: which finalizers block it, or that this is about to end."""
    what = f"{resource.kind} {key}"
    holders = holders_of(live)
    if not holders:
        return Problem(reasons.NOT_WRITTEN, f"{what} is being deleted; it is created again when it is gone")
    message = (
        f"{what} is being deleted and is held by the finalizers {', '.join(holders)}: remove them, or correct what "
        "should; decco creates it again when it is gone"
    )
    return Problem(reasons.BEING_DELETED, message)


def left_over(resource: Resource, key: Key, live: Obj) -> str:
    """The message about an object that is no longer desired and that decco cannot remove."""
    what, delete = f"{resource.kind} {key}", f"kubectl delete {resource} {key.name}"
    delete += f" --namespace {key.namespace}" if key.namespace else ""
    if "deletionTimestamp" in live["metadata"]:
        holders = ", ".join(holders_of(live)) or "of Kubernetes itself"
        return f"{what} is no longer desired, but is held in deletion by the finalizers {holders}: remove them"
    return (
        f"{what} has decco's labels and no owner, and no object requires it now. While a backup is being restored, "
        "wait: decco takes it back when its Space or App is there. decco removes only what it surely made: if nobody "
        f"needs it and what is in it, {delete}"
    )


def retryable(error: DeccoError, resource: Resource, key: Key) -> Refusal:
    """The refusal for a child that could not be written because of a retryable error."""
    message = f"{resource.kind} {key} could not be written and is tried again: {_shorten(str(error))}"
    return Refusal(Problem(reasons.NOT_WRITTEN, message), None)


def _shorten(message: str) -> str:
    return truncate(message, _LONGEST_MESSAGE)
