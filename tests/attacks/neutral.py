"""Which variables of the policies on tenants' objects are mutated, and how: one line each.

A validation of these policies is an empty list or a false condition that many variables add to. Each of them is
necessary if a row is answered differently when it has a neutral value.
"""

from __future__ import annotations

from typing import NamedTuple


class Neutral(NamedTuple):
    """``opens``: whether the value lets an attack pass, or refuses honest work. ``about``: words in what or path of the
    rows that notice it.
    """

    policy: str
    variable: str
    value: str
    opens: bool
    about: str


NEUTRAL: tuple[Neutral, ...] = (
    Neutral("tenant-hostnames", "unchanged", "true", True, "takes a name into its Ingress"),
    Neutral("tenant-hostnames", "unchanged", "false", False, "labels an old Ingress"),
    Neutral("tenant-hostnames", "exact", "[]", False, "single.evil.test of grants"),
    Neutral("tenant-hostnames", "subtrees", "[]", False, "names its own"),
    Neutral("tenant-hostnames", "wildcards", "[]", False, "wild.evil.test of grants"),
    Neutral("tenant-hostnames", "ownIssuer", "true", True, "certifies s"),
    Neutral("tenant-hostnames", "ownIssuer", "false", False, "by its Issuer"),
    Neutral("tenant-hostnames", "local", '"^$"', False, "certifies"),
    Neutral("tenant-hostnames", "ofIngress", "[]", True, "/ingresses"),
    Neutral("tenant-hostnames", "ofListeners", "[]", True, "gateway.networking.k8s.io/v1/namespaces/evil1/gateways"),
    Neutral("tenant-hostnames", "elsewhere", "false", True, "another's Gateway"),
    Neutral("tenant-hostnames", "elsewhere", "true", False, "attaches in its namespace"),
    Neutral("tenant-hostnames", "ofRoute", "[]", True, "/httproutes"),
    Neutral("tenant-hostnames", "ofCertificate", "[]", True, "/certificates"),
    Neutral("tenant-hostnames", "ofChallenge", "[]", True, "/challenges"),
    Neutral("tenant-hostnames", "ofTraefik", "[]", True, "/ingressroutes"),
    Neutral("tenant-hostnames", "ofVirtualService", "[]", True, "/virtualservices"),
    Neutral("tenant-hostnames", "ofIstioGateway", "[]", True, "networking.istio.io/v1/namespaces/evil1/gateways"),
    Neutral("tenant-routes", "unchanged", "true", True, "takes a port of decco's form"),
    Neutral("tenant-routes", "ownIssuer", "true", True, "has isCA"),
    Neutral("tenant-routes", "ownIssuer", "false", False, "by its Issuer"),
    Neutral("tenant-routes", "ofRoute", "[]", True, "refers to bank, middleware"),
    Neutral("tenant-routes", "ofMiddleware", "[]", True, "refers to bank, chain"),
    Neutral("tenant-routes", "ofService", "[]", True, "refers to bank, weighted"),
    Neutral("tenant-routes", "ofProxy", "[]", True, "refers to bank, include"),
    Neutral("tenant-routes", "credentials", "[]", True, "connects with"),
    Neutral("tenant-routes", "destinations", "[]", True, "sends http"),
    Neutral("tenant-routes", "backends", "[]", True, "sends to"),
    Neutral("tenant-routes", "called", "[]", True, "forwardAuth"),
    Neutral("tenant-kinds", "unchanged", "true", True, "changes a closed kind"),
    Neutral("tenant-kinds", "unchanged", "false", False, "labels a closed kind"),
    Neutral("tenant-annotations", "exact", "[]", False, "single.evil.test of grants"),
    Neutral("tenant-annotations", "subtrees", "[]", False, "its own names"),
    Neutral("tenant-annotations", "wildcards", "[]", False, "wild.evil.test of grants"),
    Neutral("tenant-annotations", "hasTemplate", "false", True, "deployments"),
    Neutral("tenant-annotations", "solvers", "false", True, "issuers"),
    Neutral("tenant-annotations", "content", "true", True, "server-snippet"),
    Neutral("tenant-annotations", "content", "false", False, "records"),
    Neutral("tenant-annotations", "copies", "[]", True, "copied"),
    Neutral("tenant-annotations", "atEdge", "[]", True, "server-snippet"),
    Neutral("tenant-annotations", "atAddresses", "[]", True, "static-ip"),
    Neutral("tenant-annotations", "atBalancers", "[]", True, "load-balancer-id"),
    Neutral("tenant-services", "unchanged", "true", True, "gives its Service"),
    Neutral("tenant-services", "unchanged", "false", False, "labels an old Service"),
    Neutral("tenant-network", "unchanged", "true", True, "opens its policy"),
    Neutral("tenant-network", "unchanged", "false", False, "labels an old policy"),
    Neutral("tenant-network", "project", '""', False, "allows its project"),
    Neutral("tenant-network", "limited", "false", True, "reaches"),
    Neutral("tenant-network", "limited", "true", False, "opens egress of an open Space"),
    Neutral("tenant-pods", "affinities", "[[]]", True, "keeps everybody off a zone"),
    Neutral("tenant-pods", "foreign", "[[]]", True, "keeps everybody off a zone"),
    Neutral("tenant-pods", "reaching", "false", True, "keeps everybody off a zone"),
    Neutral("tenant-pods", "reaching", "true", False, "spreads its own pods"),
    Neutral("space-pods", "level", '"UserNamespace"', True, "in a user namespace only"),
    Neutral("space-pods", "level", '"Sandboxed"', False, "in a user namespace"),
    Neutral("space-pods", "sandboxes", '["kata", "runc"]', True, "no sandbox"),
    Neutral("space-pods", "sandboxes", "[]", False, "sandbox"),
    Neutral("space-pods", "runtimeClass", '"kata"', True, "without anything"),
    Neutral("space-pods", "runtimeClass", '""', False, "in the first sandbox"),
    Neutral("space-pods", "hasUserNamespace", "true", True, "in the node's user namespace"),
    Neutral("space-pods", "hasUserNamespace", "false", False, "in a user namespace"),
    Neutral("tenant-children", "child", "false", True, "changes a child"),
    Neutral("tenant-children", "workload", "false", False, "annotates a child"),
    Neutral("tenant-children", "sameMeta", "true", True, "annotates a child"),
    Neutral("tenant-children", "sameSpec", "true", True, "changes a child"),
    Neutral("tenant-children", "sameRest", "true", True, "changes a child"),
    Neutral("tenant-children", "sameTemplate", "true", True, "changes its pods"),
    Neutral("tenant-children", "sameTemplate", "false", False, "restarts"),
    Neutral("tenant-children", "freeFields", "[]", False, "sets replicas"),
    Neutral("tenant-children", "hasTemplate", "false", True, "lets pods have decco's label"),
)
