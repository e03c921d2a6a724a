"""What a run has left in the cluster and in its zone, in a form in which two runs can be compared."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from typing import Any

from tests.faults.addresses import PLAN
from tests.faults.zone import ZONE, SharedZone
from tests.integration.harness import APIS, Obj
from tests.soak.world import Administrator

GATEWAY = "/apis/gateway.networking.k8s.io/v1"
NAMESPACED = {
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "services": "/api/v1",
    "resourcequotas": "/api/v1",
    "limitranges": "/api/v1",
    "deployments": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "gateways": GATEWAY,
    "httproutes": GATEWAY,
    "tlsroutes": GATEWAY,
    "backendtlspolicies": GATEWAY,
    "apps": APIS,
}
State = dict[str, Any]
_ALLOCATED = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")
_OF_KUBERNETES = ("configmaps/kube-root-ca.crt",)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
_CLAIMED = re.compile(r"@time/[0-9]+")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGEST = re.compile(r'"([^"]*(?:hash|digest|controller-uid|/run))": "[^"]*"')
_COPY = re.compile(r"(decco-tls-secret-)[0-9a-f]+")


_OWNERS = ("space ", "namespace ", "apps ")


async def read(admin: Administrator, spaces: list[str], token: str, zone: SharedZone, names: dict[str, str]) -> State:
    """``names``: what is different in each run by chance, as the data of certificates -> what to call it."""
    found = await _roots(admin, spaces)
    found |= await _listed(admin, [key.split()[1] for key in found], NAMESPACED)
    state = _comparable(found, token, names)
    for name, sets in zone.contents[ZONE].items():
        for kind, each in sets.items():
            values = sorted(each.values)
            key = f"record {name} {kind}".replace(token, PLAN)
            state[key] = json.loads(_plain({"ttl": each.ttl, "values": values}, token, names))
    return state


async def owners_differ(
    admin: Administrator, spaces: list[str], token: str, names: dict[str, str], wanted: State
) -> bool:
    """Whether Spaces, namespaces and Apps are not as wanted yet: a fifth of the requests of ``read``."""
    found = await _roots(admin, spaces)
    found |= await _listed(admin, [key.split()[1] for key in found], {"apps": NAMESPACED["apps"]})
    owners = {key: value for key, value in wanted.items() if key.startswith(_OWNERS)}
    return bool(differences(_comparable(found, token, names), owners))


async def _roots(admin: Administrator, spaces: list[str]) -> dict[str, Obj]:
    found = {}
    for space in spaces:
        for what, path in (("space", f"{APIS}/spaces/{space}"), ("namespace", f"/api/v1/namespaces/{space}")):
            status, obj = await admin.ask("GET", path)
            if status == 200:
                found[f"{what} {space}"] = obj
    return found


async def _listed(admin: Administrator, spaces: list[str], kinds: dict[str, str]) -> dict[str, Obj]:
    keys = [(space, plural) for space in dict.fromkeys(spaces) for plural in kinds]
    paths = [f"{kinds[plural]}/namespaces/{space}/{plural}" for space, plural in keys]
    listings = await asyncio.gather(*(_items(admin, path) for path in paths))
    return {
        f"{plural} {space}/{obj['metadata']['name']}": obj
        for (space, plural), items in zip(keys, listings, strict=True)
        for obj in items
        if f"{plural}/{obj['metadata']['name']}" not in _OF_KUBERNETES
    }


def _comparable(found: dict[str, Obj], token: str, names: dict[str, str]) -> State:
    return {key.replace(token, PLAN): json.loads(_plain(comparable(obj), token, names)) for key, obj in found.items()}


async def _items(admin: Administrator, path: str) -> list[Obj]:
    status, got = await admin.ask("GET", path)
    return list(got["items"]) if status == 200 else []


def comparable(obj: Obj) -> Obj:
    """Without what the API server or another controller decides."""
    obj = copy.deepcopy(obj)
    meta = obj["metadata"]
    is_owner = "domainName" in obj.get("spec", {}) or "pod" in obj.get("spec", {})
    if is_owner:
        obj["status"] = _without_times(obj.get("status") or {})
        obj["status"]["isCurrent"] = obj["status"].pop("observedGeneration", 0) == meta.get("generation")
        for each in obj["status"].get("conditions", ()):
            each.pop("observedGeneration", None)
        for each in obj["status"].get("hostnames", ()):
            each.pop("generation", None)  # of the edit that claimed the name
    else:
        obj.pop("status", None)
    for name in _ALLOCATED:
        meta.pop(name, None)
    for reference in meta.get("ownerReferences", ()):
        reference["uid"] = "uid"
    meta.get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    meta.get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    spec = obj.get("spec") or {}
    for name in ("clusterIP", "clusterIPs"):
        if spec.get(name) not in ("None", ["None"]):
            spec.pop(name, None)
    if "backoffLimit" in spec:
        spec.pop("selector", None)
    if "deletionTimestamp" in meta:
        meta["deletionTimestamp"] = "set"
    return obj


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(each) for name, each in value.items() if not name.endswith("Time")}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def _plain(obj: Obj, token: str, names: dict[str, str]) -> str:
    text = json.dumps(obj, sort_keys=True)
    for value, name in names.items():
        text = text.replace(value, name)
    text = _UID.sub("uid", text.replace(token, PLAN))
    text = _CLAIMED.sub("@time", _TIME.sub("time", text))
    text = _COPY.sub(r"\1digest", text)
    return _DIGEST.sub(r'"\1": "digest"', text)


def differences(found: State, wanted: State) -> list[str]:
    """One line for each object that is missing, left over, or different."""
    lines = []
    for key in sorted(found.keys() | wanted.keys()):
        if key not in found:
            lines.append(f"missing: {key}")
        elif key not in wanted:
            lines.append(f"left over: {key}")
        elif found[key] != wanted[key]:
            lines.append(f"different: {key}: {'; '.join(_deep(found[key], wanted[key]))[:500]}")
    return lines


def _deep(found: Any, wanted: Any, path: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            line
            for name in sorted(found.keys() | wanted.keys())
            for line in _deep(found.get(name), wanted.get(name), f"{path}/{name}")
        ]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [
            line
            for index, (first, second) in enumerate(zip(found, wanted, strict=True))
            for line in _deep(first, second, f"{path}/{index}")
        ]
    return [] if found == wanted else [f"{path}: {json.dumps(found)[:120]}, wanted {json.dumps(wanted)[:120]}"]
