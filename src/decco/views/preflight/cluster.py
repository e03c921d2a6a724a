"""The API server, the CRDs and the admission policies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from decco.api.crd import crds
from decco.kube import discovery
from decco.kube.errors import NotFound, NotServed
from decco.objects import GROUP, VERSION, Key, Obj
from decco.views.preflight.model import BINDINGS, CRDS, POLICIES, SELF_REVIEWS, Check, ClusterContext, Grade

OLDEST = (1, 33)
"""Native sidecars are stable since 1.33, ValidatingAdmissionPolicy since 1.30."""
TESTED = ((1, 34), (1, 37))
SKEW_SECONDS = (5.0, 60.0)
"""Warning and failure. The age of claims uses the API server's clock, the expiry of certificates the controller's."""
ADMISSION_POLICIES = ("namespace-labels", "space-membership")
"""Names of the policies in manifests/policies, without the group; a test verifies that they match."""

INSTALL_CRDS = "`decco crds | kubectl apply --server-side -f -`"


async def api_server(context: ClusterContext) -> list[Check]:
    version = await discovery.server_version(context.client)
    label = f"Kubernetes {version.major}.{version.minor}"
    oldest, newest = (f"{major}.{minor}" for major, minor in TESTED)
    if version < OLDEST:
        text = (
            f"{label} is too old: decco needs {OLDEST[0]}.{OLDEST[1]} or later, for native sidecar containers: "
            "upgrade the cluster"
        )
        return [Check("api server", Grade.FAILURE, text)]
    if not TESTED[0] <= (version.major, version.minor) <= TESTED[1]:
        text = f"{label}: decco is tested with {oldest} to {newest}; try it in a test cluster first"
        return [Check("api server", Grade.WARNING, text)]
    return [Check("api server", Grade.OK, label)]


async def clock(context: ClusterContext) -> list[Check]:
    """Compare the clocks: the API server's answer to a SelfSubjectReview has a creationTimestamp."""
    answer = await context.client.ask(SELF_REVIEWS, {})
    user = ((answer.get("status") or {}).get("userInfo") or {}).get("username", "?")
    stamp = (answer.get("metadata") or {}).get("creationTimestamp")
    found = [Check("you", Grade.OK, f"{user}")]
    if not isinstance(stamp, str):
        return [
            *found,
            Check("clock", Grade.UNKNOWN, "the API server does not report its time: compare the clocks yourself"),
        ]
    theirs = datetime.fromisoformat(stamp)
    # Timestamps have whole seconds, and the answer has a latency.
    skew = max(0.0, abs((context.now - theirs).total_seconds()) - 1.0)
    if skew < SKEW_SECONDS[0]:
        return [*found, Check("clock", Grade.OK, "this machine's and the API server's agree")]
    grade = Grade.FAILURE if skew >= SKEW_SECONDS[1] else Grade.WARNING
    text = f"this machine's and the API server's differ by {skew:.0f} s: synchronise them (NTP)"
    return [*found, Check("clock", grade, text)]


async def custom_resources(context: ClusterContext) -> list[Check]:
    """Whether the cluster's CRDs are those of this version."""
    found = []
    for ours in crds():
        name, kind = ours["metadata"]["name"], ours["spec"]["names"]["kind"]
        try:
            live = await context.client.get(CRDS, Key("", name))
        except NotFound:
            text = f"the cluster does not know {kind}s: install them with {INSTALL_CRDS}"
            found.append(Check(f"crd {kind}", Grade.FAILURE, text))
            continue
        found.append(_judged(kind, ours, live))
    return found


def _judged(kind: str, ours: Obj, live: Obj) -> Check:
    name = f"crd {kind}"
    conditions = {c["type"]: c for c in (live.get("status") or {}).get("conditions") or ()}
    for type_ in ("NamesAccepted", "Established"):
        condition = conditions.get(type_, {})
        if condition.get("status") != "True":
            text = (
                f"the CRD is not served, apply this version's with {INSTALL_CRDS}: "
                f"{type_} is {condition.get('status')}: {condition.get('message')}"
            )
            return Check(name, Grade.FAILURE, text)
    versions = {version["name"]: version for version in live["spec"]["versions"]}
    if VERSION not in versions or not versions[VERSION].get("served"):
        served = ", ".join(sorted(versions))
        text = f"the CRD serves {served} and not {VERSION}: apply this version's with {INSTALL_CRDS}"
        return Check(name, Grade.FAILURE, text)
    stale = sorted(set(_differences(ours["spec"]["versions"][0], versions[VERSION], "")))
    if stale:
        differing = ", ".join(stale[:3]) + (f" and {len(stale) - 3} more" if len(stale) > 3 else "")
        text = f"the CRD is another version's (differs in {differing}): apply this version's with {INSTALL_CRDS}"
        return Check(name, Grade.WARNING, text)
    if others := sorted(versions.keys() - {VERSION}):
        text = f"the CRD also has {', '.join(others)}, which decco {GROUP}/{VERSION} does not know"
        return Check(name, Grade.WARNING, text)
    return Check(name, Grade.OK, f"{GROUP}/{VERSION}, as this version has it")


def _differences(ours: Any, live: Any, path: str) -> Iterator[str]:
    """The API fields whose schemas differ."""
    if isinstance(ours, dict) and isinstance(live, dict):
        for name in ours.keys() | live.keys():
            below = path if name in _STRUCTURE else f"{path}.{name}".lstrip(".")
            if name not in ours or name not in live:
                # The API server fills in what is empty or false.
                if (ours.get(name) or live.get(name)) and not (name not in ours and path == ""):
                    yield below
            else:
                yield from _differences(ours[name], live[name], below)
    elif ours != live:
        yield path or "its columns"


_STRUCTURE = frozenset(
    {
        "schema",
        "openAPIV3Schema",
        "properties",
        "items",
        "x-kubernetes-validations",
        "description",
        "additionalPrinterColumns",
    }
)


async def admission(context: ClusterContext) -> list[Check]:
    """The policies that protect labels of namespaces, projects and domains."""
    found = []
    for short in ADMISSION_POLICIES:
        name = f"{short}.{GROUP}"
        about = f"policy {short}"
        fix = "apply manifests/policies"
        try:
            policy = await context.client.get(POLICIES, Key("", name))
            binding = await context.client.get(BINDINGS, Key("", name))
        except (NotFound, NotServed) as error:
            what = "its binding" if "binding" in error.message else "it"
            found.append(Check(about, Grade.FAILURE, f"{what} is not there, so nothing is refused: {fix}"))
            continue
        found.append(_policy(about, policy, binding, fix))
    return found


def _policy(about: str, policy: Obj, binding: Obj, fix: str) -> Check:
    warnings = ((policy.get("status") or {}).get("typeChecking") or {}).get("expressionWarnings") or ()
    if warnings:
        text = f"the API server warns of {warnings[0].get('fieldRef')}: {warnings[0].get('warning')}: {fix}"
        return Check(about, Grade.WARNING, text)
    actions = binding["spec"].get("validationActions") or ()
    if "Deny" not in actions:
        text = f"its binding says {', '.join(actions) or 'nothing'} and not Deny, so nothing is refused: {fix}"
        return Check(about, Grade.FAILURE, text)
    return Check(about, Grade.OK, "in force")
