"""ingress-nginx (kubernetes.github.io/ingress-nginx), started with ``--enable-ssl-passthrough``.

As soon as one Ingress of a host rewrites, ingress-nginx reads the paths of *all* Ingresses of that host as regular
expressions. So that an App's path does not change its meaning when another App begins to rewrite, each is written as a
regular expression from the start, escaped, and ending at the border of a segment. Where two match, ingress-nginx takes
the longer one, which among nested prefixes is the deeper. Regular expressions ignore case there: ``/Web`` is served as
``/web``.

The project was retired in 2026. Read from the source of v1.15, proven by golden files only.
"""

from __future__ import annotations

import re

from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.routing.dialect import (
    OTHER,
    Dialect,
    backend_of,
    below,
    http_ingress,
    passthrough_ingress,
    rewriting,
    unsupported,
    verifying_secret,
)

_REWRITABLE = re.compile(r"[-A-Za-z0-9/._~:]*")
"""What the controller accepts in rewrite-target (RegexPathWithCapture); anything else makes it drop the whole path."""
VERIFY_DEPTH = "4"
"""Certificates between the pod's and the authority; nginx' own 1 refuses a chain with two intermediates."""


class Nginx(Dialect):
    prefix = "nginx.ingress.kubernetes.io"
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

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        if "%" in endpoint.prefix:
            return unsupported(endpoint, "nginx compares paths after decoding them; choose an httpPath without %")
        annotations = {"force-ssl-redirect": "true", "use-regex": "true"}
        pattern = below(endpoint.prefix)
        if endpoint.rewrite is not None:
            if _REWRITABLE.fullmatch(endpoint.rewrite) is None:
                return unsupported(
                    endpoint,
                    "ingress-nginx takes only letters, digits and / - . _ ~ : in a rewritten path; change rewritePath",
                )
            pattern, before = rewriting(endpoint.prefix, endpoint.rewrite)
            annotations["rewrite-target"] = f"{before}$1"
        if endpoint.backend_tls:
            secret = verifying_secret(inputs, endpoint, "nginx")
            if isinstance(secret, Problem):
                return secret
            annotations |= {
                "backend-protocol": "HTTPS",
                "proxy-ssl-name": inputs.space.fqdn,
                "proxy-ssl-protocols": "TLSv1.2 TLSv1.3",
                "proxy-ssl-secret": f"{inputs.space.name}/{secret}",
                "proxy-ssl-server-name": "on",
                "proxy-ssl-verify": "on",
                "proxy-ssl-verify-depth": VERIFY_DEPTH,
            }
        backend = backend_of(endpoint)
        return [http_ingress(inputs, endpoint.name, {pattern: OTHER}, backend, self.named(annotations))]

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        # Without the redirect nginx would answer at port 80 too, and carry plain text from there to the pod.
        annotations = self.named({"force-ssl-redirect": "true", "ssl-passthrough": "true"})
        return [passthrough_ingress(inputs, endpoint, annotations)]


DIALECT = Nginx()
