"""The API server, the CRDs and the admission policies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from decco.api.conditions import condition_of
from decco.api.crd import crds
from decco.kube import discovery
from decco.objects import CONFIGMAPS, GROUP, SELF_REVIEWS, VERSION, Key, Obj
from decco.reconcilers.discover import INSTALL_CRDS
from decco.text import abbreviated
from decco.views.findings import Finding
from decco.views.preflight.model import BINDINGS, CRDS, POLICIES, ClusterContext

OLDEST = (1, 33)
"""Native sidecars are stable since 1.33, ValidatingAdmissionPolicy since 1.30."""
TESTED = ((1, 34), (1, 37))
SKEW_SECONDS = (5.0, 60.0)
"""Warning and failure. The age of claims uses the API server's clock, the expiry of certificates the controller's."""
ADMISSION_POLICIES = (
    *("app-privileges", "controller", "namespace-labels", "space-hostnames", "space-membership", "space-parameters"),
    *("space-pods", "space-privileges", "space-transfer", "status", "tenant-annotations", "tenant-children"),
    *("tenant-hostnames", "tenant-kinds", "tenant-network", "tenant-owners", "tenant-pods", "tenant-routes"),
    "tenant-services",
)
"""Names of the policies in manifests/policies, without the group; a test verifies that they match."""

FIX_POLICIES = "`kubectl apply --server-side -f manifests/policies`"


async def api_server(context: ClusterContext) -> AsyncIterator[Finding]:
    version = await discovery.server_version(context.client)
    text, name = f"Kubernetes {version.major}.{version.minor}", ""
    if version < OLDEST:
        text += f" is too old: decco needs {OLDEST[0]}.{OLDEST[1]} or later, for native sidecar containers: "
        text, name = f"{text}upgrade the cluster", "kubernetes-too-old"
    elif not TESTED[0] <= (version.major, version.minor) <= TESTED[1]:
        oldest, newest = (f"{major}.{minor}" for major, minor in TESTED)
        text += f": decco is tested with {oldest} to {newest}; try it in a test cluster first"
        name = "kubernetes-untested"
    yield Finding("api server", text, name)


async def clock(context: ClusterContext) -> AsyncIterator[Finding]:
    """Compare the clocks: the API server's answer to a SelfSubjectReview has a creationTimestamp."""
    answer = await context.client.create_review(SELF_REVIEWS, {})
    user = ((answer.get("status") or {}).get("userInfo") or {}).get("username", "?")
    yield Finding("you", str(user))
    stamp = (answer.get("metadata") or {}).get("creationTimestamp")
    if not isinstance(stamp, str):
        yield Finding("clock", "the API server does not report its time: compare the clocks yourself", "clock-unknown")
        return
    # Timestamps have whole seconds, and the answer has a latency.
    skew = max(0.0, abs((context.now - datetime.fromisoformat(stamp)).total_seconds()) - 1.0)
    if skew < SKEW_SECONDS[0]:
        yield Finding("clock", "this machine's and the API server's agree")
        return
    text = f"this machine's and the API server's differ by {skew:.0f} s: synchronise them (NTP)"
    yield Finding("clock", text, "clock-skew-large" if skew >= SKEW_SECONDS[1] else "clock-skew")


async def custom_resources(context: ClusterContext) -> AsyncIterator[Finding]:
    """Whether the cluster's CRDs are those of this version."""
    for ours in crds():
        about, kind = f"crd {ours['spec']['names']['kind']}", ours["spec"]["names"]["kind"]
        live = await context.find(CRDS, Key("", ours["metadata"]["name"]))
        if live is None:
            text = f"the cluster does not know {kind}s: install them with {INSTALL_CRDS}"
            yield Finding(about, text, "crd-missing")
        else:
            yield _crd(about, ours, live)


def _crd(about: str, ours: Obj, live: Obj) -> Finding:
    for type_ in ("NamesAccepted", "Established"):
        found = condition_of(live, type_)
        if found.get("status") != "True":
            text = (
                f"the CRD is not served, apply this version's with {INSTALL_CRDS}: "
                f"{type_} is {found.get('status')}: {found.get('message')}"
            )
            return Finding(about, text, "crd-not-served")
    versions = {version["name"]: version for version in live["spec"]["versions"]}
    if VERSION not in versions or not versions[VERSION].get("served"):
        served = ", ".join(sorted(versions))
        text = f"the CRD serves {served} and not {VERSION}: apply this version's with {INSTALL_CRDS}"
        return Finding(about, text, "crd-without-version")
    stale = sorted(set(_differences(ours["spec"]["versions"][0], versions[VERSION], "")))
    if stale:
        differing = abbreviated(stale, 3)
        text = f"the CRD is another version's (differs in {differing}): apply this version's with {INSTALL_CRDS}"
        return Finding(about, text, "crd-stale")
    if others := sorted(versions.keys() - {VERSION}):
        text = f"the CRD also has {', '.join(others)}, which decco {GROUP}/{VERSION} does not know"
        return Finding(about, text, "crd-with-other-versions")
    return Finding(about, f"{GROUP}/{VERSION}, as this version has it")


_STRUCTURE = frozenset(
    {"schema", "openAPIV3Schema", "properties", "items", "x-kubernetes-validations", "description"}
    | {"additionalPrinterColumns"}
)
"""Parts of the path to a field that are not fields of the API."""


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


async def admission(context: ClusterContext) -> AsyncIterator[Finding]:
    """The policies that protect Spaces from their users and from one another, and the cluster from the controller."""
    policies, bindings = [
        {obj["metadata"]["name"]: obj async for obj in context.objects(kind)} for kind in (POLICIES, BINDINGS)
    ]
    if not any(f"{short}.{GROUP}" in policies for short in ADMISSION_POLICIES):
        text = f"none of the {len(ADMISSION_POLICIES)} is there, so nothing is refused: {FIX_POLICIES}"
        yield Finding("policies", text, "policy-missing")
        return
    faultless = True
    for short in ADMISSION_POLICIES:
        policy, binding = (found.get(f"{short}.{GROUP}") for found in (policies, bindings))
        if (problem := await _policy_problem(context, policy, binding)) is not None:
            yield Finding(f"policy {short}", *problem)
            faultless = False
    if faultless:
        yield Finding("policies", f"all {len(ADMISSION_POLICIES)} are in force")


async def _policy_problem(context: ClusterContext, policy: Obj | None, binding: Obj | None) -> tuple[str, str] | None:
    """(text, name of the finding), or None."""
    if policy is None or binding is None:
        what = "it" if policy is None else "its binding"
        return f"{what} is not there, so nothing is refused: {FIX_POLICIES}", "policy-missing"
    warnings = ((policy.get("status") or {}).get("typeChecking") or {}).get("expressionWarnings") or ()
    if warnings:
        text = f"the API server warns of {warnings[0].get('fieldRef')}: {warnings[0].get('warning')}: {FIX_POLICIES}"
        return text, "policy-with-warnings"
    actions = binding["spec"].get("validationActions") or ()
    if "Deny" not in actions:
        text = f"its binding says {', '.join(actions) or 'nothing'} and not Deny, so nothing is refused: {FIX_POLICIES}"
        return text, "policy-without-deny"
    parameters = binding["spec"].get("paramRef") or {}
    if name := parameters.get("name"):  # without one they are selected, as the Spaces of tenant-owners
        key = Key(parameters.get("namespace", ""), name)
        if await context.find(CONFIGMAPS, key) is None:
            text = f"its parameters, the ConfigMap {key}, are not there, so every write that it checks is refused"
            return f"{text}: {FIX_POLICIES}", "policy-without-parameters"
    return None
