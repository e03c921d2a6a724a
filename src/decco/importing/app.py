"""Converts an App of any version of the first decco: one container and path (2017), a pod, endpoints (since 2018)."""

from __future__ import annotations

from collections.abc import Iterator

from decco.importing.endpoints import convert_egress, convert_endpoint
from decco.importing.fields import Fields, Remarks, as_object, as_objects
from decco.importing.parts import named, new_meta, role_objects
from decco.objects import API_VERSION, Obj

_SHORT = ("httpUrlPath", "httpPath", "rewritePath", "verifyTcpClientCert", "createDnsRecord", "preserveUri")
_PORT_OF_SIDECAR = "it was the sidecar's first port inside the pod, which decco chooses itself now"
_NO_EFFECT = {"firstEndpointListenPort": _PORT_OF_SIDECAR, "baseTlsListenPort": _PORT_OF_SIDECAR}
_NO_COUNTERPART = {
    "logFiles": "decco collects no log files: write to standard output, or add a container that does",
    "virtualServiceSpec": "decco makes its routes itself: declare endpoints, with httpPath for HTTP",
    "name": "an App is named by metadata.name",
}
_BASELINE_CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)


def convert_app(
    obj: Obj, remarks: Remarks, namespace: str, space: Obj | None, *, serve_first_port: bool = True
) -> tuple[Obj, list[Obj]]:
    """Returns the App, and the ServiceAccount, Role and RoleBinding that the first decco created itself.

    ``namespace`` is that of the App, "" if it is not known; ``space`` is its Space, if it is also in the input.
    ``serve_first_port``: how an App without ``endpoints`` is read. True: as the short form of 2017, which serves the
    first container's first port. False: as the versions since 2018, which serve nothing.
    """
    meta = new_meta(obj, remarks)
    name = meta["name"]
    fields = Fields(obj.get("spec"), "spec", remarks)
    made = named(API_VERSION, "App", name, namespace)
    made["metadata"] |= meta
    spec = made["spec"] = {}
    with_replicas = "container" not in fields and "podSpec" not in fields
    pod = _pod(fields)
    job = fields.flag("runAsJob")
    _scale(fields, spec, job=job, known=with_replicas)
    _domain_variable(fields, pod, space)
    extras = _permissions(fields, pod, name, namespace)
    given = _endpoints(fields, name, pod, implied=serve_first_port and not job)
    endpoints = [endpoint for each in given if (endpoint := convert_endpoint(each, space))]
    if job and endpoints:
        fields.remark(
            "endpoints", "job-without-endpoints", "the first decco served no endpoint of a Job, so they are left out"
        )
        endpoints = []
    spec["endpoints"] = endpoints
    egresses = [convert_egress(each) for each in (*fields.each("egresses"), *fields.each("tlsEgresses"))]
    if egresses:
        spec["tlsEgresses"] = egresses
    for path in beyond_baseline(pod):
        fields.remark(
            path,
            "pod-beyond-baseline",
            "Pod Security level baseline, the default of a Space, does not allow it, and the first decco enforced "
            "none: change the pod, or set podSecurity: privileged in the Space",
        )
    fields.leave_out("field-without-effect", _NO_EFFECT)
    fields.leave_out("field-without-counterpart", _NO_COUNTERPART)
    fields.report_rest()
    spec["pod"] = pod
    return made, extras


def _pod(fields: Fields) -> Obj:
    """``pod``; it was named ``podSpec`` in v1beta3, and the first Apps had a ``container`` instead."""
    given = [(name, fields.take(name)) for name in ("pod", "podSpec", "container") if name in fields]
    if not given:
        fields.remark("pod", "pod-missing", "must be given: the PodSpec of the App")
        return {}
    (name, value), *others = given
    for other, _ in others:
        fields.remark(other, "field-overridden", f"{name} is given too, and was the one that counted")
    if not isinstance(value, dict):
        fields.remark(name, "value-wrong", "must be an object")
        return {}
    return {"containers": [value]} if name == "container" else value


def _scale(fields: Fields, spec: Obj, *, job: bool, known: bool) -> None:
    replicas, retries = fields.number("initialReplicas"), fields.number("jobBackoffLimit")
    if job:
        # An absent field was 0, and is now the default of Kubernetes, 6.
        spec.update(runAsJob=True, jobBackoffLimit=retries or 0)
        return
    if retries:
        fields.remark("jobBackoffLimit", "field-without-effect", "only a Job has retries, so it is left out")
    if replicas is not None:
        spec["initialReplicas"] = replicas
    elif known:  # the first and the last versions did not have the field
        spec["initialReplicas"] = 0
        fields.remark(
            "initialReplicas",
            "replicas-absent",
            "absent meant 0 and stays so: the App has no pods; set it to have some",
        )


def _domain_variable(fields: Fields, pod: Obj, space: Obj | None) -> None:
    name = fields.text("domainEnvVarName")
    if name and space is None:
        fields.remark(
            "domainEnvVarName",
            "space-not-given",
            "set the variable in the containers yourself, or import the Space in the same call: its domainName is the "
            "value",
        )
    elif name and space is not None:
        for _, container in as_objects(pod.get("containers")):
            if isinstance(container.get("env") or [], list):
                container["env"] = [*(container.get("env") or []), {"name": name, "value": space["spec"]["domainName"]}]


def _permissions(fields: Fields, pod: Obj, app: str, namespace: str) -> list[Obj]:
    rules = fields.objects("permissions")
    if not rules:
        return []
    account = pod.get("serviceAccountName")
    made: list[Obj] = []
    if not isinstance(account, str) or not account:
        account = pod["serviceAccountName"] = app
        made.append(named("v1", "ServiceAccount", account, namespace))
    fields.remark(
        "permissions",
        "permissions-are-objects",
        f"decco no longer grants permissions: ServiceAccount, Role and RoleBinding {account} are objects of their "
        "own here",
    )
    subject = {"kind": "ServiceAccount", "name": account, **({"namespace": namespace} if namespace else {})}
    return [*made, *role_objects(account, namespace, rules, subject)]


def _endpoints(fields: Fields, app: str, pod: Obj, *, implied: bool) -> list[Fields]:
    """The fields of each endpoint.

    ``implied``: an App with neither endpoints nor a field of the short form is read as the short form.
    """
    short = {name: fields.take(name) for name in _SHORT if name in fields}
    if "endpoints" in fields:
        for name in short:
            fields.remark(name, "field-overridden", "endpoints are given too, and were what counted")
        return fields.each("endpoints")
    port = _first_port(pod)
    if not short:
        if port is None or not implied:
            return []
        fields.remark(
            "endpoints",
            "endpoints-absent",
            f"absent: endpoint {app} serves the first container's first port, {port}, as before 2018; later versions "
            "served nothing: --absent-endpoints none reads it so",
        )
    if port is None:
        fields.remark(
            "pod", "port-missing", "the App is served on the first container's first port, and that has none: add it"
        )
        return []
    path, preserve = short.pop("httpUrlPath", None), short.pop("preserveUri", False)
    if path is not None:
        # Before rewritePath existed, the path was removed unless preserveUri was set.
        short = {"httpPath": path, **({} if preserve else {"rewritePath": "/"}), **short}
    short |= {name: fields.take(name) for name in ("certAndCaSecretName", "createClearTextSvc")}
    return [Fields({"name": app, "port": port, "verifyTcpClientCert": False, **short}, "spec", fields.remarks)]


def _first_port(pod: Obj) -> int | None:
    try:
        port = pod["containers"][0]["ports"][0]["containerPort"]
    except (KeyError, IndexError, TypeError):
        return None
    return port if isinstance(port, int) else None


def beyond_baseline(pod: Obj) -> Iterator[str]:
    """Paths of the common fields that the Pod Security level ``baseline`` refuses.

    The decision is the API server's; this check reports problems before pods are refused.
    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    yield from (f"pod.{flag}" for flag in ("hostNetwork", "hostPID", "hostIPC") if pod.get(flag) is True)
    yield from (f"pod.volumes[{at}].hostPath" for at, volume in as_objects(pod.get("volumes")) if "hostPath" in volume)
    for kind in ("initContainers", "containers"):
        for number, container in as_objects(pod.get(kind)):
            path = f"pod.{kind}[{number}]"
            context = as_object(container.get("securityContext"))
            if context.get("privileged") is True:
                yield f"{path}.securityContext.privileged"
            added = as_object(context.get("capabilities")).get("add")
            if isinstance(added, list) and not all(name in _BASELINE_CAPABILITIES for name in added):
                yield f"{path}.securityContext.capabilities.add"
            for at, port in as_objects(container.get("ports")):
                if port.get("hostPort"):
                    yield f"{path}.ports[{at}].hostPort"
