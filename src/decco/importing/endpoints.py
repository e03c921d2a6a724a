"""Endpoints and egresses of the first decco.

Two fields have a new meaning. ``tlsListenPort`` was the sidecar's port in the pod and is now the Service's, so it is
not converted. Client certificates were verified unless ``disableTcpClientTlsVerification`` was set; now they are
verified if ``verifyTcpClientCert`` is set.
"""

from __future__ import annotations

from typing import Any

from decco.api.formats import DNS_NAME
from decco.api.types import DEFAULT_TARGET_PORT
from decco.desired.endpoints import HTTP_PORT
from decco.hostnames import canonical, in_zone
from decco.importing.fields import Fields
from decco.importing.remarks import Remarks
from decco.importing.space import ImportedSpace
from decco.objects import Obj
from decco.text import shown


class EndpointReader:
    """Converts the endpoints and egresses of one App; ``space`` is None if its Space is not in the input."""

    def __init__(self, remarks: Remarks, space: ImportedSpace | None, namespace: str) -> None:
        self._remarks = remarks
        self._space = space
        self._fqdn = space.fqdn if space is not None else None
        self._namespace = namespace

    # --- endpoints ---

    def endpoints(self, listed: list[Obj], path: str | None = None) -> list[Obj]:
        made = []
        for number, item in enumerate(listed):
            converted = self._endpoint(Fields(item, path or f"spec.endpoints[{number}]", self._remarks))
            if converted is not None:
                made.append(converted)
        return made

    def _endpoint(self, fields: Fields) -> Obj | None:
        made: Obj = {"name": fields.text("name"), "port": fields.number("port") or 0}
        fields.ignore("tlsListenPort", "it was the sidecar's port inside the pod, which decco chooses itself now")
        http, metrics = fields.text("httpPath"), fields.flag("isMetricsEndpoint")
        secret = fields.text("certAndCaSecretName")
        if fields.flag("createClearTextSvc"):
            made["createClearTextService"] = True
        fields.drop(
            "additionalIngressAnnotations",
            "decco's routes take no annotations of an Ingress; see the settings of the edge, or make your own route",
        )
        if http:
            kept = self._http(fields, made, http, secret, metrics=metrics)
        else:
            kept = True
            (self._metrics if metrics else self._tcp)(fields, made, secret)
        fields.report_rest()
        return made if kept else None

    def _http(self, fields: Fields, made: Obj, path: str, secret: str, *, metrics: bool) -> bool:
        rewrite = fields.text("rewritePath")
        made["httpPath"] = path
        if rewrite:
            made["rewritePath"] = rewrite
        if metrics:
            self._remarks.lost(fields.at("isMetricsEndpoint"), "with an httpPath it is reached by that path only")
        encrypted = self._space is not None and self._space.encrypt_http
        if secret:
            self._remarks.lost(
                fields.at("certAndCaSecretName"),
                "all paths of a Space are served with the one certificate of its httpCertSecretName",
            )
        if self._space is not None and not encrypted and made["port"] != HTTP_PORT:
            self._remarks.note(
                fields.at("port"),
                f"inside the cluster the Service {made['name']} has port {HTTP_PORT} now, not {made['port']}",
            )
        self._no_record(fields, made)
        for name in ("disableTcpClientTlsVerification", "verifyTcpClientCert", "disableTlsTermination"):
            fields.take(name)  # never had an effect on an endpoint with a path
        for name in ("sniHostname", "tcpHostnameSuffix"):
            fields.take(name)
        if fields.flag("httpLocalhostOnly"):
            self._remarks.lost(
                fields.at("httpLocalhostOnly"),
                f"the endpoint {shown(made['name'])} is left out, for with its path it would be public: let its "
                "clients in the Space connect to the pods' port",
            )
            return False
        return True

    def _metrics(self, fields: Fields, made: Obj, secret: str) -> None:
        made["isMetricsEndpoint"] = True
        self._remarks.note(
            fields.at("isMetricsEndpoint"),
            "only namespaces with the label decco.platform9.com/monitoring=true may reach it",
        )
        if secret:
            self._remarks.lost(fields.at("certAndCaSecretName"), "metrics are read in plain text")
        self._no_record(fields, made)
        for name in (
            "disableTcpClientTlsVerification",
            "verifyTcpClientCert",
            "disableTlsTermination",
            "sniHostname",
            "tcpHostnameSuffix",
            "rewritePath",
            "httpLocalhostOnly",
        ):
            fields.take(name)

    def _no_record(self, fields: Fields, made: Obj) -> None:
        """The first decco published <endpoint>.<space>.<domain> for any endpoint with the field, served or not."""
        if fields.flag("createDnsRecord"):
            self._remarks.note(
                fields.at("createDnsRecord"),
                f"{shown(made['name'])} is not reached at a host name of its own: only TCP endpoints have one, and the "
                "record of the FQDN is always published",
            )

    def _tcp(self, fields: Fields, made: Obj, secret: str) -> None:
        for name in ("rewritePath", "httpLocalhostOnly"):
            fields.take(name)
        if secret:
            made["certAndCaSecretName"] = secret
        if fields.flag("createDnsRecord"):
            made["createDnsRecord"] = True
        # The field of 2017 with the inverse meaning: absent meant false.
        verify = fields.flag("verifyTcpClientCert") if "verifyTcpClientCert" in fields else True
        if fields.flag("disableTcpClientTlsVerification"):
            verify = False
        if fields.flag("disableTlsTermination"):
            made["disableTlsTermination"] = True
            made["tlsListenPort"] = made["port"]  # the Service had the container's port
            if made.pop("createClearTextService", False):
                self._remarks.note(
                    fields.at("createClearTextSvc"),
                    "the container's port speaks TLS, not clear text, so it is left out",
                )
        elif verify:
            made["verifyTcpClientCert"] = True
        self._hostname(fields, made)

    def _hostname(self, fields: Fields, made: Obj) -> None:
        own, suffix = canonical(fields.text("sniHostname")), fields.text("tcpHostnameSuffix").lower()
        at = fields.at("sniHostname" if own else "tcpHostnameSuffix")
        if not own and not suffix:
            return
        if self._fqdn is None or self._space is None:
            self._remarks.lost(at, "import the Space in the same call: the host name depends on its domain")
            return
        hostname = own or f"{made['name']}{suffix}.{self._fqdn}"
        if hostname == f"{made['name']}.{self._fqdn}":
            return
        if hostname == self._fqdn:
            self._remarks.lost(at, f"{hostname} is served by the shared edge, and no endpoint can have it")
            return
        if not DNS_NAME.matches(hostname):
            self._remarks.lost(at, f"{shown(hostname)} {DNS_NAME.message}")
            return
        made["hostname"] = hostname
        if not in_zone(hostname, self._fqdn):
            self._space.allow(hostname)
            self._remarks.note(at, f"{hostname} is not below {self._fqdn}, so it was added to the Space's hostnames")

    # --- egresses ---

    def egresses(self, listed: list[Obj], path: str) -> list[Obj]:
        return [self._egress(Fields(item, f"{path}[{number}]", self._remarks)) for number, item in enumerate(listed)]

    def _egress(self, fields: Fields) -> Obj:
        made: dict[str, Any] = {"localPort": fields.number("localPort") or 0}
        fqdn, former = canonical(fields.text("fqdn")), fields.text("appName")
        endpoint, space = fields.text("endpoint") or former, fields.text("spaceName")
        if fqdn:
            made["fqdn"] = fqdn
            if endpoint or space:
                self._remarks.note(fields.at("fqdn"), "it was what counted, so endpoint and spaceName are left out")
        elif endpoint:
            made["endpoint"] = endpoint
            if space:
                made["spaceName"] = space
            self._remarks.note(
                fields.at("endpoint"),
                f"the certificate of {shown(endpoint)} must be for its host name, <endpoint>.<FQDN> of its Space; it "
                "was for <endpoint>.<space>.svc.cluster.local",
            )
        else:
            self._remarks.error(fields.path, "has no target: set fqdn or endpoint")
        port = fields.number("targetPort")
        if port and port != DEFAULT_TARGET_PORT:
            if fqdn:
                made["targetPort"] = port
            else:
                self._remarks.note(fields.at("targetPort"), "an endpoint is reached at its Service's port: left out")
        if secret := fields.text("certAndCaSecretName"):
            made["certAndCaSecretName"] = secret
        if fields.flag("disableServerCertVerification"):
            made["disableServerCertVerification"] = True
        if fields.number("springBoardDelaySeconds"):
            self._remarks.note(
                fields.at("springBoardDelaySeconds"), "the sidecar is up before the container starts, so nothing waits"
            )
        fields.report_rest()
        return made
