"""Whether a contender has done the work: its objects are compared with the recipe and with those of the other legs.

UIDs, versions and times differ from leg to leg. So owners are compared by kind and name, and what decco derives from a
UID (its hash annotation, the host name with which an edge answers probes) is left out. Everything else must be equal,
byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import orjson

from bench.load import APIS, MANAGED, Load
from bench.peers.recipe import Recipe, is_namespace, with_uid
from testbed.controlplane import ControlPlane

Obj = dict[str, Any]
HASH = "decco.platform9.com/hash"
_OF_THE_SERVER = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation")
_ALLOCATED = ("clusterIP", "clusterIPs")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_PROBE = re.compile(rb"[0-9a-f]{32}\.decco-probe")
_SHOWN = 3


class NotTheSame(RuntimeError):
    """The contender has done other work than the recipe asks for; the message names the first objects."""


def status_text(status: Obj | None) -> bytes:
    """To be compared."""
    return _TIME.sub(b"T", orjson.dumps(status, option=orjson.OPT_SORT_KEYS))


def statuses(recipe: Recipe, load: Load) -> dict[str, bytes]:
    """The desired status of each Space and App, by UID."""
    return {
        obj["metadata"]["uid"]: status_text(orjson.loads(recipe.status(obj)[2])["status"])
        for obj in (*load.spaces, *load.apps)
    }


def compare(cp: ControlPlane, recipe: Recipe, load: Load) -> str:
    """A digest of all children and statuses, once they were found to be those of the recipe."""
    owners = {
        obj["metadata"]["uid"]: f"{obj['kind']}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
        for obj in (*load.spaces, *load.apps, *load.namespaces)
    }
    wanted = {key: _comparable(obj, owners) for key, obj in _wanted(recipe, load)}
    live: dict[str, Any] = {}
    for collection in sorted({key.rsplit(" ", 2)[0] for key in wanted}):
        for obj in cp.request("GET", f"{collection}?{MANAGED}", seconds=120).json()["items"]:
            live[_key(collection, obj)] = _comparable(obj, owners)
    wrong = [f"missing: {key}" for key in wanted.keys() - live.keys()]
    wrong += [f"not in the recipe: {key}" for key in live.keys() - wanted.keys()]
    for key in wanted.keys() & live.keys():
        wrong += [f"{key}: {each}" for each in _differences(wanted[key], live[key])]
    desired = statuses(recipe, load)
    for kind in ("spaces", "apps"):
        for obj in cp.request("GET", f"{APIS}/{kind}", seconds=120).json()["items"]:
            status = status_text(obj.get("status"))
            if status != desired.pop(obj["metadata"]["uid"], None):
                wrong.append(f"status of {obj['metadata']['name']}: {status[:300]!r}")
            live[_key(kind, obj)] = status.decode()
    wrong += [f"no status: {uid}" for uid in desired]
    if wrong:
        raise NotTheSame(f"{len(wrong)} differences, for example: " + "; ".join(sorted(wrong)[:_SHOWN]))
    return hashlib.sha256(orjson.dumps(live, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _wanted(recipe: Recipe, load: Load) -> Iterator[tuple[str, Obj]]:
    uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in load.namespaces}
    for obj in (*load.spaces, *load.apps):
        for _, path, body in recipe.children(obj):
            child = orjson.loads(with_uid(body, uids[obj["metadata"].get("namespace") or obj["metadata"]["name"]]))
            plain = path.partition("?")[0]
            collection = plain.rsplit("/", 1)[0] if is_namespace(path) else re.sub("/namespaces/[^/]+", "", plain)
            yield _key(collection, child), child


def _key(collection: str, obj: Obj) -> str:
    return f"{collection} {obj['metadata'].get('namespace', '')} {obj['metadata']['name']}"


def _comparable(obj: Obj, owners: dict[str, str]) -> Any:
    content = {name: value for name, value in obj.items() if name not in ("status", "apiVersion", "kind")}
    meta = {name: value for name, value in obj["metadata"].items() if name not in _OF_THE_SERVER}
    meta["annotations"] = {name: value for name, value in (meta.get("annotations") or {}).items() if name != HASH}
    meta["ownerReferences"] = [
        {**owner, "uid": owners.get(owner["uid"], f"unknown {owner['uid']}")} for owner in meta["ownerReferences"]
    ]
    content["metadata"] = meta
    if isinstance(content.get("spec"), dict):
        content["spec"] = {name: value for name, value in content["spec"].items() if name not in _ALLOCATED}
    return orjson.loads(_PROBE.sub(b"digest.decco-probe", _TIME.sub(b"T", orjson.dumps(content))))


def _differences(wanted: Any, live: Any, path: str = "") -> Iterator[str]:
    """What the recipe has and the live object has not; the server adds its defaults to the latter."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for name, value in wanted.items():
            yield from _differences(value, live.get(name), f"{path}.{name}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for number, (ours, theirs) in enumerate(zip(wanted, live, strict=True)):
            yield from _differences(ours, theirs, f"{path}[{number}]")
    elif wanted != live and (wanted or live):
        yield f"{path} is {str(live)[:100]}, not {str(wanted)[:100]}"
