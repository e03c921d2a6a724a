"""ingress-nginx (kubernetes.github.io/ingress-nginx), started with ``--enable-ssl-passthrough``.

As soon as one Ingress of a host rewrites, ingress-nginx reads the paths of *all* Ingresses of that host as regular
expressions. So that an App's path does not change its meaning when another App begins to rewrite, each is written as a
regular expression from the start, escaped, and ending at the border of a segment. Where two match, ingress-nginx takes
the longer one, which among nested prefixes is the deeper. Regular expressions ignore case there: ``/Web`` is served as
``/web``.

It names upstreams ``<namespace>-<service>-<port>`` and the file of an authority ``ca-<namespace>-<secret>.pem``, and
the first or the last of equal names is served for all. So Ingresses name the port of the Service by a name with a
digest of the App's UID, and a Space with encryptHttp has a Secret with its ``ca.crt`` alone, whose name has a digest of
the Space's UID. Certificates are kept by ``<namespace>/<secret>``.

The project was retired in 2026. Read from the source of v1.15, proven by golden files only.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping

from decco.api.limits import RateUnit
from decco.api.types import AppProtocol
from decco.desired import names
from decco.desired.canary import share_of
from decco.desired.edge_keys import OPENSSL_KEYS
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.http_routes import ResolvedPath
from decco.desired.limits import CLIENT_CIDRS, REQUEST_BODY, REQUEST_RATE, limits_of, short_size
from decco.desired.limits import IDLE as LONGEST_IDLE
from decco.desired.model import AppInputs, Child, Problem, SpaceFacts, SpaceInputs
from decco.desired.protocols import speaks_http2
from decco.desired.routing.dialect import (
    OTHER,
    Dialect,
    ServiceTraits,
    below,
    http_ingress,
    named_backend,
    passthrough_ingress,
    path_ingress_name,
    rewriting,
    unique_port_name,
    unsupported,
    verifying_secret,
)
from decco.desired.shares import Share, Sharing
from decco.desired.timeouts import IDLE, idle_seconds
from decco.objects import SECRETS

_REWRITABLE = re.compile(r"[-A-Za-z0-9/._~:]*")
"""What the controller accepts in rewrite-target (RegexPathWithCapture); anything else makes it drop the whole path."""
VERIFY_DEPTH = "4"
"""Certificates between the pod's and the authority; nginx' own 1 refuses a chain with two intermediates."""


class Nginx(Dialect):
    prefix = "nginx.ingress.kubernetes.io"
    controller = "k8s.io/ingress-nginx"
    keys = OPENSSL_KEYS
    ingress_annotations = (
        "backend-protocol",
        "force-ssl-redirect",
        "proxy-ssl-name",
        "proxy-ssl-protocols",
        "proxy-ssl-secret",
        "proxy-ssl-server-name",
        "proxy-ssl-verify",
        "proxy-ssl-verify-depth",
        "rewrite-target",
        "ssl-passthrough",
        "use-regex",
    )
    optional = (
        "canary",
        "canary-weight",
        "limit-rpm",
        "limit-rps",
        "proxy-body-size",
        "proxy-read-timeout",
        "proxy-send-timeout",
        "whitelist-source-range",
    )
    timeouts = frozenset({IDLE})
    # Its limit-connections counts those of one client, and what it passes through by server name it does not limit.
    limits = frozenset({CLIENT_CIDRS, REQUEST_BODY, REQUEST_RATE, LONGEST_IDLE})
    rate_units = frozenset({RateUnit.SECOND, RateUnit.MINUTE})
    sharing = Sharing.BY_ENDPOINT

    def space(self, inputs: SpaceInputs) -> list[Child]:
        """The Secret with the authority of encryptHttp; certificates only, see ``SecretFacts.ca_pem``."""
        space = inputs.space
        view = inputs.secrets.get(space.spec.http_cert_secret_name or "")
        if not space.spec.encrypt_http or view is None or view.facts is None or view.facts.ca_pem is None:
            return []
        data = {"ca.crt": b64encode(view.facts.ca_pem.encode()).decode()}
        return [names.child(SECRETS, names.space_meta(space, _authority(space)), type="Opaque", data=data)]

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
        if endpoint.kind is EndpointKind.METRICS:
            return super().service_traits(inputs, endpoint)
        return ServiceTraits(unique_port_name(inputs, endpoint))

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        if any("%" in path.prefix for path in endpoint.paths):
            return unsupported(endpoint, "nginx compares paths after decoding them; choose an httpPath without %")
        if any(_REWRITABLE.fullmatch(path.rewrite or "") is None for path in endpoint.paths):
            return unsupported(
                endpoint,
                "ingress-nginx takes only letters, digits and / - . _ ~ : in a rewritten path; change rewritePath",
            )
        if isinstance(spoken := _spoken(endpoint), Problem):
            return spoken
        annotations = {"force-ssl-redirect": "true", "use-regex": "true", **spoken, **_limits(inputs.space)}
        if (seconds := idle_seconds(endpoint, inputs.space)) is not None:
            # Between two reads, or two writes; in seconds, as numbers.
            annotations |= {"proxy-read-timeout": str(seconds), "proxy-send-timeout": str(seconds)}
        if endpoint.backend_tls:
            if isinstance(missing := verifying_secret(inputs, endpoint, "nginx"), Problem):
                return missing
            annotations |= {
                "backend-protocol": "HTTPS",
                "proxy-ssl-name": inputs.space.fqdn,
                "proxy-ssl-protocols": "TLSv1.2 TLSv1.3",
                "proxy-ssl-secret": f"{inputs.space.name}/{_authority(inputs.space)}",
                "proxy-ssl-server-name": "on",
                "proxy-ssl-verify": "on",
                "proxy-ssl-verify-depth": VERIFY_DEPTH,
            }
        made = [self._ingress(inputs, endpoint, path, annotations) for path in endpoint.paths]
        return made if (share := share_of(inputs, endpoint)) is None else [*made, self._canary(inputs, endpoint, share)]

    def _canary(self, inputs: AppInputs, endpoint: ResolvedEndpoint, share: Share) -> Child:
        """The Ingress that ingress-nginx merges into those of the endpoint, by their host names and paths, which
        must be the same to the letter. Rewriting, limits and TLS to the pods are those of the endpoint.
        """
        protocol = "https" if share.endpoint.backend_tls else "http"
        port = names.edge_port_name(protocol, share.canary.uid, share.endpoint.name)
        backend = {"service": {"name": share.endpoint.name, "port": {"name": port}}}
        annotations = self.named({"canary": "true", "canary-weight": str(share.weight)})
        paths = {_pattern(path): OTHER for path in endpoint.paths}
        return http_ingress(
            inputs, f"{endpoint.name}.canary", endpoint.http_names, paths, backend, annotations, tls=False
        )

    def _ingress(
        self, inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath, annotations: Mapping[str, str]
    ) -> Child:
        rewritten = {}
        if path.rewrite is not None:
            _, before = rewriting(path.prefix, path.rewrite)
            rewritten = {"rewrite-target": f"{before}$1"}
        name, backend = path_ingress_name(inputs, endpoint, path), named_backend(inputs, endpoint)
        named = self.named({**annotations, **rewritten})
        return http_ingress(inputs, name, endpoint.http_names, {_pattern(path): OTHER}, backend, named)

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        # Without the redirect nginx would answer at port 80 too, and carry plain text from there to the pod.
        annotations = self.named({"force-ssl-redirect": "true", "ssl-passthrough": "true"})
        return [passthrough_ingress(inputs, endpoint, named_backend(inputs, endpoint), annotations)]


def _pattern(path: ResolvedPath) -> str:
    return below(path.prefix) if path.rewrite is None else rewriting(path.prefix, path.rewrite)[0]


def _limits(space: SpaceFacts) -> dict[str, str]:
    """By the older name of the list of clients, which all versions read."""
    limits = limits_of(space)
    found: dict[str, str] = {}
    if limits.client_cidrs:
        found["whitelist-source-range"] = ",".join(sorted(limits.client_cidrs))
    if limits.request_body is not None:
        found["proxy-body-size"] = short_size(limits.request_body)
    if (rate := limits.request_rate) is not None and rate.unit in _RATES:
        found[_RATES[rate.unit]] = str(rate.requests)
    return found


_RATES = {RateUnit.SECOND: "limit-rps", RateUnit.MINUTE: "limit-rpm"}


def _spoken(endpoint: ResolvedEndpoint) -> dict[str, str] | Problem:
    """The annotation for what the pod speaks; WebSocket needs none."""
    if not speaks_http2(endpoint):
        return {}
    if endpoint.protocol is not AppProtocol.GRPC:
        return unsupported(endpoint, "nginx speaks HTTP/2 to pods for gRPC only; set appProtocol to grpc or http")
    if endpoint.backend_tls:
        # The template has proxy_ssl_verify, which grpc_pass does not obey, and no grpc_ssl_verify.
        return unsupported(
            endpoint,
            "ingress-nginx does not verify the certificates of pods that speak gRPC, as encryptHttp demands; serve it "
            "as a TCP endpoint (without httpPath), or in a Space without encryptHttp",
        )
    return {"backend-protocol": "GRPC"}


def _authority(space: SpaceFacts) -> str:
    """The name of the Secret with the authority that verifies the Space's pods."""
    return f"decco-ca-{names.edge_digest(space.uid)}"


DIALECT = Nginx()
