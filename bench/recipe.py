"""What every contender writes: the children and the status of a Space and of an App, as decco itself sent them.

decco is run once, through a proxy, for one Space with one App. Its requests become texts in which names and UIDs are
tokens. The peers get them in a file (``Recipe.write``) and replace the tokens (bench/peers/recipe.py). Whether decco
writes the same for any number of Spaces is not assumed: ``bench/same.py`` compares the objects after each leg.

Requests that only decco needs are left out: events, dry runs, and all reads.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.contenders import decco, environment
from bench.load import MANAGER_FLAGS, Load, Names
from bench.peers.recipe import APP, NAMESPACE_UID, OWN_UID, PROJECT, SPACE, VERSION
from testbed.controlplane import ControlPlane
from testbed.proxy import FaultProxy, Seen

Obj = dict[str, Any]
LIMIT_SECONDS = 60.0
QUIET_SECONDS = 2.0
_LEFT_OUT = ("/apis/events.k8s.io/",)


@dataclass(frozen=True)
class Recipe:
    """``space`` and ``app``: [method, path, body] in the order of decco's requests; the status is the last."""

    space: list[list[str]]
    app: list[list[str]]

    def write(self, path: Path, load: Load) -> None:
        projects = {space["metadata"]["name"]: space["spec"]["project"] for space in load.spaces}
        path.write_bytes(orjson.dumps({"Space": self.space, "App": self.app, "projects": projects}))


def record() -> Recipe:
    """On a control plane of its own."""
    names = Names(space=SPACE, app=APP, project=PROJECT)
    with ControlPlane(audit=False, manager_flags=MANAGER_FLAGS) as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        load = Load(cp, 1, 1, names)
        load.seed()
        seen = asyncio.run(_watched(cp))
    tokens = {
        load.spaces[0]["metadata"]["uid"]: OWN_UID,
        load.apps[0]["metadata"]["uid"]: OWN_UID,
        load.namespaces[0]["metadata"]["uid"]: NAMESPACE_UID,
    }
    recipe = Recipe([], [])
    written: dict[tuple[str, str], list[str]] = {}
    for each in seen:
        call = each.call
        if call.method in ("GET", "HEAD") or "dryRun" in call.query or call.path.startswith(_LEFT_OUT):
            continue
        body = call.json()
        key = (call.path, body["metadata"]["name"])
        line = [call.method, _path(call.path, call.query), _text(body, tokens)]
        if key in written and not call.path.endswith("/status"):
            raise RuntimeError(f"decco wrote {key} twice, which no recipe can express")
        lines = recipe.app if _is_of_app(body) else recipe.space
        if key in written:  # the status: the last one counts
            lines.remove(written[key])
        lines.append(line)
        written[key] = line
    for lines in (recipe.space, recipe.app):
        if not lines or not lines[-1][1].partition("?")[0].endswith("/status"):
            raise RuntimeError(f"decco's last request was not that of a status: {[line[:2] for line in lines]}")
    return recipe


async def _watched(cp: ControlPlane) -> list[Seen]:
    """Every request until decco has written the status of the App and nothing more for a while."""
    contender = decco(32)
    async with FaultProxy(cp) as proxy:
        with tempfile.TemporaryFile() as log:
            command = contender.command(proxy.kubeconfig, Path(), 32)
            process = subprocess.Popen(command, env=environment(contender), stdout=log, stderr=log)  # noqa: ASYNC220
            try:
                started = quiet_since = time.monotonic()
                writes = 0
                while time.monotonic() - quiet_since < QUIET_SECONDS:
                    paths = [each.call.path for each in proxy.seen if each.call.method != "GET"]
                    if len(paths) != writes or not any("/apps/" in path and "status" in path for path in paths):
                        writes, quiet_since = len(paths), time.monotonic()
                    if time.monotonic() - started > LIMIT_SECONDS or process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(f"decco did not finish one App: {paths} {log.read()[-2000:]!r}")
                    await asyncio.sleep(0.1)
            finally:
                process.terminate()
                process.wait(30)
        refused = [each for each in proxy.seen if each.call.method != "GET" and each.status >= 300]
        if refused:
            raise RuntimeError(f"refused while recording: {refused}")
        return list(proxy.seen)


def _path(path: str, query: Any) -> str:
    return path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


def _text(body: Obj, tokens: dict[str, str]) -> str:
    meta = body["metadata"]
    if body["kind"] == "Namespace":  # replaced whatever its version: nobody else writes it
        del meta["resourceVersion"]
    elif "resourceVersion" in meta:
        meta["resourceVersion"] = VERSION
    text = orjson.dumps(body).decode()
    for uid, token in tokens.items():
        text = text.replace(uid, token)
    return text


def _is_of_app(body: Obj) -> bool:
    owners = body["metadata"].get("ownerReferences") or ()
    return body["kind"] == "App" or any(owner["kind"] == "App" for owner in owners)
