"""Converts all given objects together: Apps need their Spaces, and names that were distinct may now collide."""

from __future__ import annotations

from collections.abc import Iterable

from decco.api.formats import DNS_LABEL, SUBDOMAIN
from decco.api.parse import parse_app, parse_space
from decco.importing.app import convert_app
from decco.importing.fields import Remarks, Source, as_object, as_objects
from decco.importing.result import Imported, Result, judge
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


def is_of_first_decco(given: Iterable[tuple[Source, Obj]]) -> bool:
    """Whether any object has its API group, or a group of the same name in this version."""
    return any(str(obj.get("apiVersion") or "").startswith(f"{GROUP}/") for _, obj in given)


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
        judge(imported, parse_space)
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
    judge(imported, parse_app)


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
