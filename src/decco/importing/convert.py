"""Converts all given objects together: Apps need their Spaces, and names that were distinct may now collide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from decco.api.formats import DNS_LABEL, SUBDOMAIN
from decco.api.parse import InvalidObjectError, parse_app, parse_space
from decco.importing.app import convert_app
from decco.importing.meta import is_imported
from decco.importing.remarks import Level, Remark, Remarks, Source
from decco.importing.space import ImportedSpace, convert_space
from decco.objects import GROUP, Key, Obj

VERSIONS = ("v1beta2", "v1beta3")
_OF_THIS_DECCO = {
    "Space": ("hostnames", "podSecurity", "runtimeClassName", "resourceQuota", "limitRange", "mesh", "topology"),
    "App": ("tlsCaAndCertSecretName",),
}
"""Fields that exist in this decco only."""
_OF_ENDPOINTS = ("allowedClients", "hostname", "createClearTextService")
_CRDS = frozenset({f"spaces.{GROUP}", f"apps.{GROUP}", f"manifests.{GROUP}"})


@dataclass(slots=True)
class Imported:
    """The result for one object; ``obj`` is None if it was left out."""

    source: Source
    remarks: list[Remark]
    obj: Obj | None = None
    extras: list[Obj] = field(default_factory=list)
    """Objects of other kinds that belong to it."""

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return all(remark.level is Level.NOTE for remark in self.remarks)


@dataclass(slots=True)
class Result:
    """All results in input order."""

    spaces: list[Imported]
    apps: list[Imported]
    others: list[Imported]

    @property
    def all(self) -> list[Imported]:
        return [*self.spaces, *self.apps, *self.others]


def convert(
    given: Iterable[tuple[Source, Obj]],
    *,
    domain: str | None = None,
    namespace: str | None = None,
    serve_first_port: bool = True,
) -> Result:
    """``domain`` is the default for Spaces, ``namespace`` the default for Apps; for ``serve_first_port`` see
    ``convert_app``.
    """
    result = Result([], [], [])
    spaces: dict[str, tuple[Source, ImportedSpace]] = {}
    apps: list[tuple[Source, Obj]] = []
    for source, obj in given:
        kind, remarks = _kind(source, obj)
        if kind == "Space" and not remarks.failed:
            result.spaces.append(_space(source, obj, remarks, spaces, domain))
        elif kind == "App" and not remarks.failed:
            apps.append((source, obj))
        else:
            result.others.append(Imported(source, remarks.all))
    seen: dict[Key, Source] = {}
    result.apps = [
        _app(source, obj, spaces, seen, namespace or "", serve_first_port=serve_first_port) for source, obj in apps
    ]
    for imported in result.spaces:  # an App may have added a host name to its Space
        if imported.obj is not None:
            _judge(imported, parse_space)
    return result


def _space(
    source: Source, obj: Obj, remarks: Remarks, spaces: dict[str, tuple[Source, ImportedSpace]], domain: str | None
) -> Imported:
    made = convert_space(obj, remarks, domain)
    name = made.obj["metadata"]["name"]
    if name in spaces:
        remarks.error(
            "metadata.name",
            f"{spaces[name][0]} has this name too, and Spaces are cluster-scoped now: rename one of the two, which "
            "also changes its FQDN and its namespace",
        )
    if remarks.failed:
        return Imported(source, remarks.all)
    spaces[name] = (source, made)
    return Imported(source, remarks.all, made.obj, made.extras)


def _app(
    source: Source,
    obj: Obj,
    spaces: dict[str, tuple[Source, ImportedSpace]],
    seen: dict[Key, Source],
    default: str,
    *,
    serve_first_port: bool,
) -> Imported:
    remarks = Remarks()
    meta = obj.get("metadata")
    given = meta.get("namespace") if isinstance(meta, dict) else None
    namespace = given if isinstance(given, str) and given else default
    if not namespace:
        remarks.note(
            "metadata.namespace",
            "not given: apply the App with kubectl apply --namespace <Space>, or import it with --namespace",
        )
    elif not DNS_LABEL.matches(namespace):
        remarks.error("metadata.namespace", DNS_LABEL.message)
    _, space = spaces.get(namespace, (None, None))
    made = convert_app(obj, remarks, namespace, space, serve_first_port=serve_first_port)
    key = Key(namespace, made.obj["metadata"]["name"])
    if not SUBDOMAIN.matches(key.name):
        remarks.error("metadata.name", SUBDOMAIN.message)
    if key in seen:
        remarks.error("metadata.name", f"{seen[key]} has this name too: rename or remove one of the two")
    seen.setdefault(key, source)
    if remarks.failed:
        return Imported(source, remarks.all)
    imported = Imported(source, remarks.all, made.obj, made.extras)
    _judge(imported, parse_app)
    return imported


def _judge(imported: Imported, parse: Any) -> None:
    """Leaves out an object that the CRDs would refuse, with their messages."""
    try:
        parse(imported.obj)
    except InvalidObjectError as error:
        for problem in error.problems:
            path, _, message = problem.partition(": ")
            imported.remarks.append(Remark(Level.ERROR, path, message))
        imported.obj, imported.extras = None, []


def _kind(source: Source, obj: Obj) -> tuple[str, Remarks]:
    """The kind, "" if it is not converted, and the remarks about the object."""
    remarks = Remarks()
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    kind = str(obj["kind"])
    if group != GROUP:
        _foreign(group, kind, obj, remarks)
        return "", remarks
    if kind not in ("Space", "App"):
        remarks.error("kind", f"the first decco's {source.kind} has no counterpart here: there are Space and App")
    elif version not in VERSIONS:
        remarks.error("apiVersion", f"is not a version of the first decco: there are {' and '.join(VERSIONS)}")
    elif evidence := _is_new(kind, obj):
        remarks.error("", f"was written for this decco ({evidence}) and needs no import: apply it as it is")
    return kind, remarks


def _is_new(kind: str, obj: Obj) -> str:
    """The evidence that the object is already of this decco, "" without evidence."""
    if is_imported(obj):
        return "it comes from an import"
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return ""
    found = [f"spec.{name}" for name in _OF_THIS_DECCO[kind] if name in spec]
    listed = spec.get("endpoints")
    for number, endpoint in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(endpoint, dict):
            found += [f"spec.endpoints[{number}].{name}" for name in _OF_ENDPOINTS if name in endpoint]
    return f"it has {found[0]}" if found else ""


def _foreign(group: str, kind: str, obj: Obj, remarks: Remarks) -> None:
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if kind == "Ingress" and isinstance(labels, dict) and labels.get("decco-derived-from") == "app":
        remarks.note("", "the first decco made it from an App; decco makes its own routes from the App")
    elif kind == "Ingress" and isinstance(annotations, dict) and "k8sniff" in annotations.values():
        remarks.lost(
            "",
            "k8sniff no longer exists: make its pods an App, with a TCP endpoint of disableTlsTermination whose "
            "hostname is the host, and add the host to the Space's hostnames",
        )
    elif kind == "CustomResourceDefinition" and meta.get("name") in _CRDS:
        remarks.note("", "it has the name of a CRD of this decco: see the guide on what to do before these are applied")
    else:
        remarks.note("", "is not an object of decco and is left out: apply it as it is")
