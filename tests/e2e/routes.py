"""When an HTTPRoute was written and reported, as a watch sees it: polling would cost the machine."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable

from testbed import assets
from testbed.cluster import Cluster
from testbed.versions import kubernetes_version
from tests.e2e.world import Obj


class WatchedRoute:
    """All states of one HTTPRoute since the beginning, with the time of each."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        kubectl = assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"]
        what = ["get", f"httproutes/{name}", "-n", namespace, "-o", "json", "--watch"]
        self._argv = [str(kubectl), f"--kubeconfig={cluster.kubeconfig}", *what]
        self._seen: list[tuple[float, Obj]] = []

    def __enter__(self) -> WatchedRoute:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._thread.join(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def since(self, begin: float, reached: Callable[[Obj], bool]) -> float | None:
        """Seconds from ``begin`` to the first state that is so, or None."""
        return next((at - begin for at, route in list(self._seen) if reached(route)), None)

    def _read(self) -> None:
        assert self._process.stdout is not None
        text = ""
        for line in self._process.stdout:
            text += line
            if line.rstrip() == "}":
                self._seen.append((time.monotonic(), json.loads(text)))
                text = ""


def has_path(route: Obj, path: str) -> bool:
    matches = (match for rule in route["spec"]["rules"] for match in rule.get("matches", ()))
    return any(match["path"]["value"] == path for match in matches)


def is_reported(route: Obj) -> bool:
    """Whether the edge has taken note of this generation."""
    generation, parents = route["metadata"]["generation"], route.get("status", {}).get("parents", [])
    conditions = [condition for parent in parents for condition in parent["conditions"]]
    return bool(conditions) and all(each["observedGeneration"] == generation for each in conditions)
