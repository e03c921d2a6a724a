"""Converts a namespaced Space of the first decco to a cluster-scoped one."""

from __future__ import annotations

from decco.hostnames import canonical
from decco.importing.fields import Fields, Remarks
from decco.importing.parts import new_meta, role_objects
from decco.objects import API_VERSION, Obj

RESERVED_PROJECT = "system"

_COPY_IS_FOLLOWED = (
    "decco follows a Secret to renew its copies, so the one in decco's namespace has to stay; if the first decco has "
    "deleted it, take it back from the Space's namespace"
)
_NO_CONTROLLER = "a Space no longer has its own ingress controller"
_NO_EFFECT = {
    "deleteHttpCertSecretAfterCopy": _COPY_IS_FOLLOWED,
    "deleteTcpCertAndCaSecretAfterCopy": _COPY_IS_FOLLOWED,
    "verboseIngressControllerLogging": f"{_NO_CONTROLLER}; the shared edge has its own logs",
    "privateIngressControllerTcpHostnameSuffix": _NO_CONTROLLER,
}
_NO_COUNTERPART = {
    "privateIngressControllerTcpEndpoints": f"{_NO_CONTROLLER}: give the App that should serve these names a TCP "
    "endpoint for each, with its hostname",
    "createDefaultHttpDeploymentAndIngress": "decco makes no default page: for one, create an App with an endpoint of "
    'httpPath "/"',
    "manualPhase": "decco has no phases: a Space's Apps are those in its namespace",
    "manifest": "decco has no manifests: a Space's Apps are those in its namespace",
}


def convert_space(obj: Obj, remarks: Remarks, domain: str | None) -> tuple[Obj, list[Obj]]:
    """Returns the Space, and the Role and RoleBinding that the first decco created itself.

    Does not raise: errors are in ``remarks``. ``domain`` is the default for a Space without a domain.
    """
    fields = Fields(obj.get("spec"), "spec", remarks)
    meta = new_meta(obj, remarks)
    name = meta["name"]
    own = canonical(fields.text("domainName")) or domain or ""
    if not own:
        fields.remark("domainName", "domain-missing", "the Space has no domain: add it, or give one with --domain")
    spec: Obj = {"domainName": own}
    project = fields.text("project")
    if project == RESERVED_PROJECT:
        fields.remark(
            "project",
            "project-system",
            f"{RESERVED_PROJECT!r} was reserved for the first decco's own namespaces and is a project like any other "
            "now; decco identifies the edge by its settings, monitoring by the label decco.platform9.com/monitoring",
        )
    elif project:
        spec["project"] = project
    for secret in ("httpCertSecretName", "tcpCertAndCaSecretName"):
        if value := fields.text(secret):
            spec[secret] = value
            remark_on_secret(remarks, fields.at(secret), value, canonical(f"{name}.{own}"))
    if fields.flag("encryptHttp"):
        spec["encryptHttp"] = True
    extras = _permissions(fields, name)
    fields.leave_out("field-without-effect", _NO_EFFECT)
    fields.leave_out("field-without-counterpart", _NO_COUNTERPART)
    fields.skip("disablePrivateIngressController")  # a Space no longer has one
    fields.report_rest()
    return {"apiVersion": API_VERSION, "kind": "Space", "metadata": meta, "spec": spec}, extras


def remark_on_secret(remarks: Remarks, path: str, secret: str, fqdn: str) -> None:
    """Secrets of a Space are shared by their owners, as the first decco and an Ingress did not need it."""
    remarks.add(
        path,
        "secret-to-be-shared",
        f"Secret {secret} has to be in decco's own namespace, with the label decco.platform9.com/share=true and the "
        f"annotation decco.platform9.com/share-with={fqdn}",
    )


def fqdn_of(space: Obj) -> str:
    return f"{space['metadata']['name']}.{space['spec']['domainName']}"


def _permissions(fields: Fields, name: str) -> list[Obj]:
    if "permissions" not in fields:
        return []
    inner = Fields(fields.take("permissions"), fields.at("permissions"), fields.remarks)
    subject, rules = inner.take("subject"), inner.objects("rules")
    inner.report_rest()
    if not isinstance(subject, dict):
        inner.remark("subject", "value-wrong", "must be an object")
        return []
    fields.remark(
        "permissions",
        "permissions-are-objects",
        "decco no longer grants permissions: Role and RoleBinding space-creator are objects of their own here",
    )
    return role_objects("space-creator", name, rules, subject)
