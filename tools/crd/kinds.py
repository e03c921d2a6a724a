"""The CustomResourceDefinitions of Space and App, generated from the models.

The models (``decco.api.types``, ``status.py`` here), the forms of text (``decco.api.formats``) and the rules
(``decco.api.admission``) are the source; here is only what belongs to the kind as a whole: names, columns,
subresources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from decco.api.formats import MAX_LABEL
from decco.api.object_rules import APP_RULES, SPACE_RULES
from decco.api.rules import VALIDATIONS, Rule
from decco.api.types import AppSpec, SpaceSpec
from decco.objects import APPS, SPACES, Obj, Resource
from tools.crd.reference import reference
from tools.crd.schema import Schema, structural_schema
from tools.crd.status import AppStatus, SpaceStatus

HEADER = "# Generated from the models in src/decco/api by `python -m tools.generate`; do not edit.\n"

CATEGORIES = ("decco",)
"""Not "all": ``kubectl delete all --all`` is for what can be made again, and an App has names and DNS records. Tenants
use ``kubectl get all`` too, and may not list Spaces."""
NOT_OBSERVED = {"observedGeneration": -1}
"""The status that the API server shows before decco has written one. Without it kstatus, and with it Flux and Helm,
would take a new object for one that is done."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a CRD contains beyond the schema of spec and status."""

    resource: Resource
    short_names: tuple[str, ...]
    """The first is the one that the documentation uses: no other product has it."""
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    rules: tuple[Rule[Any], ...]
    columns: tuple[dict[str, Any], ...]
    scale: dict[str, str] | None = None
    """The paths of the scale subresource."""
    selectable: tuple[str, ...] = ()
    """JSON paths that field selectors may use, beside metadata.name and metadata.namespace."""


def _column(name: str, path: str, description: str, type_: str = "string", *, wide: bool = False) -> dict[str, Any]:
    """A column of ``kubectl get``; a wide one is shown with ``-o wide`` only."""
    column = {"name": name, "type": type_, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


_READY = '.status.conditions[?(@.type=="Ready")]'
_COMMON = (
    _column("Ready", f"{_READY}.status", "Whether all conditions are true."),
    _column("Age", ".metadata.creationTimestamp", "Time since creation.", "date"),
    _column("Reason", f"{_READY}.reason", "Why it is ready or not.", wide=True),
)

_KINDS = (
    _Kind(
        resource=SPACES,
        short_names=("dspace",),
        description="A Space is one customer's place in the cluster: a namespace of the same name, closed to the "
        "others, with an FQDN of its own. What runs in it are Apps.",
        spec=SpaceSpec,
        status=SpaceStatus,
        rules=SPACE_RULES,
        columns=(
            _column("Domain", ".spec.domainName", "DNS domain above the Space."),
            _column("Project", ".spec.project", "Spaces of the same project may connect."),
            _column("Hostname", ".status.hostname", "The Space's FQDN."),
            *_COMMON,
        ),
        selectable=(".spec.domainName", ".spec.project"),
    ),
    _Kind(
        resource=APPS,
        short_names=("dapp",),
        description="An App is a service of a Space: a PodSpec, the ports that others may reach and how they reach "
        "them, and the TLS connections that its pods open. It lives in its Space's namespace.",
        spec=AppSpec,
        status=AppStatus,
        rules=APP_RULES,
        columns=(
            _column("URL", ".status.url", "URL of the first endpoint."),
            _column("Replicas", ".status.replicas", "Desired replicas of the App's workload.", "integer"),
            *_COMMON,
        ),
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
)


def outputs() -> dict[str, str]:
    """The CRDs for a cluster, for the package (``decco.api.crd``), and their reference pages."""
    crds = generated()
    found = {"src/decco/api/crds.yaml": to_yaml(crds)}
    for crd in crds:
        names = crd["spec"]["names"]
        found[f"manifests/crds/{crd['spec']['group']}_{names['plural']}.yaml"] = to_yaml([crd])
        found[f"docs/reference/{names['singular']}.md"] = reference(crd)
    return found


def generated() -> list[Obj]:
    """The two CustomResourceDefinitions, as a cluster takes them."""
    return [_crd(kind) for kind in _KINDS]


def to_yaml(objects: Iterable[Obj]) -> str:
    """One YAML stream, with a header line that names its source."""
    documents = (yaml.safe_dump(obj, sort_keys=False, width=120, allow_unicode=True) for obj in objects)
    return HEADER + "---\n".join(documents)


def _crd(kind: _Kind) -> Obj:
    resource = kind.resource
    version: dict[str, Any] = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema(kind)},
        "subresources": {"status": {}, **({"scale": dict(kind.scale)} if kind.scale is not None else {})},
        "additionalPrinterColumns": [dict(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": list(kind.short_names),
                "categories": list(CATEGORIES),
            },
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _schema(kind: _Kind) -> Schema:
    spec = {"description": f"Desired state of the {kind.resource.kind}.", **structural_schema(kind.spec)}
    about = "State as decco last saw it; written by decco alone."
    status = {"description": about, "default": dict(NOT_OBSERVED), **structural_schema(kind.status)}
    return {
        "description": kind.description,
        "type": "object",
        VALIDATIONS: [rule.as_validation() for rule in kind.rules],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # The API server always publishes ObjectMeta; the limit on the name bounds the cost of the rules above.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": MAX_LABEL}}},
            "spec": spec,
            "status": status,
        },
    }
