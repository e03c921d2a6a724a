"""Converts a namespaced Space of the first decco to a cluster-scoped one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from decco.hostnames import canonical
from decco.importing.fields import Fields
from decco.importing.meta import new_meta
from decco.importing.permissions import role_objects
from decco.importing.remarks import Remarks
from decco.objects import API_VERSION, Obj

RESERVED_PROJECT = "system"

_COPY_IS_FOLLOWED = (
    "decco follows a Secret to renew its copies, so the one in decco's namespace has to stay; if the first decco has "
    "deleted it, take it back from the Space's namespace"
)


@dataclass(slots=True)
class ImportedSpace:
    """The new Space, and the values that its Apps need."""

    obj: Obj
    fqdn: str
    domain: str
    encrypt_http: bool
    extras: list[Obj] = field(default_factory=list)
    """Role and RoleBinding that the first decco created itself."""

    def allow(self, hostname: str) -> None:
        """Adds a host name outside the FQDN to the Space, for its Apps."""
        listed = self.obj["spec"].setdefault("hostnames", [])
        if hostname not in listed:
            listed.append(hostname)


def convert_space(obj: Obj, remarks: Remarks, domain: str | None) -> ImportedSpace:
    """Does not raise: errors are in ``remarks``. ``domain`` is the default for a Space without a domain."""
    fields = Fields(obj.get("spec"), "spec", remarks)
    meta = new_meta(obj, remarks)
    name = str(meta.get("name", ""))
    meta.pop("namespace", None)
    spec: dict[str, Any] = {}
    own = canonical(fields.text("domainName")) or domain or ""
    if not own:
        remarks.error("spec.domainName", "the Space has no domain: add it, or give one with --domain")
    spec["domainName"] = own
    project = fields.text("project")
    if project == RESERVED_PROJECT:
        remarks.lost(
            "spec.project",
            f"{RESERVED_PROJECT!r} was reserved for the first decco's own namespaces and is a project like any other "
            "now; decco identifies the edge by its settings, monitoring by the label decco.platform9.com/monitoring",
        )
    elif project:
        spec["project"] = project
    for secret in ("httpCertSecretName", "tcpCertAndCaSecretName"):
        if value := fields.text(secret):
            spec[secret] = value
            remarks.note(
                f"spec.{secret}",
                f"Secret {value} has to be in decco's own namespace, with the label decco.platform9.com/share=true and "
                f"the annotation decco.platform9.com/share-with={name}",
            )
    encrypt = fields.flag("encryptHttp")
    if encrypt:
        spec["encryptHttp"] = True
    extras = _permissions(fields, name, remarks)
    _without_counterpart(fields)
    fields.report_rest()
    made = {"apiVersion": API_VERSION, "kind": "Space", "metadata": meta, "spec": spec}
    return ImportedSpace(made, f"{name}.{own}", own, encrypt, extras)


def _permissions(fields: Fields, name: str, remarks: Remarks) -> list[Obj]:
    if "permissions" not in fields:
        return []
    inner = Fields(fields.take("permissions"), fields.at("permissions"), remarks)
    subject, rules = inner.take("subject"), inner.objects("rules")
    inner.report_rest()
    if not isinstance(subject, dict):
        remarks.error(inner.at("subject"), "must be an object")
        return []
    remarks.note(
        inner.path,
        "decco no longer grants permissions: Role and RoleBinding space-creator are objects of their own here",
    )
    return role_objects("space-creator", name, rules, subject)


def _without_counterpart(fields: Fields) -> None:
    fields.ignore("deleteHttpCertSecretAfterCopy", _COPY_IS_FOLLOWED)
    fields.ignore("deleteTcpCertAndCaSecretAfterCopy", _COPY_IS_FOLLOWED)
    # A Space no longer has one.
    fields.take("disablePrivateIngressController")
    fields.ignore(
        "verboseIngressControllerLogging",
        "a Space no longer has its own ingress controller; the shared edge has its own logs",
    )
    fields.drop(
        "privateIngressControllerTcpEndpoints",
        "a Space no longer has its own ingress controller: give the App that should serve these names a TCP "
        "endpoint for each, with its hostname",
    )
    fields.ignore("privateIngressControllerTcpHostnameSuffix", "a Space no longer has its own ingress controller")
    fields.drop(
        "createDefaultHttpDeploymentAndIngress",
        'decco makes no default page: for one, create an App with an endpoint of httpPath "/"',
    )
    for name, what in (("manualPhase", "phases"), ("manifest", "manifests")):
        fields.drop(name, f"decco has no {what}: a Space's Apps are those in its namespace")
