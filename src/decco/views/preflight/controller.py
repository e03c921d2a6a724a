"""Checks of the controller: whether it runs, its permissions, and the labels of shared Secrets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from decco import __version__
from decco.desired import secrets
from decco.desired.model import SpaceFacts
from decco.kube.errors import Forbidden, NotFound
from decco.objects import (
    ANNOTATION_SHARE_WITH,
    APPS,
    EVENTS,
    GROUP,
    LABEL_SHARE,
    LEASES,
    SECRETS,
    SPACES,
    Key,
    Obj,
    Resource,
    annotations_of,
    labels_of,
)
from decco.reconcilers.caches import Kind, Role
from decco.reconcilers.facts import secret_facts, space_facts
from decco.reconcilers.kinds import KINDS
from decco.views.preflight.model import ACCESS_REVIEWS, SERVICE_ACCOUNTS, Check, ClusterContext, Grade
from decco.views.running import NAME

WATCHED = ("get", "list", "watch")
WRITTEN = (*WATCHED, "create", "update", "delete")
SOON_DAYS = 21
_TAG = re.compile(r":v?(\d+)\.(\d+)(?:\.\d+)?[^/]*$")


# -- running ----------------------------------------------------------------------------------------------------------


async def running(context: ClusterContext) -> list[Check]:
    """Check the Lease, and the Deployment of the manifests."""
    found: list[Check] = []
    try:
        lease = await context.client.get(
            LEASES, Key(context.settings.namespace, context.settings.leader_election.lease_name)
        )
    except NotFound:
        lease = None
    deployment = context.running.deployment
    if lease is not None:
        found.append(_lease(lease["spec"], context.now))
    if deployment is not None:
        found += _deployment(deployment)
    if not found:
        text = (
            f"there is neither a Lease nor a Deployment {NAME} in namespace {context.settings.namespace}: install "
            "the controller, or name its namespace with --decco-namespace"
        )
        found.append(Check("controller", Grade.WARNING, text))
    return found


def _lease(spec: Obj, now: datetime) -> Check:
    holder = spec.get("holderIdentity")
    if not holder:
        return Check("controller", Grade.FAILURE, "there is no leader: the Lease has no holder; start the controller")
    renewed = spec.get("renewTime") or spec.get("acquireTime")
    age = (now - datetime.fromisoformat(renewed)).total_seconds() if renewed else float("inf")
    if age > float(spec.get("leaseDurationSeconds") or 15):
        text = f"{holder} is no longer the leader: its Lease was renewed {age:.0f} s ago; see its pods and their logs"
        return Check("controller", Grade.FAILURE, text)
    return Check("controller", Grade.OK, f"{holder} is the leader")


def _deployment(deployment: Obj) -> Iterator[Check]:
    wanted = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    if ready < wanted:
        grade = Grade.WARNING if ready else Grade.FAILURE
        text = (
            f"{ready} of {wanted} replicas are ready: see `kubectl -n {deployment['metadata']['namespace']} get pods`"
        )
        yield Check("replicas", grade, text)
    else:
        yield Check("replicas", Grade.OK, f"{ready} of {wanted} ready")
    containers: Sequence[Obj] = deployment["spec"]["template"]["spec"].get("containers") or ()
    image = next((str(each.get("image")) for each in containers), "")
    yield _skew(image)


def _skew(image: str) -> Check:
    """Compare the versions: this program and the controller may differ by one minor version."""
    match, own = _TAG.search(image), re.match(r"(\d+)\.(\d+)", __version__)
    if match is None or own is None:
        text = f"the image {image} does not contain its version; this is decco {__version__}"
        return Check("version", Grade.UNKNOWN, text)
    theirs, ours = (tuple(map(int, found.groups()[:2])) for found in (match, own))
    if theirs[0] != ours[0] or abs(theirs[1] - ours[1]) > 1:
        text = f"the controller is {image}, this is decco {__version__}: use versions at most one minor apart"
        return Check("version", Grade.WARNING, text)
    return Check("version", Grade.OK, f"controller {match.group().lstrip(':')}, this program {__version__}")


async def objects(context: ClusterContext) -> list[Check]:
    """Count the Spaces and Apps, and check that the controller has observed their last changes."""
    found = []
    for resource in (SPACES, APPS):
        seen = [obj async for obj in _all(context, resource)]
        unready = [obj for obj in seen if _ready(obj) != "True"]
        behind = [obj for obj in seen if _is_behind(obj)]
        name = resource.plural
        if behind:
            text = f"{len(behind)} of {len(seen)} have changes that the controller has not reconciled: is it running?"
            found.append(Check(name, Grade.FAILURE, f"{text} For example {_label(behind[0])}"))
        elif unready:
            text = f"{len(unready)} of {len(seen)} are not Ready, for example {_label(unready[0])}"
            found.append(Check(name, Grade.WARNING, f"{text}: see `decco explain {_label(unready[0])}`"))
        else:
            found.append(Check(name, Grade.OK, f"all {len(seen)} are Ready" if seen else "there is none yet"))
    return found


def _label(obj: Obj) -> str:
    meta = obj["metadata"]
    return str(Key(meta.get("namespace", ""), meta["name"]))


def _ready(obj: Obj) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((str(c.get("status")) for c in conditions if c.get("type") == "Ready"), "Unknown")


def _is_behind(obj: Obj) -> bool:
    seen = (obj.get("status") or {}).get("observedGeneration")
    return "deletionTimestamp" not in obj["metadata"] and (seen or 0) < obj["metadata"].get("generation", 0)


# -- permissions ------------------------------------------------------------------------------------------------------


class Permission(NamedTuple):
    """A permission that the controller needs; ``namespace`` "" is all namespaces."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    subresource: str = ""
    name: str = ""
    """Name of the object; "" for all objects."""

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        name += f".{self.group}" if self.group else ""
        name += f" {self.name!r}" if self.name else ""
        return f"{self.verb} {name}" + (f" in {self.namespace}" if self.namespace else "")


def needed(context: ClusterContext, watched: Iterable[Kind] = KINDS) -> list[Permission]:
    """All permissions that the controller needs, derived from the kinds that it watches and writes."""
    controller_namespace = context.settings.namespace
    found = [
        Permission(resource.group, resource.plural, verb)
        for kind in watched
        if (resource := kind.in_version(context.served)) is not None
        if kind.select(resource, context.settings) is not None
        for verb in (WRITTEN if kind.role is Role.CHILD else WATCHED)
    ]
    kinds = {provider.kind for provider in context.settings.dns.providers if provider.kind is not None}
    found += [Permission(kind.group, kind.plural, verb) for kind in kinds for verb in WRITTEN]
    for own in (SPACES, APPS):
        found.append(Permission(own.group, own.plural, "patch"))
        found.append(Permission(own.group, own.plural, "update", subresource="status"))
        found.append(Permission(own.group, own.plural, "update", subresource="finalizers"))
    found += [Permission(EVENTS.group, EVENTS.plural, verb) for verb in ("create", "patch")]
    found.append(Permission(LEASES.group, LEASES.plural, "create", controller_namespace))
    found += [
        Permission(
            LEASES.group, LEASES.plural, verb, controller_namespace, name=context.settings.leader_election.lease_name
        )
        for verb in ("get", "watch", "update")
    ]
    found.append(Permission(GROUP, "namespaces", "label"))
    return list(dict.fromkeys(found))


async def permissions(context: ClusterContext) -> list[Check]:
    account = Key(context.settings.namespace, context.service_account)
    try:
        await context.client.get(SERVICE_ACCOUNTS, account)
    except NotFound:
        text = f"there is no service account {account}: apply manifests/rbac, or name another with --service-account"
        return [Check("permissions", Grade.WARNING, text)]
    wanted = needed(context)
    try:
        allowed = await asyncio.gather(*(_may(context, account, permission) for permission in wanted))
    except Forbidden:
        text = "you may not ask what others may do: ask for create on subjectaccessreviews.authorization.k8s.io"
        return [Check("permissions", Grade.UNKNOWN, text)]
    lacking = [str(permission) for permission, may in zip(wanted, allowed, strict=True) if not may]
    if lacking:
        listed = "; ".join(lacking[:4]) + (f"; and {len(lacking) - 4} more" if len(lacking) > 4 else "")
        text = f"service account {account} may not {listed}: apply manifests/rbac of this version"
        return [Check("permissions", Grade.FAILURE, text)]
    return [Check("permissions", Grade.OK, f"service account {account} may do all of {len(wanted)} things")]


async def _may(context: ClusterContext, account: Key, permission: Permission) -> bool:
    attributes = {
        "group": permission.group,
        "resource": permission.resource,
        "subresource": permission.subresource,
        "verb": permission.verb,
        "namespace": permission.namespace,
        "name": permission.name,
    }
    user = f"system:serviceaccount:{account.namespace}:{account.name}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", "system:authenticated"]
    question = {"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}
    answer = await context.client.ask(ACCESS_REVIEWS, question)
    return bool((answer.get("status") or {}).get("allowed"))


# -- Secrets ----------------------------------------------------------------------------------------------------------


async def shared_secrets(context: ClusterContext) -> list[Check]:
    """Check the sharing labels and annotations of Secrets in the controller namespace."""
    controller_namespace = context.settings.namespace
    spaces = [space async for space in _spaces(context)]
    names = {space.name for space in spaces}
    found: list[Check] = []
    count = 0
    async for obj in _all(context, SECRETS, controller_namespace):
        about = f"secret {controller_namespace}/{obj['metadata']['name']}"
        label, annotation = labels_of(obj).get(LABEL_SHARE), annotations_of(obj).get(ANNOTATION_SHARE_WITH)
        if label is None and annotation is None:
            continue
        count += 1
        for grade, text in _sharing_problems(label, annotation, names, obj, context.now):
            found.append(Check(about, grade, text))
    if not found:
        found.append(Check("secrets", Grade.OK, f"{count} shared" if count else "none is shared yet"))
    return found


def _sharing_problems(
    label: str | None, annotation: str | None, spaces: set[str], obj: Obj, now: datetime
) -> Iterator[tuple[Grade, str]]:
    if label != "true":
        what = f"the label {LABEL_SHARE} is {label!r}" if label is not None else f"it has no label {LABEL_SHARE}"
        yield Grade.WARNING, f"{what}, so decco does not see it: set it to 'true', or remove {ANNOTATION_SHARE_WITH}"
        return
    with_whom = secrets.parse_share_with(annotation)
    if not with_whom:
        yield Grade.WARNING, f"it is shared with nobody: name Spaces in the annotation {ANNOTATION_SHARE_WITH}"
    strangers = sorted(with_whom - spaces - {"*"})
    if strangers:
        text = f"{ANNOTATION_SHARE_WITH} names {', '.join(strangers)}, and there is no such Space"
        yield Grade.WARNING, f"{text}: correct the name, or create it"
    facts = secret_facts(obj)
    if facts.problem is not None:
        yield Grade.FAILURE, facts.problem.message
    elif facts.not_after is not None:
        days = (facts.not_after - now).days
        if facts.not_after <= now:
            yield Grade.FAILURE, f"its certificate expired on {facts.not_after:%Y-%m-%d}: renew it"
        elif days < SOON_DAYS:
            yield Grade.WARNING, f"its certificate ends in {days} days: renew it"


async def _spaces(context: ClusterContext) -> AsyncIterator[SpaceFacts]:
    async for obj in _all(context, SPACES):
        try:
            yield space_facts(obj)
        except ValueError:
            continue  # reported by ``objects`` as not Ready


async def _all(context: ClusterContext, resource: Resource, namespace: str = "") -> AsyncIterator[Obj]:
    async for page in context.client.list_pages(resource, namespace=namespace):
        for obj in page.items:
            yield obj
