"""Annotations of ingress-nginx: what is converted, what decco does anyway, and what has no counterpart.

Values are not repeated in messages: snippets and headers may contain passwords.
https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
"""

from __future__ import annotations

import re

from decco.api.durations import LONGEST, seconds
from decco.api.limits import MAX_CLIENT_CIDRS
from decco.frozen import frozen
from decco.importing.namespace import limits
from decco.importing.namespace.inventory import Part
from decco.importing.namespace.limits import PREFIX
from decco.text import LONGEST_VALUE, escape

_EDGE = "limits of the Space hold for all of its Apps; what they do not have, settings of the edge limit, if at all"
_APP = "neither Space nor App has it: let the container do it, or a proxy in the same pod"
_RESTRICTED = re.compile(f"{re.escape(PREFIX)}/(auth-(type|url|tls-secret)|enable-global-auth|denylist-source-range)")
"""Who may send requests. Without these, paths that were for some would be open to anyone."""
_AUTH = "decco authenticates no users: let the container do it, or a proxy in the same pod"
_SESSION = "requests go to any pod of the App: keep sessions outside the pods, or use one pod"
_REASONS = (
    (r"auth-.*|enable-global-auth|satisfy", _AUTH),
    (r"affinity.*|session-cookie-.*|upstream-hash-by.*|load-balance", _SESSION),
    (
        r"limit-.*|global-rate-limit.*|client-.*|proxy-(request-)?buffer.*|proxy-max-temp.*",
        _EDGE,
    ),
    (
        r".*-snippet|enable-modsecurity|modsecurity-.*|enable-owasp-.*|lua-.*",
        "decco's routes take no configuration of one proxy: do it in the container, or by a policy of the edge",
    ),
    (
        r"server-alias|from-to-www-redirect",
        "further host names are httpHostnames of the Space: add them there with certificates; the container redirects",
    ),
    (
        r"canary-by-.*",
        "a canary gets a share of the requests and no chosen ones: only canary-weight is converted",
    ),
    (
        r"ssl-.*|proxy-ssl-.*|auth-tls-.*",
        "TLS at the edge is configured there, and TLS to the pod by encryptHttp of the Space",
    ),
)
_CONVERTED = (
    "canary canary-weight canary-weight-total rewrite-target use-regex backend-protocol ssl-passthrough "
    "proxy-read-timeout proxy-send-timeout proxy-http-version websocket-services"
)
_DONE = frozenset(
    {
        *(f"{PREFIX}/{name}" for name in _CONVERTED.split()),
        *limits.CONVERTED,
        "kubernetes.io/ingress.class",
        "kubectl.kubernetes.io/last-applied-configuration",
        "field.cattle.io/publicEndpoints",
    }
)
"""Converted below, or without an effect."""
OF_TOOLS = re.compile(
    r"kubectl\.kubernetes\.io/|([^/]+\.)?(meta\.helm\.sh|helm\.sh|argocd\.argoproj\.io|app\.kubernetes\.io|"
    r"cattle\.io|deployment\.kubernetes\.io|toolkit\.fluxcd\.io|autoscaling\.alpha\.kubernetes\.io)/"
)
"""Keys by which tools that write objects remember something: they write other objects from now on."""
_OWN_RECORDS = "decco publishes the FQDN and httpHostnames itself, if its settings have a DNS provider"
_ISSUER = (
    "decco takes certificates from Secrets of its own namespace, or has cert-manager issue them in the Space's: name "
    "the issuer in certificates.issuerRef of the Space and remove httpCertSecretName and certSecretName there, or have "
    "it write these Secrets to decco's namespace, labelled and annotated for the Space"
)
_PROTOCOLS = {"HTTP": None, "GRPC": "grpc"}


@frozen
class Behaviour:
    """What the annotations of one Ingress mean for its paths."""

    canary_weight: int | None = None
    """None if it is no canary."""
    rewrite: str = ""
    regex: bool = False
    protocol: str | None = None
    passthrough: bool = False
    idle_timeout: int = 0
    """Seconds, 0 for the edge's own."""
    restricted: bool = False
    """Whether only some may send requests, by a rule that decco cannot keep: the paths are not to be converted."""


def is_authenticated(ingress: Part) -> bool:
    """Whether something else than a list of networks decides who may send requests."""
    return any(_RESTRICTED.fullmatch(str(key)) for key in ingress.annotations)


def is_canary(ingress: Part) -> bool:
    return str(ingress.annotations.get(f"{PREFIX}/canary")) == "true"


def behaviour_of(ingress: Part, permitted: tuple[str, ...]) -> Behaviour:
    """With a remark on each annotation that is lost or changed. ``permitted``: the networks of the Space's clients, ()
    for all.
    """
    found = {str(key): str(value) for key, value in ingress.annotations.items()}
    clients, authenticated = limits.clients_of(ingress), is_authenticated(ingress)
    closed = clients != () and clients != permitted
    for key in found:
        _remark(ingress, key, found[key])
        if key in limits.CLIENTS:
            _remark_clients(ingress, key, clients, permitted, authenticated=authenticated)
    rewrite = found.get(f"{PREFIX}/rewrite-target", "")
    return Behaviour(
        canary_weight=_canary(ingress, found),
        rewrite=rewrite,
        regex=bool(rewrite) or found.get(f"{PREFIX}/use-regex") == "true",
        protocol=_protocol(ingress, found),
        passthrough=found.get(f"{PREFIX}/ssl-passthrough") == "true",
        idle_timeout=_timeout(ingress, found),
        restricted=closed or authenticated,
    )


def annotation_at(key: str) -> str:
    return f"metadata.annotations[{escape(key)[: 4 * LONGEST_VALUE]}]"


def _remark(ingress: Part, key: str, value: str) -> None:
    domain = key.partition("/")[0]
    if key in _DONE or domain.endswith(("meta.helm.sh", "argocd.argoproj.io", "app.kubernetes.io")):
        return
    if _RESTRICTED.fullmatch(key):
        ingress.remark(
            annotation_at(key),
            "restricted-paths",
            "it decides who may send requests, and decco does not: the paths of this Ingress are left out, because "
            "they would "
            "be open to anyone; let the container decide, and add httpPath to its endpoint",
        )
    elif key in (f"{PREFIX}/ssl-redirect", f"{PREFIX}/force-ssl-redirect"):
        if value != "true":
            _lost(ingress, key, "decco always redirects HTTP to HTTPS")
    elif domain in ("cert-manager.io", "acme.cert-manager.io") or key == "kubernetes.io/tls-acme":
        ingress.remark(annotation_at(key), "done-by-decco", _ISSUER)
    elif domain.endswith(("external-dns.alpha.kubernetes.io", "external-dns.kubernetes.io")):
        ingress.remark(annotation_at(key), "done-by-decco", _OWN_RECORDS)
    elif key.startswith(f"{PREFIX}/"):
        name = key.removeprefix(f"{PREFIX}/")
        reason = next((text for pattern, text in _REASONS if re.fullmatch(pattern, name)), _APP)
        _lost(ingress, key, reason)
    else:
        _lost(ingress, key, "decco's routes take no annotations of an Ingress; see whether the edge needs it")


def _remark_clients(
    ingress: Part, key: str, clients: tuple[str, ...] | None, permitted: tuple[str, ...], *, authenticated: bool
) -> None:
    if authenticated:
        text = (
            "it does not become limits.clientCidrs, because the paths of this Ingress are left out for their "
            "authentication; let the container decide by address too, or set limits.clientCidrs, which holds for the "
            "whole Space"
        )
        ingress.remark(annotation_at(key), "restricted-paths", text)
    elif clients is None:
        text = (
            f"it is no list of 1 to {MAX_CLIENT_CIDRS} networks under one annotation, so it does not become "
            "limits.clientCidrs, and the paths of this Ingress are left out, because they would be open to anyone; "
            "write it as networks such as 10.0.0.0/8, separated by commas, and import again"
        )
        ingress.remark(annotation_at(key), "restricted-paths", text)
    elif clients != permitted:
        text = (
            "limits.clientCidrs holds for the whole Space, and not all Ingresses have the same networks here: the "
            "paths of this Ingress are left out, because they would be open to anyone; have a Space of their own for "
            "them, or let the container decide, and add httpPath to its endpoint"
        )
        ingress.remark(annotation_at(key), "restricted-paths", text)
    else:
        text = "it becomes limits.clientCidrs of the Space; where the edge does not keep that, nothing is served"
        ingress.remark(annotation_at(key), "limit-converted", text)


def _lost(ingress: Part, key: str, reason: str) -> None:
    ingress.remark(annotation_at(key), "annotation-without-counterpart", reason)


def _canary(ingress: Part, found: dict[str, str]) -> int | None:
    if not is_canary(ingress):
        return None
    total = _number(found.get(f"{PREFIX}/canary-weight-total"), 100) or 100
    weight = _number(found.get(f"{PREFIX}/canary-weight"), 0)
    return min(100, round(100 * weight / total))


def _protocol(ingress: Part, found: dict[str, str]) -> str | None:
    given = found.get(f"{PREFIX}/backend-protocol", "HTTP").upper()
    if given not in _PROTOCOLS:
        _lost(
            ingress,
            f"{PREFIX}/backend-protocol",
            "the edge speaks HTTP or, with appProtocol, h2c and gRPC to a pod, and TLS only to decco's sidecar "
            "(encryptHttp of the Space): let the container serve plain text, or use ssl-passthrough",
        )
    return _PROTOCOLS.get(given)


def _timeout(ingress: Part, found: dict[str, str]) -> int:
    names = [f"{PREFIX}/proxy-read-timeout", f"{PREFIX}/proxy-send-timeout"]
    for name in names:
        if name in found and not _number(found[name], 0):
            _lost(ingress, name, "it is not a whole number of seconds, so ingress-nginx ignores it: set timeouts.idle")
    longest = max(_number(found.get(name), 0) for name in names)
    given = [name for name in names if _number(found.get(name), 0)]
    if len({_number(found[name], 0) for name in given}) > 1:
        text = f"reading and writing have one timeouts.idle, and it is the longer of the two: {longest}s"
        ingress.remark(annotation_at(names[0]), "timeout-changed", text)
    if longest > (most := int(seconds(LONGEST))):
        for name in given:
            if _number(found[name], 0) > most:
                ingress.remark(
                    annotation_at(name), "timeout-changed", f"timeouts.idle is at most {LONGEST}, so it becomes that"
                )
    return min(longest, most)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,9}", text) else default
