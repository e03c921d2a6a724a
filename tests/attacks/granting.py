"""A controller that has no permission at first, and an administrator who grants what it asks for, one rule at a time.

Only what decco says counts: warnings and errors of its log, and conditions of Spaces and Apps. So a rule that is
granted in the end is necessary: without it a request was refused, and decco reported that. A rule that is never granted
is not needed, or its absence is silent.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from testbed.audit import SERVICE_ACCOUNT
from testbed.manifests import MANIFESTS, read
from tests.attacks.attempts import SPACES, Obj
from tests.attacks.people import RBAC as RBAC_GROUP
from tests.attacks.world import RBAC
from tests.integration.harness import APIS, GROUP, Cluster

CONTROLLER = MANIFESTS / "rbac" / "controller.yaml"
PAUSE_SECONDS = 0.2
MERGE = {"Content-Type": "application/merge-patch+json"}
_CANNOT = re.compile(
    f'User "{SERVICE_ACCOUNT}" cannot (\\w+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)"|)'
)
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([a-z-]+)\.")
_BY_POLICY = {
    "controller": ("use", "podsecuritylevels"),
    "namespace-labels": ("label", "namespaces"),
    "status": ("label", "namespaces"),
    "space-membership": ("abandon-dns", "spaces"),
    "space-privileges": ("abandon-dns", "spaces"),
    "app-privileges": ("abandon-dns", "apps"),
}
"""What a policy lets decco do by a permission; those on tenants' objects let it by "exempt"."""


class Permission(NamedTuple):
    """One verb on one resource in one role."""

    role: str
    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return " ".join((self.role, self.verb, f"{self.resource}.{self.group}".rstrip(".")))


def roles() -> Iterator[Obj]:
    for obj in read([CONTROLLER]):
        if obj["kind"] in {"ClusterRole", "Role"}:
            yield obj


def permissions() -> dict[Permission, Obj]:
    """Each with a rule that contains nothing else."""
    found: dict[Permission, Obj] = {}
    for role in roles():
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        only = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                        found[Permission(role["metadata"]["name"], verb, group, resource)] = {**rule, **only}
    return found


def path_of(role: Obj) -> str:
    namespace = role["metadata"].get("namespace")
    return f"{RBAC}/{f'namespaces/{namespace}/roles' if namespace else 'clusterroles'}/{role['metadata']['name']}"


class Granting:
    """``with Granting(cluster, folder):`` takes all permissions of the controller, and grants them meanwhile.

    Attributes:
        granted: each permission with the text that asked for it.
    """

    def __init__(self, cluster: Cluster, logs: Path) -> None:
        """``logs`` is the folder where the controllers write."""
        self._cluster = cluster
        self._logs = logs
        self._roles = {role["metadata"]["name"]: role for role in roles()}
        self._known = permissions()
        self._read: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.granted: dict[Permission, str] = {}

    def __enter__(self) -> Granting:
        for role in self._roles.values():
            self._write(role, [])
        self._read = {path: path.stat().st_size for path in self._logs.glob("*.log")}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        for role in self._roles.values():
            self._write(role, role["rules"])

    def _write(self, role: Obj, rules: list[Obj]) -> None:
        path = path_of(role)
        live = self._cluster.get(path)
        answer = self._cluster.cp.request("PUT", path, {**(live or {}), "rules": rules})
        assert answer.status == 200, answer.body

    def _run(self) -> None:
        while not self._ending.wait(PAUSE_SECONDS):
            self.look()

    def look(self) -> bool:
        """Grants what was asked for until now; whether there was anything."""
        with self._lock:
            asked = {permission: text for text in self._said() for permission in self._asked(text)}
            new = asked.keys() - self.granted.keys()
            if not new:
                return False
            self.granted |= {permission: asked[permission] for permission in new}
            for name in {permission.role for permission in new}:
                self._write(self._roles[name], [self._known[each] for each in self.granted if each.role == name])
            self._poke()
            return True

    def _said(self) -> Iterator[str]:
        for path in sorted(self._logs.glob("*.log")):
            with path.open("rb") as log:
                log.seek(self._read.get(path, 0))
                new = log.read().rpartition(b"\n")[0]
            self._read[path] = self._read.get(path, 0) + len(new)
            yield from (text for line in new.splitlines() if (text := _loud(line.decode(errors="replace"))))
        for owner in self._owners():
            for condition in (owner.get("status") or {}).get("conditions") or ():
                yield f"{owner['kind']}: {condition['message']}"

    def _owners(self) -> list[Obj]:
        kinds = (("Space", f"{APIS}/spaces"), ("App", f"{APIS}/apps"))
        return [{**obj, "kind": kind} for kind, path in kinds for obj in self._cluster.items(path)]

    def _asked(self, text: str) -> Iterator[Permission]:
        for verb, resource, group, namespace in _CANNOT.findall(text):
            names = [each for each in self._known if each[1:] == (verb, group, resource)]
            # The same resource in two roles: one is of decco's own namespace.
            yield from (each for each in names if len(names) == 1 or self._is_of(each, namespace))
        for policy in _POLICY.findall(text):
            verb, resource = _BY_POLICY.get(policy, ("exempt", "tenantobjects"))
            yield from (each for each in self._known if each[1:] == (verb, GROUP, resource))
        if "attempting to grant RBAC permissions" in text:
            yield from (each for each in self._known if each[1:] == ("bind", RBAC_GROUP, "clusterroles"))
        if "cannot set blockOwnerDeletion" in text:
            owner = "apps" if text.startswith("App") else "spaces"
            yield from (each for each in self._known if each[1:] == ("update", GROUP, f"{owner}/finalizers"))

    def _is_of(self, permission: Permission, namespace: str) -> bool:
        return (namespace == "decco") == (self._roles[permission.role]["kind"] == "Role")

    def _poke(self) -> None:
        """decco tries at once again, as it does after any change of an object."""
        note = {"metadata": {"annotations": {"poked": str(time.monotonic_ns())}}}
        for owner in self._owners():
            meta = owner["metadata"]
            path = f"{APIS}/namespaces/{meta['namespace']}/apps" if "namespace" in meta else SPACES
            self._cluster.cp.request("PATCH", f"{path}/{meta['name']}", note, headers=MERGE)


def _loud(line: str) -> str:
    """The text of a line that an operator notices; "" for others. Of Events a counter says that they are lost."""
    try:
        said = json.loads(line)
    except ValueError:
        return line  # the last words of a process
    if said.get("level") in {"warning", "error", "critical"} or said.get("logger") == "decco.kube.events":
        return "App" * (said.get("controller") == "app") + " ".join(str(value) for value in said.values())
    return ""
