"""Converts endpoints and egresses of the first decco.

Two fields have a new meaning. ``tlsListenPort`` was the sidecar's port in the pod and is now the Service's, so it is
not converted. Client certificates were verified unless ``disableTcpClientTlsVerification`` was set; now they are
verified if ``verifyTcpClientCert`` is set.
"""

from __future__ import annotations

from decco.api.formats import DNS_NAME
from decco.api.types import DEFAULT_TARGET_PORT
from decco.desired.endpoints import HTTP_PORT
from decco.hostnames import canonical, in_zone
from decco.importing.fields import Fields
from decco.importing.space import fqdn_of
from decco.objects import Obj
from decco.text import shown

_OF_HTTP = ("rewritePath", "httpLocalhostOnly")
_OF_TCP = (
    *("disableTcpClientTlsVerification", "verifyTcpClientCert", "disableTlsTermination"),
    *("sniHostname", "tcpHostnameSuffix"),
)
_NO_EFFECT = {"tlsListenPort": "it was the sidecar's port inside the pod, which decco chooses itself now"}
_NO_COUNTERPART = {
    "additionalIngressAnnotations": "decco's routes take no annotations of an Ingress; see the settings of the edge, "
    "or make your own route",
}


def convert_endpoint(fields: Fields, space: Obj | None) -> Obj | None:
    """The endpoint, None if it is left out; ``space`` is None if it is not in the input."""
    made: Obj = {"name": fields.text("name"), "port": fields.number("port") or 0}
    path, metrics = fields.text("httpPath"), fields.flag("isMetricsEndpoint")
    secret, record = fields.text("certAndCaSecretName"), fields.flag("createDnsRecord")
    if fields.flag("createClearTextSvc"):
        made["createClearTextService"] = True
    fields.leave_out("field-without-effect", _NO_EFFECT)
    fields.leave_out("field-without-counterpart", _NO_COUNTERPART)
    kept = True
    if path:
        made["httpPath"] = path
        kept = _http(fields, made, space, secret, metrics=metrics)
        fields.skip(*_OF_TCP)
    elif metrics:
        made["isMetricsEndpoint"] = True
        fields.remark(
            "isMetricsEndpoint",
            "metrics-need-label",
            "only namespaces with the label decco.platform9.com/monitoring=true may reach it",
        )
        if secret:
            fields.remark("certAndCaSecretName", "certificate-unused", "metrics are read in plain text")
        fields.skip(*_OF_TCP, *_OF_HTTP)
    else:
        made |= {"certAndCaSecretName": secret} if secret else {}
        made |= {"createDnsRecord": True} if record else {}
        _tcp(fields, made)
        _hostname(fields, made, space)
        fields.skip(*_OF_HTTP)
    if record and (path or metrics):  # the first decco published a name for any endpoint, served or not
        fields.remark(
            "createDnsRecord",
            "record-not-published",
            f"{shown(made['name'])} is not reached at a host name of its own: only TCP endpoints have one, and the "
            "record of the FQDN is always published",
        )
    fields.report_rest()
    return made if kept else None


def _http(fields: Fields, made: Obj, space: Obj | None, secret: str, *, metrics: bool) -> bool:
    """Whether the endpoint is kept."""
    if rewrite := fields.text("rewritePath"):
        made["rewritePath"] = rewrite
    if metrics:
        fields.remark("isMetricsEndpoint", "metrics-by-path", "with an httpPath it is reached by that path only")
    if secret:
        fields.remark(
            "certAndCaSecretName",
            "certificate-unused",
            "all paths of a Space are served with the one certificate of its httpCertSecretName",
        )
    if space is not None and "encryptHttp" not in space["spec"] and made["port"] != HTTP_PORT:
        fields.remark(
            "port",
            "service-port-changed",
            f"inside the cluster the Service {made['name']} has port {HTTP_PORT} now, not {made['port']}",
        )
    if not fields.flag("httpLocalhostOnly"):
        return True
    fields.remark(
        "httpLocalhostOnly",
        "endpoint-was-local",
        f"the endpoint {shown(made['name'])} is left out, for with its path it would be public: let its clients in the "
        "Space connect to the pods' port",
    )
    return False


def _tcp(fields: Fields, made: Obj) -> None:
    # The field of 2017 with the inverse meaning: absent meant false.
    verify = fields.flag("verifyTcpClientCert") if "verifyTcpClientCert" in fields else True
    if fields.flag("disableTcpClientTlsVerification"):
        verify = False
    if fields.flag("disableTlsTermination"):
        made["disableTlsTermination"] = True
        made["tlsListenPort"] = made["port"]  # the Service had the container's port
        if made.pop("createClearTextService", False):
            fields.remark(
                "createClearTextSvc",
                "field-without-effect",
                "the container's port speaks TLS, not clear text, so it is left out",
            )
    elif verify:
        made["verifyTcpClientCert"] = True


def _hostname(fields: Fields, made: Obj, space: Obj | None) -> None:
    own, suffix = canonical(fields.text("sniHostname")), fields.text("tcpHostnameSuffix").lower()
    name = "sniHostname" if own else "tcpHostnameSuffix"
    if not own and not suffix:
        return
    if space is None:
        fields.remark(name, "space-not-given", "import the Space in the same call: the host name depends on its domain")
        return
    fqdn = fqdn_of(space)
    hostname = own or f"{made['name']}{suffix}.{fqdn}"
    if hostname == f"{made['name']}.{fqdn}":
        return
    if hostname == fqdn:
        fields.remark(
            name, "hostname-unusable", f"{hostname} is served by the shared edge, and no endpoint can have it"
        )
    elif not DNS_NAME.matches(hostname):
        fields.remark(name, "hostname-unusable", f"{shown(hostname)} {DNS_NAME.message}")
    else:
        made["hostname"] = hostname
        if not in_zone(hostname, fqdn):
            listed = space["spec"].setdefault("hostnames", [])
            listed += [] if hostname in listed else [hostname]
            fields.remark(
                name,
                "hostname-added-to-space",
                f"{hostname} is not below {fqdn}, so it was added to the Space's hostnames",
            )


def convert_egress(fields: Fields) -> Obj:
    made: Obj = {"localPort": fields.number("localPort") or 0}
    fqdn, former = canonical(fields.text("fqdn")), fields.text("appName")
    endpoint, space = fields.text("endpoint") or former, fields.text("spaceName")
    if fqdn:
        made["fqdn"] = fqdn
        if endpoint or space:
            fields.remark("fqdn", "field-without-effect", "it was what counted, so endpoint and spaceName are left out")
    elif endpoint:
        made["endpoint"] = endpoint
        made |= {"spaceName": space} if space else {}
        fields.remark(
            "endpoint",
            "certificate-name-changed",
            f"the certificate of {shown(endpoint)} must be for its host name, <endpoint>.<FQDN> of its Space; it was "
            "for <endpoint>.<space>.svc.cluster.local",
        )
    else:
        fields.remarks.add(fields.path, "egress-without-target", "has no target: set fqdn or endpoint")
    port = fields.number("targetPort")
    if port and port != DEFAULT_TARGET_PORT:
        if fqdn:
            made["targetPort"] = port
        else:
            fields.remark(
                "targetPort", "field-without-effect", "an endpoint is reached at its Service's port: left out"
            )
    if secret := fields.text("certAndCaSecretName"):
        made["certAndCaSecretName"] = secret
    if fields.flag("disableServerCertVerification"):
        made["disableServerCertVerification"] = True
    if fields.number("springBoardDelaySeconds"):
        fields.remark(
            "springBoardDelaySeconds",
            "field-without-effect",
            "the sidecar is up before the container starts, so nothing waits",
        )
    fields.report_rest()
    return made
