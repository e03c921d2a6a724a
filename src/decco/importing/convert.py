"""Converts all given objects together: Apps need their Spaces, and names that were distinct may now collide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from decco.api.formats import DNS_LABEL, SUBDOMAIN
from decco.api.parse import InvalidObjectError, parse_app, parse_space
from decco.importing.app import convert_app
from decco.importing.fields import Level, Remarks, Source, as_object, as_objects
from decco.importing.space import convert_space
from decco.objects import ANNOTATION_IMPORTED, GROUP, Key, Obj

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
    remarks: Remarks
    obj: Obj | None = None
    extras: list[Obj] = field(default_factory=list)
    """Objects of other kinds that belong to it."""

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return all(remark.level is Level.NOTE for remark in self.remarks)


@dataclass(slots=True)
class Result:
    spaces: list[Imported] = field(default_factory=list)
    apps: list[Imported] = field(default_factory=list)
    others: list[Imported] = field(default_factory=list)

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
    """``domain`` is the default for Spaces, ``namespace`` that for Apps; for ``serve_first_port`` see convert_app."""
    result = Result()
    spaces: dict[str, Imported] = {}
    apps: list[tuple[Imported, Obj]] = []
    for source, obj in given:
        imported = Imported(source, Remarks())
        kind = _kind(source, obj, imported.remarks)
        if kind == "Space":
            result.spaces.append(imported)
            _space(imported, obj, spaces, domain)
        elif kind == "App":
            result.apps.append(imported)
            apps.append((imported, obj))
        else:
            result.others.append(imported)
    seen: dict[Key, Source] = {}
    for imported, obj in apps:
        _app(imported, obj, spaces, seen, namespace or "", serve_first_port=serve_first_port)
    for imported in result.spaces:  # an App may have added a host name to its Space
        _judge(imported, parse_space)
    return result


def _space(imported: Imported, obj: Obj, spaces: dict[str, Imported], domain: str | None) -> None:
    imported.obj, imported.extras = convert_space(obj, imported.remarks, domain)
    name = imported.obj["metadata"]["name"]
    if name in spaces:
        imported.remarks.add(
            "metadata.name",
            "name-not-unique",
            f"{spaces[name].source} has this name too, and Spaces are cluster-scoped now: rename one of the two, which "
            "also changes its FQDN and its namespace",
        )
    if not imported.remarks.failed:
        spaces[name] = imported


def _app(
    imported: Imported,
    obj: Obj,
    spaces: dict[str, Imported],
    seen: dict[Key, Source],
    default: str,
    *,
    serve_first_port: bool,
) -> None:
    remarks = imported.remarks
    given = as_object(obj.get("metadata")).get("namespace")
    namespace = given if isinstance(given, str) and given else default
    if not namespace:
        remarks.add(
            "metadata.namespace",
            "namespace-not-given",
            "not given: apply the App with kubectl apply --namespace <Space>, or import it with --namespace",
        )
    elif not DNS_LABEL.matches(namespace):
        remarks.add("metadata.namespace", "name-invalid", DNS_LABEL.message)
    space = spaces[namespace].obj if namespace in spaces else None
    imported.obj, imported.extras = convert_app(obj, remarks, namespace, space, serve_first_port=serve_first_port)
    key = Key(namespace, imported.obj["metadata"]["name"])
    if not SUBDOMAIN.matches(key.name):
        remarks.add("metadata.name", "name-invalid", SUBDOMAIN.message)
    if key in seen:
        remarks.add(
            "metadata.name", "name-not-unique", f"{seen[key]} has this name too: rename or remove one of the two"
        )
    seen.setdefault(key, imported.source)
    _judge(imported, parse_app)


def _judge(imported: Imported, parse: Callable[[Obj], object]) -> None:
    """Leaves out an object with errors, and one that the CRDs would refuse, with their messages."""
    try:
        if imported.obj is not None and not imported.remarks.failed:
            parse(imported.obj)
    except InvalidObjectError as error:
        for problem in error.problems:
            path, _, message = problem.partition(": ")
            imported.remarks.add(path, "refused-by-crd", message)
    if imported.remarks.failed:
        imported.obj, imported.extras = None, []


def _kind(source: Source, obj: Obj, remarks: Remarks) -> str:
    """The kind, "" if the object is not converted, with a remark that states why."""
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    kind = str(obj["kind"])
    if group != GROUP:
        _foreign(kind, obj, remarks)
    elif kind not in ("Space", "App"):
        remarks.add(
            "kind",
            "kind-without-counterpart",
            f"the first decco's {source.kind} has no counterpart here: there are Space and App",
        )
    elif version not in VERSIONS:
        remarks.add(
            "apiVersion", "version-unknown", f"is not a version of the first decco: there are {' and '.join(VERSIONS)}"
        )
    elif evidence := _is_new(kind, obj):
        remarks.add(
            "",
            "already-of-this-decco",
            f"was written for this decco ({evidence}) and needs no import: apply it as it is",
        )
    else:
        return kind
    return ""


def _is_new(kind: str, obj: Obj) -> str:
    """The evidence that the object is already of this decco, "" without evidence."""
    if ANNOTATION_IMPORTED in as_object(as_object(obj.get("metadata")).get("annotations")):
        return "it comes from an import"
    spec = as_object(obj.get("spec"))
    found = [f"spec.{name}" for name in _OF_THIS_DECCO[kind] if name in spec]
    for at, endpoint in as_objects(spec.get("endpoints")):
        found += [f"spec.endpoints[{at}].{name}" for name in _OF_ENDPOINTS if name in endpoint]
    return f"it has {found[0]}" if found else ""


def _foreign(kind: str, obj: Obj, remarks: Remarks) -> None:
    meta = as_object(obj.get("metadata"))
    if kind == "Ingress" and as_object(meta.get("labels")).get("decco-derived-from") == "app":
        remarks.add(
            "", "made-by-first-decco", "the first decco made it from an App; decco makes its own routes from the App"
        )
    elif kind == "Ingress" and "k8sniff" in as_object(meta.get("annotations")).values():
        remarks.add(
            "",
            "k8sniff-route",
            "k8sniff no longer exists: make its pods an App, with a TCP endpoint of disableTlsTermination whose "
            "hostname is the host, and add the host to the Space's hostnames",
        )
    elif kind == "CustomResourceDefinition" and meta.get("name") in _CRDS:
        remarks.add(
            "",
            "crd-of-first-decco",
            "it has the name of a CRD of this decco: see the guide on what to do before these are applied",
        )
    else:
        remarks.add("", "object-of-others", "is not an object of decco and is left out: apply it as it is")
