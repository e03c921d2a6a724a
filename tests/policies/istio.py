"""What Istio's ambient mode decides about a connection, by its reference documentation and not by decco.

Sources: istio.io/latest/docs/reference/config/security/{authorization-policy,peer_authentication}, and the comments of
``security/v1beta1/*.proto`` of istio.io/api 1.32. Of layer 4 only, which is what ztunnel enforces; a field that it does
not know is an error and no answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]


class NotUnderstoodError(Exception):
    """A policy has something that this evaluator does not evaluate."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A workload in the mesh."""

    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """Who connects; without ``principal`` (<trust domain>/ns/<namespace>/sa/<account>) not by the mesh."""

    ip: str
    principal: str = ""

    @property
    def namespace(self) -> str:
        return self.principal.split("/")[2] if self.principal else ""


def permits(policies: Iterable[Obj], authentications: Iterable[Obj], client: Client, pod: Pod, port: int) -> bool:
    """Whether the pod accepts the connection."""
    if not client.principal and mtls_mode(authentications, pod, port) == "STRICT":
        return False
    return authorized(policies, client, pod, port)


def authorized(policies: Iterable[Obj], client: Client, pod: Pod, port: int) -> bool:
    """ "If there are any DENY policies that match the request, deny the request. If there are no ALLOW policies for the
    workload, allow the request. If any of the ALLOW policies match the request, allow the request. Deny the request."
    """
    mine = [policy["spec"] for policy in policies if _is_for(policy, pod)]
    by_action: dict[str, list[Obj]] = {"ALLOW": [], "DENY": []}
    for spec in mine:
        _only(spec, "selector", "action", "rules")
        action = spec.get("action", "ALLOW")
        if action not in by_action:
            raise NotUnderstoodError(f"action {action}")
        by_action[action].append(spec)
    if any(_matches(spec, client, port) for spec in by_action["DENY"]):
        return False
    return not by_action["ALLOW"] or any(_matches(spec, client, port) for spec in by_action["ALLOW"])


def mtls_mode(authentications: Iterable[Obj], pod: Pod, port: int) -> str:
    """The narrowest of namespace, workload and port that does not say UNSET; PERMISSIVE by default. Of several of one
    scope the oldest counts; decco writes one.
    """
    mode, of_workload = "PERMISSIVE", []
    for each in authentications:
        if not _is_for(each, pod):
            continue
        _only(each["spec"], "selector", "mtls", "portLevelMtls")
        if each["spec"].get("selector"):
            of_workload.append(each["spec"])
        else:
            mode = _mode(each["spec"].get("mtls"), mode)
    if len(of_workload) > 1:
        raise NotUnderstoodError("two PeerAuthentications of one workload")
    for spec in of_workload:
        mode = _mode(spec.get("mtls"), mode)
        mode = _mode((spec.get("portLevelMtls") or {}).get(str(port)), mode)
    return mode


def _mode(mtls: Obj | None, inherited: str) -> str:
    found = str((mtls or {}).get("mode", "UNSET"))
    return inherited if found == "UNSET" else found


def _is_for(policy: Obj, pod: Pod) -> bool:
    """ "The selector decides where to apply the policy": workloads of the policy's namespace, all if it is not set."""
    selector = policy["spec"].get("selector") or {}
    _only(selector, "matchLabels")
    return policy["metadata"]["namespace"] == pod.namespace and all(
        pod.labels.get(label) == value for label, value in (selector.get("matchLabels") or {}).items()
    )


def _matches(spec: Obj, client: Client, port: int) -> bool:
    """ "A match occurs when at least one rule matches the request. If not set, the match will never occur." """
    return any(_rule(rule, client, port) for rule in spec.get("rules") or ())


def _rule(rule: Obj, client: Client, port: int) -> bool:
    """ "A match occurs when at least one source, one operation and all conditions matches"; without ``from`` any."""
    _only(rule, "from", "to")
    sources, operations = rule.get("from"), rule.get("to")
    return (not sources or any(_source(each["source"], client) for each in sources)) and (
        not operations or any(_operation(each["operation"], port) for each in operations)
    )


def _source(source: Obj, client: Client) -> bool:
    """ "Fields in the source are ANDed together."  Identities need mutual TLS: without it no positive match occurs."""
    fields: dict[str, tuple[Callable[[str], bool], str]] = {
        "principals": (lambda value: _text(value, client.principal), "notPrincipals"),
        "namespaces": (lambda value: _text(value, client.namespace), "notNamespaces"),
        "ipBlocks": (lambda value: _in_block(client.ip, value), "notIpBlocks"),
    }
    _only(source, *fields, *(negative for _, negative in fields.values()))
    if not source:
        raise NotUnderstoodError("an empty source")
    return all(
        (not source.get(positive) or any(map(match, source[positive])))
        and not any(map(match, source.get(negative) or ()))
        for positive, (match, negative) in fields.items()
    )


def _operation(operation: Obj, port: int) -> bool:
    _only(operation, "ports", "notPorts")
    if not operation:
        raise NotUnderstoodError("an empty operation")
    ports = operation.get("ports")
    return (not ports or str(port) in ports) and str(port) not in (operation.get("notPorts") or ())


def _text(pattern: str, value: str) -> bool:
    """Exact, prefix ("abc*"), suffix ("*abc") and presence ("*") match."""
    if pattern == "*":
        return bool(value)
    if pattern.startswith("*"):
        return bool(value) and value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _in_block(ip: str, block: str) -> bool:
    network = ipaddress.ip_network(block)
    address = ipaddress.ip_address(ip)
    return address.version == network.version and address in network


def _only(value: Obj, *known: str) -> None:
    if unknown := value.keys() - set(known):
        raise NotUnderstoodError(f"unknown fields {sorted(unknown)}")
