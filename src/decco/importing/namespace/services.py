"""Services that stay Services: clients inside the Space find them by the names and ports that they had.

decco opens no port to the outside for them. A Service of another type, or to somewhere else, has no counterpart:
tenants may not have it (manifests/policies/tenant-services.yaml).
"""

from __future__ import annotations

import re

from decco.importing.fields import as_object, as_objects
from decco.importing.namespace.annotations import OF_TOOLS, annotation_at
from decco.importing.namespace.backends import by_kept_labels, selected
from decco.importing.namespace.inventory import Inventory, Part
from decco.importing.parts import named
from decco.objects import LABEL_APP, Obj
from decco.text import LONGEST_VALUE, escape, shown

_OF_DECCO = re.compile("(.*-)?[0-9a-f]{8,}")
"""Port names that tenants may not give."""
_KEPT = (
    *("sessionAffinity", "sessionAffinityConfig", "publishNotReadyAddresses"),
    *("trafficDistribution", "internalTrafficPolicy"),
)
_DEFAULTS = {
    "sessionAffinity": "None",
    "internalTrafficPolicy": "Cluster",
    "externalTrafficPolicy": "Cluster",
    "ipFamilyPolicy": "SingleStack",
}
_TAKEN = frozenset({"type", "selector", "ports", "clusterIP", "clusterIPs", "externalName"})
_OF_THE_SERVER = frozenset({"ipFamilies", "healthCheckNodePort", "allocateLoadBalancerNodePorts"})
"""What the API server gives by itself; without the type it means nothing."""
_LOST = {
    "externalIPs": "clients outside reach an App by the edge: add an endpoint",
    "loadBalancerIP": "clients outside reach an App by the address of the edge",
    "loadBalancerClass": "clients outside reach an App by the edge",
    "loadBalancerSourceRanges": "limits.clientCidrs of the Space are the networks of clients of all of its endpoints",
    "externalTrafficPolicy": "clients outside reach an App by the edge",
    "ipFamilyPolicy": "the Service has the families of the cluster's default: set it there yourself",
}
_ANNOTATION = "the Service is made without it: set it there yourself, if something in the new namespace reads it"
_RECORD = "decco publishes the names of endpoints: add an endpoint with createDnsRecord and hostname to the App"


def is_headless(service: Part) -> bool:
    return service.spec.get("clusterIP") == "None"


def only_port(service: Part) -> Obj | None:
    """The port of a Service with one TCP port."""
    ports = [port for _, port in as_objects(service.spec.get("ports"))]
    return ports[0] if len(ports) == 1 and ports[0].get("protocol", "TCP") == "TCP" else None


def remark_on_service(service: Part, *, replaced: bool) -> None:
    """What the Service of the new namespace does not have. ``replaced``: that is the one of an endpoint."""
    for key in service.annotations:
        if not OF_TOOLS.match(str(key)):
            of_dns = str(key).startswith("external-dns.")
            text = _RECORD if of_dns else _ANNOTATION
            service.remark(annotation_at(str(key)), "annotation-without-counterpart", text)
    known = {*_TAKEN, *_OF_THE_SERVER, *(() if replaced else _KEPT)}
    for name, value in service.spec.items():
        if name in known or value in (None, False, [], {}) or value == _DEFAULTS.get(name):
            continue
        text = _LOST.get(name, "the Service of the endpoint does not have it" if replaced else "is left out")
        service.remark(f"spec.{escape(name)[:LONGEST_VALUE]}", "service-without-counterpart", text)


def keep_service(service: Part, inventory: Inventory, namespace: str) -> None:
    """Adds the Service of the new namespace, or a remark that says why there is none."""
    spec, remark = service.spec, service.remark
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName":
        remark(
            "spec.type",
            "service-without-counterpart",
            "ExternalName leads out of the Space: let an App connect to the name itself, or by TLS with tlsEgresses",
        )
        return
    selector = as_object(spec.get("selector"))
    if not selector:
        remark(
            "spec.selector",
            "service-without-counterpart",
            "absent: addresses of one's own choice are not permitted in a Space; let Apps connect to them directly, "
            "and list "
            "them in egressCidrs if the Space has egressPolicy Declared",
        )
        return
    workloads = selected(inventory, selector)
    if not workloads:
        remark(
            "spec.selector",
            "backend-not-found",
            "selects no pods of a Deployment, StatefulSet or Job of the input: left out",
        )
        return
    if kind in ("LoadBalancer", "NodePort"):
        remark(
            "spec.type",
            "service-without-counterpart",
            f"{kind} becomes ClusterIP, so nothing outside the Space reaches it: for clients outside add an endpoint "
            f"without "
            "httpPath to the App, which is TLS at a host name",
        )
    made = named("v1", "Service", service.name, namespace)
    if len(workloads) == 1:
        selector = {LABEL_APP: workloads[0].name}
    elif not all(by_kept_labels(workload, selector) for workload in workloads):
        remark(
            "spec.selector",
            "service-without-counterpart",
            "selects by a label that no App may have, and by it the pods of several: give these pods a label of your "
            "own",
        )
        return
    made["spec"] = {
        **({"clusterIP": "None"} if is_headless(service) else {}),
        **{
            name: spec[name]
            for name in _KEPT
            if spec.get(name) is not None and spec[name] is not False and spec[name] != _DEFAULTS.get(name)
        },
        "selector": selector,
        "ports": [_port(service, at, port) for at, port in as_objects(spec.get("ports"))],
    }
    service.imported.extras.append(made)
    names = " and ".join(workload.name for workload in workloads)
    remark(
        "", "service-kept", f"stays a Service of the Space's pods, to the pods of {names}; only the Space reaches it"
    )


def _port(service: Part, at: int, port: Obj) -> Obj:
    made = {name: value for name, value in port.items() if name != "nodePort" and value is not None}
    if made.get("protocol") == "TCP":
        del made["protocol"]
    if "targetPort" in made and made["targetPort"] == made.get("port"):
        del made["targetPort"]
    if _OF_DECCO.fullmatch(str(made.get("name", ""))):
        new = f"port-{made.get('port')}"
        text = f"{shown(str(made['name']))} becomes {new}, since tenants may not give a name of that form"
        service.remark(f"spec.ports[{at}].name", "service-without-counterpart", f"{text}: change clients that name it")
        made["name"] = new
    return made
