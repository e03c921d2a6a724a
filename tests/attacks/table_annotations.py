"""Annotations that name hosts, inject configuration, or refer to other namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, edit, flat, merged
from tests.attacks.tenants import (
    BANK,
    BELOW,
    EXTERNAL_DNS,
    GATEWAY,
    HAPROXY,
    INGRESSES,
    NGINX,
    OWN,
    ROUTE,
    SERVICE,
    SERVICES,
    SPEC,
    TRAEFIK,
    VIRTUAL,
    gateway,
    ingress,
    made,
    one,
    path,
    route,
    rule,
    template,
)
from tests.attacks.world import app, apps


def bearers(notes: Obj) -> list[tuple[str, Obj]]:
    """Objects of all kinds with the annotations, at each place from which they reach an object that is read."""
    meta: Obj = {"annotations": notes}
    pods: Obj = {"selector": {"matchLabels": {"a": "b"}}, "template": template(notes)}
    job: Obj = {"template": {**template(notes), "spec": {**SPEC, "restartPolicy": "Never"}}}
    return [
        (SERVICES, made(SERVICES, SERVICE, meta=meta)),
        (INGRESSES, merged(ingress(OWN), {"metadata": meta})),
        (GATEWAY, merged(gateway(OWN), {"metadata": meta})),
        (GATEWAY, gateway(OWN, infrastructure={"annotations": notes})),
        (ROUTE, merged(route(ROUTE, OWN), {"metadata": meta})),
        ("ingressroutes.traefik.io", merged(rule(f"Host(`{OWN}`)"), {"metadata": meta})),
        (VIRTUAL, merged(made(VIRTUAL, {"hosts": [OWN]}), {"metadata": meta})),
        ("pods", made("pods", SPEC, meta=meta)),
        ("deployments.apps", made("deployments.apps", pods)),
        ("daemonsets.apps", made("daemonsets.apps", pods)),
        ("replicasets.apps", made("replicasets.apps", pods)),
        ("statefulsets.apps", made("statefulsets.apps", {**pods, "serviceName": "s"})),
        ("jobs.batch", made("jobs.batch", job)),
        (
            "cronjobs.batch",
            made("cronjobs.batch", {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}),
        ),
        (
            "replicationcontrollers",
            made("replicationcontrollers", {"selector": {"a": "b"}, "template": template(notes)}),
        ),
        ("apps.decco.platform9.com", app("n", "evil1", podMetadata={"annotations": notes})),
        ("apps.decco.platform9.com", app("n", "evil1", meta)),
        (
            "issuers.cert-manager.io",
            made(
                "issuers.cert-manager.io",
                {"acme": {"solvers": [{"http01": {"ingress": {"ingressTemplate": {"metadata": meta}}}}]}},
            ),
        ),
        (
            "issuers.cert-manager.io",
            made(
                "issuers.cert-manager.io",
                {"acme": {"solvers": [{"http01": {"ingress": {"podTemplate": {"metadata": meta}}}}]}},
            ),
        ),
    ]


MULTUS = "k8s.v1.cni.cncf.io/networks"
HOST_KEYS = (
    f"{EXTERNAL_DNS}/hostname",
    f"{EXTERNAL_DNS}/internal-hostname",
    f"{EXTERNAL_DNS}/cloudflare-custom-hostname",
    "external-dns.kubernetes.io/hostname",
    "dns.alpha.kubernetes.io/external",
    "cert-manager.io/common-name",
    "cert-manager.io/alt-names",
    "certmanager.k8s.io/common-name",
    f"{NGINX}/server-alias",
    f"{HAPROXY}/server-alias",
    f"{HAPROXY}/redirect-from",
    "ingress.kubernetes.io/server-alias",
    "appgw.ingress.kubernetes.io/hostname-extension",
    "konghq.com/host-aliases",
    f"{TRAEFIK}/router.tls.domains.0.main",
    f"{TRAEFIK}/router.tls.domains.12.sans",
    "domainName",
    "load-balancer.hetzner.cloud/hostname",
    "service.beta.kubernetes.io/do-loadbalancer-hostname",
    "kube-vip.io/loadbalancerHostname",
    "tailscale.com/hostname",
)
BAD_KEYS = (
    f"{NGINX}/server-snippet",
    f"{NGINX}/configuration-snippet",
    f"{NGINX}/stream-snippet",
    f"{NGINX}/auth-snippet",
    f"{NGINX}/modsecurity-snippet",
    f"{NGINX}/enable-modsecurity",
    f"{NGINX}/auth-url",
    f"{NGINX}/auth-signin",
    f"{NGINX}/auth-tls-match-cn",
    f"{NGINX}/mirror-target",
    f"{NGINX}/from-to-www-redirect",
    "nginx.org/server-snippets",
    "nginx.org/location-snippets",
    f"{HAPROXY}/config-backend",
    f"{HAPROXY}/config-frontend",
    f"{HAPROXY}/auth-url",
    f"{HAPROXY}/server-alias-regex",
    f"{HAPROXY}/tcp-service-port",
    "haproxy.org/backend-config-snippet",
    "haproxy.org/route-acl",
    f"{TRAEFIK}/router.pathmatcher",
    "alb.ingress.kubernetes.io/group.name",
    "alb.ingress.kubernetes.io/conditions.x",
    "getambassador.io/config",
    "cert-manager.io/ip-sans",
    "cert-manager.io/uri-sans",
    "cert-manager.io/literal-subject",
    "metallb.universe.tf/loadBalancerIPs",
    "metallb.universe.tf/allow-shared-ip",
    "lbipam.cilium.io/ips",
    "v1.multus-cni.io/default-network",
    "networking.gke.io/load-balancer-ip-addresses",
    "kubernetes.io/ingress.global-static-ip-name",
    "cert-manager.io/subject-organizations",
    "ingress.cilium.io/host-listener-port",
    "ingress.cilium.io/secure-node-port",
    "io.cilium.ingress/service-type",
    "nginx.org/listen-ports",
    "nginx.org/listen-ports-ssl",
    f"{HAPROXY}/agent-check-addr",
    f"{HAPROXY}/agent-check-send",
    f"{HAPROXY}/health-check-addr",
    f"{HAPROXY}/health-check-port",
    "loadbalancer.openstack.org/load-balancer-id",
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-id",
    "kubernetes.digitalocean.com/load-balancer-id",
    "kubernetes.io/elb.id",
    "service.kubernetes.io/tke-existed-lbid",
    "service.beta.kubernetes.io/azure-pip-name",
    "service.beta.kubernetes.io/azure-pip-prefix-id",
    "service.beta.kubernetes.io/azure-dns-label-name",
    "service.beta.kubernetes.io/azure-load-balancer-ipv4",
    "service.beta.kubernetes.io/aws-load-balancer-private-ipv4-addresses",
    "service.beta.kubernetes.io/aws-load-balancer-eip-allocations",
    "service.beta.kubernetes.io/scw-loadbalancer-id",
    "service.beta.kubernetes.io/linode-loadbalancer-nodebalancer-id",
    "service.beta.kubernetes.io/linode-loadbalancer-reserved-ipv4",
    "oci.oraclecloud.com/reserved-ips",
    "example.com/loadBalancerIP",
)
COPYING = (
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
    "reflector.v1.k8s.emberstack.com/reflection-auto-namespaces",
    "replicator.v1.mittwald.de/replicate-to",
    "replicator.v1.mittwald.de/replicate-to-matching",
    "kubed.appscode.com/sync",
)
"""On a Secret or ConfigMap: a controller with rights in all namespaces copies it."""
HONEST: tuple[tuple[str, str], ...] = (
    ("team", "a"),
    ("checksum/config", "0123"),
    ("prometheus.io/scrape", "true"),
    ("kubernetes.io/change-cause", "a {b}; `c`"),
    (f"{EXTERNAL_DNS}/ttl", "60"),
    (f"{EXTERNAL_DNS}/target", "192.0.2.1"),
    ("cert-manager.io/cluster-issuer", "letsencrypt"),
    (f"{NGINX}/rewrite-target", "/$2"),
    (f"{NGINX}/proxy-body-size", "8m"),
    (f"{NGINX}/whitelist-source-range", "10.0.0.0/8,192.168.0.0/16"),
    (f"{NGINX}/auth-secret", "s"),
    (f"{NGINX}/auth-secret", "evil1/s"),
    (f"{NGINX}/cors-allow-origin", "https://*.example.com"),
    (f"{HAPROXY}/rewrite-target", "/"),
    (f"{HAPROXY}/timeout-server", "50s"),
    (f"{HAPROXY}/balance-algorithm", "leastconn"),
    (f"{HAPROXY}/health-check-interval", "5s"),
    ("service.beta.kubernetes.io/aws-load-balancer-type", "external"),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/do-loadbalancer-protocol", "http"),
    ("kubernetes.io/elb.class", "union"),
    ("loadbalancer.openstack.org/proxy-protocol", "true"),
    (f"{TRAEFIK}/router.entrypoints", "websecure"),
    (MULTUS, "own, evil1/other@eth1"),
    (f"{TRAEFIK}/router.middlewares", "evil1-strip@kubernetescrd,evil1-auth@kubernetescrd"),
    ("kubectl.kubernetes.io/last-applied-configuration", f'{{"host":"{BANK}"}}'),
)
REFERENCES: tuple[tuple[str, str], ...] = (
    (f"{NGINX}/auth-secret", "bank/s"),
    (f"{NGINX}/auth-tls-secret", "bank/s"),
    (f"{NGINX}/proxy-ssl-secret", "evil1-prod/s"),
    (f"{NGINX}/fastcgi-params-configmap", "bank/c"),
    (f"{HAPROXY}/secure-verify-ca-secret", "bank/s"),
    (f"{HAPROXY}/auth-secret", "file:///etc/passwd"),
    ("haproxy.org/server-ca", "bank/s"),
    ("haproxy.org/cr-backend", "bank/s"),
    ("nginx.org/policies", "bank/p"),
    (f"{TRAEFIK}/router.middlewares", "bank-m@kubernetescrd"),
    (f"{TRAEFIK}/router.middlewares", "evil1-strip@kubernetescrd, bank-m@kubernetescrd"),
    (f"{TRAEFIK}/router.middlewares", "evil1-prod-m@kubernetescrd"),
    (f"{TRAEFIK}/router.tls.options", "bank-o@kubernetescrd"),
    (f"{TRAEFIK}/service.serverstransport", "bank-t@kubernetescrd"),
    (MULTUS, "bank/net"),
    (MULTUS, "own,evil1-prod/net@eth1"),
    (MULTUS, '[{"name": "net", "namespace": "bank"}]'),
)
VALUES: tuple[tuple[str, str], ...] = (
    (f"{NGINX}/rewrite-target", "/;} location /x {"),
    (f"{NGINX}/cors-allow-origin", "x\nreturn 200"),
    (f"{HAPROXY}/rewrite-target", "/x\n  use-server y"),
    (f"{TRAEFIK}/router.priority", "`1`"),
    ("ingress.kubernetes.io/app-root", "/x;"),
    (f"{HAPROXY}/balance-algorithm", "roundrobin http-request deny"),
    (f"{HAPROXY}/timeout-queue", "1s http-request deny"),
)


def annotations() -> Iterator[Attempt]:
    for resource, obj in bearers({f"{EXTERNAL_DNS}/hostname": f"{BELOW}, {OWN}.", "a": "b"}):
        yield from one("is annotated with its own names", p.OWNER, OK, resource, obj)
    for resource, obj in bearers({f"{EXTERNAL_DNS}/hostname": BANK}):
        yield from one("is annotated with another's name", p.OWNER, "DECCO-0662", resource, obj)
    # In podMetadata the CRD refuses keys of Kubernetes' domains before any policy.
    for resource, obj in bearers({"nginx.org/server-snippets": "x"}):
        yield from one("is annotated with a snippet", p.OWNER, "DECCO-0663", resource, obj)
    everywhere = bearers({})[:2]
    for key in HOST_KEYS:
        for value, expect in (
            (OWN, OK),
            (f"{OWN},{BANK}", "DECCO-0662"),
            (f"{OWN} *.victim.test", "DECCO-0662"),
            ("~^.*$", "DECCO-0662"),
        ):
            for resource, obj in everywhere:
                noted = merged(obj, {"metadata": {"annotations": {key: value}}})
                yield from one(f"has {key} {value}", p.KUBE_EDIT, expect, resource, noted)
    noted_pairs: tuple[tuple[Sequence[tuple[str, str]], str], ...] = (
        ([(key, "x") for key in BAD_KEYS], "DECCO-0663"),
        (VALUES, "DECCO-0664"),
        (REFERENCES, "DECCO-0665"),
        (HONEST, OK),
    )
    for pairs, expect in noted_pairs:
        for key, value in pairs:
            noted = merged(ingress(OWN), {"metadata": {"annotations": {key: value}}})
            yield from one(f"has {key} {value!r}", p.KUBE_EDIT, expect, INGRESSES, noted)
    for host, expect in (
        ("single.evil.test", OK),
        ("x.single.evil.test", "DECCO-0662"),
        ("a.wild.evil.test", OK),
        ("a.b.wild.evil.test", "DECCO-0662"),
    ):
        noted = made(SERVICES, SERVICE, meta={"annotations": {f"{EXTERNAL_DNS}/hostname": host}})
        yield from one(f"is annotated with {host} of grants", p.OWNER, expect, SERVICES, noted, "granted")
    for key in ("a", "team"):
        yield from edit(
            f"sets {key}", p.KUBE_EDIT, OK, path(SERVICES, name="own"), {"metadata": {"annotations": {key: "b"}}}
        )
    named: Obj = {"metadata": {"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}}}
    for resource in (SERVICES, INGRESSES, "deployments.apps"):
        yield from edit("takes a name later", p.KUBE_EDIT, "DECCO-0662", path(resource, name="own"), named)
    status = f"{path(SERVICES, name='own')}/status"
    yield from edit("takes a name by the status", p.OWNER, "DECCO-0662", status, named, ways=("merge", "put"))
    yield from edit(
        "labels an old Service", p.KUBE_EDIT, OK, path(SERVICES, name="old"), {"metadata": {"labels": {"a": "b"}}}
    )
    old = path(SERVICES, name="old")
    yield from edit("annotates an old Service", p.KUBE_EDIT, OK, old, {"metadata": {"annotations": {"team": "a"}}})
    lost = {"metadata": {"annotations": {f"{EXTERNAL_DNS}/hostname": f"{BANK},a.{BANK}"}}}
    yield from edit("changes the lost name of an old Service", p.KUBE_EDIT, "DECCO-0662", old, lost)
    moved = {"metadata": {"annotations": {f"{EXTERNAL_DNS}/internal-hostname": BANK}}}
    yield from edit("moves the lost name of an old Service", p.KUBE_EDIT, "DECCO-0662", old, moved)
    plugged = {"metadata": {"annotations": {"cni.example.com/ip": "10.0.0.1"}}}
    yield from edit("notes an address", p.OWNER, OK, f"{old}/status", plugged, ways=("merge", "put"))
    for who in (p.TENANT_A, p.KUBE_EDIT):
        noted = app("n", "evil1", podMetadata={"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}})
        yield from create("publishes another's name by pods", who, "DECCO-0662", apps("evil1"), noted)
        noted = app("n", "evil1", podMetadata={"annotations": {"team": "a", f"{EXTERNAL_DNS}/hostname": BELOW}})
        yield from create("publishes its own name by pods", who, OK, apps("evil1"), noted)
    exempt = made(SERVICES, SERVICE, meta={"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}})
    for who in (p.EXEMPT, p.ADMIN, p.CONTROLLER):
        yield from one("publishes another's name", who, OK, SERVICES, exempt)
    [copied] = [obj for resource, obj in bearers({f"{EXTERNAL_DNS}/hostname": BANK}) if resource == "replicasets.apps"]
    yield from one("copies an old template", p.DEPLOYMENTS, OK, "replicasets.apps", copied)
    many = {f"example.com/k{i}": "v" * 40 for i in range(4000)}
    large = merged(ingress(OWN), {"metadata": {"annotations": many}})
    yield from one("has 4,000 annotations", p.KUBE_EDIT, OK, INGRESSES, large)
    large = merged(large, {"metadata": {"annotations": {f"{EXTERNAL_DNS}/hostname": BANK}}})
    yield from one("has 4,001 annotations", p.KUBE_EDIT, "DECCO-0662", INGRESSES, large)


def copies() -> Iterator[Attempt]:
    for resource in ("secrets", "configmaps"):
        for key in COPYING:
            pushed = made(resource, meta={"annotations": {key: "bank"}})
            yield from create(f"has it copied by {key}", p.KUBE_EDIT, "DECCO-0665", path(resource), pushed)
        yield from one("has it copied as exempt", p.EXEMPT, OK, resource, pushed)
        stored = path(resource, name="web" if resource == "configmaps" else "decco-issued-http")
        later: Obj = {"metadata": {"annotations": {COPYING[0]: "true"}}}
        yield from edit("has a child copied", p.KUBE_EDIT, "DECCO-0665|DECCO-0651", stored, later, ways=("merge",))
        # What a controller notes on a copy that its setting demands, and cert-manager on what it issued.
        for key in ("reflector.v1.k8s.emberstack.com/reflects", "cert-manager.io/ip-sans", "cert-manager.io/alt-names"):
            noted = made(resource, meta={"annotations": {key: BANK}})
            yield from create(f"records {key}", p.CERT_MANAGER, OK, path(resource), noted)


ANNOTATION_ATTEMPTS = flat(annotations(), copies())
