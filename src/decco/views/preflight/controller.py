"""Checks of the controller: whether it runs, its permissions, and the labels of shared Secrets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from decco import __version__
from decco.api.conditions import has_status
from decco.desired.consent import PROJECT, parse_share_with
from decco.desired.issuing import CHALLENGES, ISSUERS, REQUESTS
from decco.desired.model import SecretFacts, SpaceFacts
from decco.desired.secret_use import LISTS_EXPIRED, LISTS_NOT_YET_VALID, Use, defects
from decco.desired.secrets import TLS_CRT, certificates_of, refusal_of
from decco.desired.space import SECRETS_ROLE
from decco.kube.errors import Forbidden
from decco.objects import (
    ACCESS_REVIEWS,
    ANNOTATION_SHARE_WITH,
    APPS,
    CERTIFICATES,
    EVENTS,
    GROUP,
    LABEL_SHARE,
    LEASES,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SPACES,
    Key,
    Obj,
    annotations_of,
    labels_of,
)
from decco.reconcilers.caches import Kind, Role
from decco.reconcilers.facts import secret_facts
from decco.reconcilers.kinds import KINDS
from decco.views.findings import LISTS_SOON, SOON_DAYS, Finding
from decco.views.preflight.model import ClusterContext
from decco.views.running import NAME

FIX_ROLES = "`kubectl apply --server-side -f manifests/rbac`"
_TAG = re.compile(r":v?(\d+)\.(\d+)(?:\.\d+)?[^/]*$")


# -- running ----------------------------------------------------------------------------------------------------------


async def running(context: ClusterContext) -> AsyncIterator[Finding]:
    """Check the Lease, and the Deployment of the manifests."""
    settings, deployment = context.settings, context.running.deployment
    lease = await context.find(LEASES, Key(settings.namespace, settings.leader_election.lease_name))
    if lease is None and deployment is None:
        text = (
            f"there is neither a Lease nor a Deployment {NAME} in namespace {settings.namespace}: install "
            "all with `kubectl apply -k manifests`, or name its namespace with --decco-namespace"
        )
        yield Finding("controller", text, "controller-missing")
    if lease is not None:
        yield _lease(lease["spec"], context.now)
    if deployment is not None:
        yield _replicas(deployment)
        yield _skew(deployment)


def _lease(spec: Obj, now: datetime) -> Finding:
    holder = spec.get("holderIdentity")
    if not holder:
        return Finding("controller", "there is no leader: the Lease has no holder; start the controller", "no-leader")
    renewed = spec.get("renewTime") or spec.get("acquireTime")
    age = (now - datetime.fromisoformat(renewed)).total_seconds() if renewed else float("inf")
    if age > float(spec.get("leaseDurationSeconds") or 15):
        text = f"{holder} is no longer the leader: its Lease was renewed {age:.0f} s ago; see its pods and their logs"
        return Finding("controller", text, "lease-expired")
    return Finding("controller", f"{holder} is the leader")


def _replicas(deployment: Obj) -> Finding:
    wanted = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    if ready >= wanted:
        return Finding("replicas", f"{ready} of {wanted} ready")
    text = f"{ready} of {wanted} replicas are ready: see `kubectl -n {deployment['metadata']['namespace']} get pods`"
    return Finding("replicas", text, "replicas-missing" if ready else "no-replica")


def _skew(deployment: Obj) -> Finding:
    """Compare the versions: this program and the controller may differ by one minor version."""
    containers: Sequence[Obj] = deployment["spec"]["template"]["spec"].get("containers") or ()
    image = next((str(each.get("image")) for each in containers), "")
    match, own = _TAG.search(image), re.match(r"(\d+)\.(\d+)", __version__)
    if match is None or own is None:
        text = f"the image {image} does not contain its version; this is decco {__version__}"
        return Finding("version", text, "version-unknown")
    theirs, ours = (tuple(map(int, found.groups()[:2])) for found in (match, own))
    if theirs[0] != ours[0] or abs(theirs[1] - ours[1]) > 1:
        text = f"the controller is {image}, this is decco {__version__}: use versions at most one minor apart"
        return Finding("version", text, "version-skew")
    return Finding("version", f"controller {match.group().lstrip(':')}, this program {__version__}")


async def objects(context: ClusterContext) -> AsyncIterator[Finding]:
    """Count the Spaces and Apps, and check that the controller has observed their last changes."""
    for resource in (SPACES, APPS):
        seen = (
            (await context.spaces()).objects
            if resource is SPACES
            else [obj async for obj in context.objects_if_served(APPS)]
        )
        unready = [obj for obj in seen if not has_status(obj, "Ready")]
        behind = [obj for obj in seen if _is_behind(obj)]
        about = resource.plural
        if behind:
            text = f"{len(behind)} of {len(seen)} have changes that the controller has not reconciled: is it running?"
            yield Finding(about, f"{text} For example {_label(behind[0])}", "objects-not-reconciled")
        elif unready:
            text = f"{len(unready)} of {len(seen)} are not Ready, for example {_label(unready[0])}"
            yield Finding(about, f"{text}: see `decco explain {_label(unready[0])}`", "objects-not-ready")
        else:
            yield Finding(about, f"all {len(seen)} are Ready" if seen else "there is none yet")


def _label(obj: Obj) -> str:
    meta = obj["metadata"]
    return str(Key(meta.get("namespace", ""), meta["name"]))


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


def needed(context: ClusterContext, kinds: Iterable[Kind] = KINDS, *, privileged: bool = False) -> list[Permission]:
    """All permissions that the controller needs, derived from the kinds that it watches and writes.

    ``privileged``: whether a Space has ``podSecurity: privileged``.
    """
    own, lease_name = context.settings.namespace, context.settings.leader_election.lease_name
    found = [
        Permission(resource.group, resource.plural, verb, spec.namespace if kind.role is Role.SHARED else "")
        for kind in kinds
        if (resource := kind.in_version(context.served)) is not None
        if kind.watched and (spec := kind.select(resource, context.settings)) is not None
        for verb in kind.verbs
    ]
    for owner in (SPACES, APPS):
        found += [
            Permission(GROUP, owner.plural, "update", subresource="status"),
            Permission(GROUP, owner.plural, "update", subresource="finalizers"),
            Permission(GROUP, owner.plural, "abandon-dns"),
        ]
    found += [Permission(GROUP, "namespaces", "label"), Permission(GROUP, "tenantobjects", "exempt")]
    if privileged:
        found.append(Permission(GROUP, "podsecuritylevels", "use", name="privileged"))
    found += [Permission(EVENTS.group, EVENTS.plural, verb) for verb in ("create", "patch")]
    # Secrets of Spaces are read and written by this binding, which is made in the namespace of each.
    found.append(Permission(ROLE_BINDINGS.group, ROLE_BINDINGS.plural, "create"))
    found.append(Permission(ROLE_BINDINGS.group, "clusterroles", "bind", name=SECRETS_ROLE))
    found.append(Permission(SECRETS.group, SECRETS.plural, "get", own))  # credentials of DNS providers
    for record in {provider.kind for provider in context.settings.dns.providers if provider.kind is not None}:
        found.append(Permission(record.group, record.plural, "list"))  # the names that others publish
        found += [Permission(record.group, record.plural, verb, own) for verb in ("get", "create", "update", "delete")]
    if CERTIFICATES in context.served:  # why one is not issued
        found += [Permission(each.group, each.plural, "get") for each in ISSUERS.values()]
        found += [Permission(each.group, each.plural, "list") for each in (REQUESTS, CHALLENGES)]
    found.append(Permission(LEASES.group, LEASES.plural, "create", own))
    found += [
        Permission(LEASES.group, LEASES.plural, verb, own, name=lease_name) for verb in ("get", "watch", "update")
    ]
    return list(dict.fromkeys(found))


async def permissions(context: ClusterContext) -> AsyncIterator[Finding]:
    account = Key(context.settings.namespace, context.service_account)
    if await context.find(SERVICE_ACCOUNTS, account) is None:
        text = f"there is no service account {account}: {FIX_ROLES}, or name another with --service-account"
        yield Finding("permissions", text, "service-account-missing")
        return
    spaces = await context.spaces()
    wanted = needed(context, privileged=any(s["spec"].get("podSecurity") == "privileged" for s in spaces.objects))
    try:
        allowed = await asyncio.gather(*(_may(context, account, permission) for permission in wanted))
    except Forbidden:
        text = "you may not ask what others may do: ask for create on subjectaccessreviews.authorization.k8s.io"
        yield Finding("permissions", text, "permissions-hidden")
        return
    lacking = [str(permission) for permission, may in zip(wanted, allowed, strict=True) if not may]
    if lacking:
        listed = "; ".join(lacking[:4]) + (f"; and {len(lacking) - 4} more" if len(lacking) > 4 else "")
        text = f"service account {account} may not {listed}: {FIX_ROLES} of this version"
        yield Finding("permissions", text, "permissions-missing")
    else:
        yield Finding("permissions", f"service account {account} may do all of {len(wanted)} things")


async def _may(context: ClusterContext, account: Key, permission: Permission) -> bool:
    user = f"system:serviceaccount:{account.namespace}:{account.name}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", "system:authenticated"]
    question = {"spec": {"user": user, "groups": groups, "resourceAttributes": permission._asdict()}}
    answer = await context.client.create_review(ACCESS_REVIEWS, question)
    return bool((answer.get("status") or {}).get("allowed"))


# -- Secrets ----------------------------------------------------------------------------------------------------------


async def shared_secrets(context: ClusterContext) -> AsyncIterator[Finding]:
    """Check the sharing labels and annotations of Secrets in the controller namespace."""
    controller_namespace = context.settings.namespace
    spaces = (await context.spaces()).understood
    count, faultless = 0, True
    async for obj in context.objects(SECRETS, namespace=controller_namespace):
        if LABEL_SHARE in labels_of(obj) or ANNOTATION_SHARE_WITH in annotations_of(obj):
            count += 1
            for text, name in _sharing_problems(obj, spaces, context.now):
                yield Finding(f"secret {controller_namespace}/{obj['metadata']['name']}", text, name)
                faultless = False
    if faultless:
        yield Finding("secrets", f"{count} shared" if count else "none is shared yet")


def _sharing_problems(obj: Obj, spaces: Sequence[SpaceFacts], now: datetime) -> Iterator[tuple[str, str]]:
    """(text, name of the finding) of each problem."""
    label, annotation = labels_of(obj).get(LABEL_SHARE), annotations_of(obj).get(ANNOTATION_SHARE_WITH)
    if label != "true":
        what = f"the label {LABEL_SHARE} is {label!r}" if label is not None else f"it has no label {LABEL_SHARE}"
        text = f"{what}, so decco does not see it: set it to 'true', or remove {ANNOTATION_SHARE_WITH}"
        yield text, "secret-label-wrong"
        return
    with_whom = parse_share_with(annotation)
    if not with_whom:
        text = f"it is shared with nobody: name Spaces in the annotation {ANNOTATION_SHARE_WITH}"
        yield text, "secret-shared-with-nobody"
    fqdns = {space.name: space.fqdn for space in spaces}
    known = {"*", *fqdns, *fqdns.values(), *(f"*.{fqdn.partition('.')[2]}" for fqdn in fqdns.values())}
    strangers = sorted(entry for entry in with_whom - known if not entry.startswith(PROJECT))
    if strangers:
        text = f"{ANNOTATION_SHARE_WITH} names {', '.join(strangers)}, and there is no such Space"
        yield f"{text}: correct the name, or create it", "secret-shared-with-unknown"
    for name in sorted(with_whom & fqdns.keys()):
        text = f"{ANNOTATION_SHARE_WITH} has the bare name {name}, which a Space of another domain may have later"
        yield f"{text}: write {fqdns[name]}", "secret-shared-by-bare-name"
    refusal = refusal_of(str(obj.get("type")))
    if refusal is not None:
        yield refusal.message, refusal.reason
    elif _is_certificate(obj, spaces):
        yield from _certificate_problems(secret_facts(obj), now)


def _is_certificate(obj: Obj, spaces: Sequence[SpaceFacts]) -> bool:
    """Whether it is meant as one; all else may have any content."""
    named = any(obj["metadata"]["name"] in certificates_of(space.spec) for space in spaces)
    return named or obj.get("type") == "kubernetes.io/tls" or TLS_CRT in (obj.get("data") or {})


def _certificate_problems(facts: SecretFacts, now: datetime) -> Iterator[tuple[str, str]]:
    if facts.problem is not None:
        yield facts.problem.message, facts.problem.reason
    elif facts.not_after is not None:
        days = (facts.not_after - now).days
        if facts.not_before is not None and now < facts.not_before:
            begin = f"{facts.not_before:%Y-%m-%d %H:%M:%S} UTC"
            yield f"its certificate is not valid before {begin}: wait, or renew it", "CertificateNotYetValid"
        if facts.not_after <= now:
            yield f"its certificate expired on {facts.not_after:%Y-%m-%d}: renew it", "CertificateExpired"
        elif days < SOON_DAYS:
            yield f"its certificate ends in {days} days: renew it", "certificate-ends-soon"
    wrong = defects(facts, Use(verifies=True), now)
    for name in (LISTS_EXPIRED, LISTS_NOT_YET_VALID):
        if name in wrong:
            yield wrong[name].message, wrong[name].reason
    if facts.lists_until is not None and timedelta(0) < facts.lists_until - now < LISTS_SOON:
        text = f"a list of revoked certificates in its ca.crl expires at {facts.lists_until:%Y-%m-%d %H:%M} UTC"
        yield f"{text}: issue a new one, or all peers that it is about will be refused", "lists-end-soon"
