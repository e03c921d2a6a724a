"""Converts an App of any version of the first decco: one container and path (2017), a pod, endpoints (since 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from decco.importing.endpoints import EndpointReader
from decco.importing.fields import Fields
from decco.importing.meta import new_meta
from decco.importing.permissions import role_objects, service_account
from decco.importing.pods import beyond_baseline
from decco.importing.remarks import Remarks
from decco.importing.space import ImportedSpace
from decco.objects import API_VERSION, Obj

_SHORT = ("httpUrlPath", "httpPath", "rewritePath", "verifyTcpClientCert", "createDnsRecord", "preserveUri")


@dataclass(slots=True)
class ImportedApp:
    obj: Obj
    extras: list[Obj] = field(default_factory=list)
    """ServiceAccount, Role and RoleBinding that the first decco created itself."""


def convert_app(
    obj: Obj, remarks: Remarks, namespace: str, space: ImportedSpace | None, *, serve_first_port: bool = True
) -> ImportedApp:
    """``namespace`` is that of the App, "" if it is not known; ``space`` is its Space, if it is also in the input.

    ``serve_first_port``: how an App without ``endpoints`` is read. True: as the short form of 2017, which serves the
    first container's first port. False: as the versions since 2018, which serve nothing.
    """
    meta = new_meta(obj, remarks)
    meta.pop("namespace", None)
    if namespace:
        meta = {"name": meta["name"], "namespace": namespace, **meta}
    fields = Fields(obj.get("spec"), "spec", remarks)
    spec: dict[str, Any] = {}
    with_replicas = "container" not in fields and "podSpec" not in fields
    pod = _pod(fields)
    job = fields.flag("runAsJob")
    _scale(fields, spec, job=job, known=with_replicas)
    _domain_variable(fields, pod, space)
    extras = _permissions(fields, pod, str(meta["name"]), namespace)
    reader = EndpointReader(remarks, space, namespace)
    endpoints = _endpoints(fields, reader, str(meta["name"]), pod, implied=serve_first_port and not job)
    if job and endpoints:
        remarks.note("spec.endpoints", "the first decco served no endpoint of a Job, so they are left out")
        endpoints = []
    egresses = _egresses(fields, reader)
    for what in beyond_baseline(pod):
        remarks.lost(
            f"spec.{what}",
            "Pod Security level baseline, the default of a Space, does not allow it, and the first decco enforced "
            "none: change the pod, or set podSecurity: privileged in the Space",
        )
    for name in ("firstEndpointListenPort", "baseTlsListenPort"):
        fields.ignore(name, "it was the sidecar's first port inside the pod, which decco chooses itself now")
    for name, because in _NO_COUNTERPART.items():
        fields.drop(name, because)
    fields.report_rest()
    made: Obj = {"apiVersion": API_VERSION, "kind": "App", "metadata": meta}
    made["spec"] = {**spec, "endpoints": endpoints, **({"tlsEgresses": egresses} if egresses else {}), "pod": pod}
    return ImportedApp(made, extras)


_NO_COUNTERPART = {
    "logFiles": "decco collects no log files: write to standard output, or add a container that does",
    "virtualServiceSpec": "decco makes its routes itself: declare endpoints, with httpPath for HTTP",
    "name": "an App is named by metadata.name",
}


def _pod(fields: Fields) -> dict[str, Any]:
    """``pod``; it was named ``podSpec`` in v1beta3, and the first Apps had a ``container`` instead."""
    given = [(name, fields.take(name)) for name in ("pod", "podSpec", "container")]
    given = [(name, value) for name, value in given if value is not None]
    if not given:
        fields.remarks.error(fields.at("pod"), "must be given: the PodSpec of the App")
        return {}
    (name, value), *others = given
    for other, _ in others:
        fields.remarks.lost(fields.at(other), f"{name} is given too, and was the one that counted")
    if not isinstance(value, dict):
        fields.remarks.error(fields.at(name), "must be an object")
        return {}
    return {"containers": [value]} if name == "container" else value


def _scale(fields: Fields, spec: dict[str, Any], *, job: bool, known: bool) -> None:
    replicas, retries = fields.number("initialReplicas"), fields.number("jobBackoffLimit")
    if job:
        # An absent field was 0, and is now the default of Kubernetes, 6.
        spec.update(runAsJob=True, jobBackoffLimit=retries or 0)
        return
    if retries:
        fields.remarks.note(fields.at("jobBackoffLimit"), "only a Job has retries, so it is left out")
    if replicas is not None:
        spec["initialReplicas"] = replicas
    elif known:  # the first and the last versions did not have the field
        spec["initialReplicas"] = 0
        fields.remarks.note(
            fields.at("initialReplicas"), "absent meant 0 and stays so: the App has no pods; set it to have some"
        )


def _domain_variable(fields: Fields, pod: dict[str, Any], space: ImportedSpace | None) -> None:
    name = fields.text("domainEnvVarName")
    if not name:
        return
    if space is None:
        fields.remarks.lost(
            fields.at("domainEnvVarName"),
            "set the variable in the containers yourself, or import the Space in the same call: its domainName is the "
            "value",
        )
        return
    containers = pod.get("containers")
    for container in containers if isinstance(containers, list) else ():
        if isinstance(container, dict) and isinstance(container.get("env") or [], list):
            container["env"] = [*(container.get("env") or []), {"name": name, "value": space.domain}]


def _permissions(fields: Fields, pod: dict[str, Any], app: str, namespace: str) -> list[Obj]:
    rules = fields.objects("permissions")
    if not rules:
        return []
    account = pod.get("serviceAccountName")
    made: list[Obj] = []
    if not isinstance(account, str) or not account:
        account = pod["serviceAccountName"] = app
        made.append(service_account(account, namespace))
    fields.remarks.note(
        fields.at("permissions"),
        f"decco no longer grants permissions: ServiceAccount, Role and RoleBinding {account} are objects of their "
        "own here",
    )
    subject = {"kind": "ServiceAccount", "name": account, **({"namespace": namespace} if namespace else {})}
    return [*made, *role_objects(account, namespace, rules, subject)]


def _endpoints(fields: Fields, reader: EndpointReader, app: str, pod: dict[str, Any], *, implied: bool) -> list[Obj]:
    """``implied``: an App with neither endpoints nor a field of the short form is read as the short form."""
    listed = fields.objects("endpoints") if "endpoints" in fields else None
    short = {name: fields.take(name) for name in _SHORT if name in fields}
    if listed is None and not short:
        port = _first_port(pod)
        if port is None or not implied:
            return []
        fields.remarks.note(
            fields.at("endpoints"),
            f"absent: endpoint {app} serves the first container's first port, {port}, as before 2018; later versions "
            "served nothing: --absent-endpoints none reads it so",
        )
    if listed is not None:
        for name in short:
            fields.remarks.lost(fields.at(name), "endpoints are given too, and were what counted")
        return reader.endpoints(listed)
    port = _first_port(pod)
    if port is None:
        fields.remarks.error(
            "spec.pod", "the App is served on the first container's first port, and that has none: add it"
        )
        return []
    path = short.pop("httpUrlPath", None)
    if path is not None:
        # Before rewritePath existed, the path was removed unless preserveUri was set.
        short.setdefault("httpPath", path)
        if not short.get("preserveUri"):
            short.setdefault("rewritePath", "/")
    short.pop("preserveUri", None)
    for name in ("certAndCaSecretName", "createClearTextSvc"):
        if name in fields:
            short[name] = fields.take(name)
    short.setdefault("verifyTcpClientCert", False)
    return reader.endpoints([{"name": app, "port": port, **short}], "spec")


def _egresses(fields: Fields, reader: EndpointReader) -> list[Obj]:
    listed: list[Obj] = []
    for name in ("egresses", "tlsEgresses"):
        if name in fields:
            listed += reader.egresses(fields.objects(name), fields.at(name))
    return listed


def _first_port(pod: dict[str, Any]) -> int | None:
    try:
        port = pod["containers"][0]["ports"][0]["containerPort"]
    except (KeyError, IndexError, TypeError):
        return None
    return port if isinstance(port, int) else None
