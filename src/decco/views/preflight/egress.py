"""Checks of Spaces whose egress is limited: the cluster's DNS, addresses that names could open, others' policies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from decco.api.egress import EgressPolicy
from decco.desired.address_rules import canonical_address, refusal
from decco.desired.model import EgressPhase
from decco.desired.outgoing import phase_of
from decco.forms import parse_pods
from decco.objects import (
    ENDPOINT_SLICES,
    FIELD_MANAGER,
    LABEL_MANAGED_BY,
    NETWORK_POLICIES,
    PODS,
    Obj,
    key_of,
    labels_of,
)
from decco.text import abbreviated
from decco.views.findings import Finding
from decco.views.preflight.model import NODES, ClusterContext

_OF_THE_API = "kubernetes.io/service-name=kubernetes"
_SHOWN = 3


async def egress(context: ClusterContext) -> AsyncIterator[Finding]:
    """Nothing is checked where no Space limits its egress."""
    found = (await context.spaces()).understood
    spaces = [space.name for space in found if space.spec.egress_policy is EgressPolicy.DECLARED]
    if not spaces:
        yield Finding("egress", "no Space limits it")
        return
    async for finding in _dns(context):
        yield finding
    async for finding in _addresses(context):
        yield finding
    async for finding in _policies(context, frozenset(spaces)):
        yield finding


async def _dns(context: ClusterContext) -> AsyncIterator[Finding]:
    settings = context.settings.egress
    found: list[Obj] = []
    for namespace, label, value in map(parse_pods, settings.dns_pods):
        pods = [pod async for pod in context.objects_if_served(PODS, namespace=namespace, labels=f"{label}={value}")]
        found += [pod for pod in pods if labels_of(pod).get(label) == value]
    places = ", ".join(settings.dns_pods) or "nothing"
    if not found:
        text = (
            f"no pod of the cluster's DNS is found ({places}), and pods of Spaces with limited egress find no names: "
            "set egress.dnsPods, or egress.dnsAddresses where DNS is not in pods"
        )
        yield Finding("egress dns", text, "egress-dns-missing")
        return
    ports = {port for pod in found for port in _udp_ports(pod)}
    if ports and ports.isdisjoint(settings.dns_ports):
        listed = ", ".join(map(str, sorted(ports)))
        text = (
            f"the pods of the cluster's DNS listen on {listed}, which egress.dnsPorts does not have: add the right one"
        )
        yield Finding("egress dns", text, "egress-dns-missing")
        return
    yield Finding("egress dns", f"{len(found)} pods of {places}")


def _udp_ports(pod: Obj) -> Iterator[int]:
    containers: Iterable[dict[str, Any]] = (pod.get("spec") or {}).get("containers") or ()
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("protocol") == "UDP":
                yield port["containerPort"]


async def _addresses(context: ClusterContext) -> AsyncIterator[Finding]:
    """Whether a tenant's name could lead to a node, or to the API server."""
    texts = [
        str(each.get("address"))
        async for node in context.objects_if_served(NODES)
        for each in (node.get("status") or {}).get("addresses") or ()
    ]
    texts += [
        str(address)
        async for found in context.objects_if_served(ENDPOINT_SLICES, namespace="default", labels=_OF_THE_API)
        if labels_of(found).get("kubernetes.io/service-name") == "kubernetes"
        for each in found.get("endpoints") or ()
        for address in each.get("addresses") or ()
    ]
    addresses = sorted({address for text in texts if (address := canonical_address(text)) is not None})
    opened = [address for address in addresses if not refusal(address, context.settings.egress)]
    if opened:
        text = (
            f"a name in tlsEgresses may lead to nodes or the API server ({abbreviated(opened, _SHOWN)}): add "
            "their networks to egress.refusedCidrs"
        )
        yield Finding("egress names", text, "egress-address-open")
    else:
        yield Finding("egress names", "none may lead to nodes or the API server")


async def _policies(context: ClusterContext, spaces: frozenset[str]) -> AsyncIterator[Finding]:
    """NetworkPolicies add up: an older one of a tenant still opens what it opened."""
    found = [
        str(key_of(policy))
        async for policy in context.objects_if_served(NETWORK_POLICIES)
        if key_of(policy).namespace in spaces
        and labels_of(policy).get(LABEL_MANAGED_BY) != FIELD_MANAGER
        and phase_of(policy) is not EgressPhase.UNLIMITED
        and (policy.get("spec") or {}).get("egress")
    ]
    if found:
        text = f"policies of others open egress too ({abbreviated(sorted(found), _SHOWN)}): review them"
        yield Finding("egress policies", text, "egress-policy-of-others")
