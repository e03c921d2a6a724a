"""PodDisruptionBudget -> ``disruptionBudget`` of the App; a HorizontalPodAutoscaler scales the App instead."""

from __future__ import annotations

import copy

from pydantic import ValidationError

from decco.api.types import DisruptionBudget
from decco.importing.fields import as_object
from decco.importing.namespace.backends import selected
from decco.importing.namespace.inventory import Inventory, Part
from decco.importing.parts import named
from decco.objects import API_VERSION


def add_budget(budget: Part, inventory: Inventory) -> None:
    selector = as_object(budget.spec.get("selector"))
    workloads = [] if selector.get("matchExpressions") else selected(inventory, as_object(selector.get("matchLabels")))
    apps = [workload.imported.obj for workload in workloads if workload.kind != "Job"]
    if len(apps) != 1 or apps[0] is None or "disruptionBudget" in apps[0]["spec"]:
        budget.remark(
            "spec.selector",
            "budget-not-convertible",
            "does not select the pods of exactly one App without a budget: set disruptionBudget of the Apps yourself",
        )
        return
    made = {name: budget.spec[name] for name in ("minAvailable", "maxUnavailable") if budget.spec.get(name) is not None}
    try:
        DisruptionBudget.model_validate(made)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        budget.remark("spec", "budget-not-convertible", reason)
        return
    if budget.spec.get("unhealthyPodEvictionPolicy"):
        budget.remark(
            "spec.unhealthyPodEvictionPolicy", "budget-not-convertible", "disruptionBudget does not have it: left out"
        )
    apps[0]["spec"]["disruptionBudget"] = made


def add_autoscaler(autoscaler: Part, inventory: Inventory, namespace: str) -> None:
    target = as_object(autoscaler.spec.get("scaleTargetRef"))
    known = (workload for workload in inventory.workloads if (workload.kind, workload.name) == _named(target))
    workload = next(known, None)
    if workload is None:
        autoscaler.remark(
            "spec.scaleTargetRef", "backend-not-found", "no workload of the input is its target: left out"
        )
        return
    made = named(str(autoscaler.obj["apiVersion"]), "HorizontalPodAutoscaler", autoscaler.name, namespace)
    reference = {"apiVersion": API_VERSION, "kind": "App", "name": workload.name}
    made["spec"] = {**copy.deepcopy(autoscaler.spec), "scaleTargetRef": reference}
    autoscaler.imported.extras.append(made)
    autoscaler.remark(
        "spec.scaleTargetRef", "autoscaler-converted", f"it scales App {workload.name}; apply it after the App"
    )


def _named(target: dict[str, object]) -> tuple[object, object]:
    return target.get("kind"), target.get("name")
