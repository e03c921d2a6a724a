"""The input of one namespace, sorted by kind; what has no counterpart is remarked here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from decco.importing.fields import Remarks, Source, as_object, as_objects
from decco.importing.result import Imported
from decco.objects import LABEL_MANAGED_BY, Obj

_KINDS = {
    "Deployment": "apps",
    "StatefulSet": "apps",
    "Job": "batch",
    "Service": "",
    "Ingress": "networking.k8s.io",
    "PodDisruptionBudget": "policy",
    "HorizontalPodAutoscaler": "autoscaling",
}
WORKLOADS = ("Deployment", "StatefulSet", "Job")
_IN_PLACE = {
    "CronJob": "batch",
    "DaemonSet": "apps",
    "ReplicaSet": "apps",
    "Pod": "",
}
"""Workloads without a counterpart."""
_SILENT = frozenset({"ReplicaSet", "Pod", "Endpoints", "EndpointSlice", "ControllerRevision", "Event", "Lease"})
"""Made by controllers from others."""


@dataclass(slots=True)
class Part:
    """One object of the input."""

    imported: Imported
    obj: Obj
    name: str

    @property
    def spec(self) -> Obj:
        return as_object(self.obj.get("spec"))

    @property
    def kind(self) -> str:
        return str(self.obj["kind"])

    @property
    def annotations(self) -> Obj:
        return as_object(as_object(self.obj.get("metadata")).get("annotations"))

    def remark(self, path: str, name: str, message: str) -> None:
        self.imported.remarks.add(path, name, message)


@dataclass(slots=True)
class Inventory:
    """What one namespace contains, in the order of the input."""

    workloads: list[Part] = field(default_factory=list)
    services: dict[str, Part] = field(default_factory=dict)
    ingresses: list[Part] = field(default_factory=list)
    budgets: list[Part] = field(default_factory=list)
    autoscalers: list[Part] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        return [*self.workloads, *self.services.values(), *self.ingresses, *self.budgets, *self.autoscalers]


def is_ordinary(obj: Obj) -> bool:
    """Whether it is of a kind that a namespace is imported for, and not made by the first decco."""
    meta = as_object(obj.get("metadata"))
    old = (
        "decco-derived-from" in as_object(meta.get("labels"))
        or "k8sniff" in as_object(meta.get("annotations")).values()
    )
    return _KINDS.get(str(obj.get("kind"))) == _group(obj) and not old


def inventories(
    given: Iterable[tuple[Source, Obj]], default_namespace: str
) -> tuple[dict[str, Inventory], list[Imported]]:
    """By namespace; and the objects that are in none, with remarks. Objects without a namespace are in
    ``default_namespace``.
    """
    found: dict[str, Inventory] = {}
    others: list[Imported] = []
    for source, obj in given:
        imported = Imported(source, Remarks())
        meta = as_object(obj.get("metadata"))
        name, namespace = meta.get("name"), meta.get("namespace") or default_namespace
        kind = str(obj.get("kind"))
        if not _is_convertible(imported, obj, kind, name):
            if imported.remarks:
                others.append(imported)
            continue
        inventory = found.setdefault(str(namespace), Inventory())
        _place(inventory, Part(imported, obj, str(name)))
    return found, others


def _place(inventory: Inventory, part: Part) -> None:
    if part.kind == "Service":
        if part.name in inventory.services:
            part.remark("metadata.name", "name-not-unique", "another Service of the input has this name: remove one")
            inventory.services[f"{part.name}\0"] = part
        else:
            inventory.services[part.name] = part
    elif part.kind in WORKLOADS:
        if any(other.name == part.name for other in inventory.workloads):
            part.remark(
                "metadata.name",
                "name-not-unique",
                "another workload of the input has this name, and each becomes an App: rename or remove one of the two",
            )
        inventory.workloads.append(part)
    elif part.kind == "Ingress":
        inventory.ingresses.append(part)
    else:
        (inventory.budgets if part.kind == "PodDisruptionBudget" else inventory.autoscalers).append(part)


def _is_convertible(imported: Imported, obj: Obj, kind: str, name: Any) -> bool:
    """Adds a remark if not, unless the object is one that nobody would miss."""
    remarks, meta = imported.remarks, as_object(obj.get("metadata"))
    owner = next((each for _, each in as_objects(meta.get("ownerReferences")) if each.get("controller")), None)
    if as_object(meta.get("labels")).get(LABEL_MANAGED_BY) == "decco":
        remarks.add(
            "", "already-of-this-decco", "decco has made it from a Space or App: there is nothing to import in this one"
        )
    elif owner is not None:
        if kind not in _SILENT:
            made_by = f"{str(owner.get('kind'))[:63]} {str(owner.get('name'))[:253]}"
            remarks.add(
                "",
                "object-of-controller",
                f"{made_by} writes it, so it is left out: move {made_by} to the Space's namespace if it is still "
                f"wanted",
            )
    elif _KINDS.get(kind) == _group(obj):
        if not isinstance(name, str) or not name:
            remarks.add("metadata.name", "name-missing", "must be given")
        elif not isinstance(obj.get("spec"), dict):
            remarks.add("spec", "value-wrong", "must be an object")
        else:
            return True
    elif _IN_PLACE.get(kind) == _group(obj):
        remarks.add(
            "",
            "workload-without-counterpart",
            f"an App is a Deployment, a StatefulSet or a Job: apply the {kind} as it is to the Space's namespace, "
            f"whose "
            "NetworkPolicies, quota and Pod Security level hold for it",
        )
    elif kind not in _SILENT:
        remarks.add("", "object-of-others", "is not converted: apply it to the Space's namespace if it is still wanted")
    return False


def _group(obj: Obj) -> str:
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    return "networking.k8s.io" if group == "extensions" else group
