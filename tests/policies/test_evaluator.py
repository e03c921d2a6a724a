"""The evaluator's results for NetworkPolicies, by examples with known answers."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.evaluator import EvaluatorFailed, Peer, Question, open_ports

Obj = dict[str, Any]

PEERS = {
    "server": Peer("10.0.0.1", "acme", {"kubernetes.io/metadata.name": "acme"}, {"app": "server"}),
    "mate": Peer("10.0.0.2", "acme", {"kubernetes.io/metadata.name": "acme"}, {"app": "mate"}),
    "guest": Peer("10.0.1.1", "away", {"kubernetes.io/metadata.name": "away", "team": "red"}, {"app": "mate"}),
    "near": Peer("172.17.0.9"),
    "except": Peer("172.17.1.9"),
    "near6": Peer("2001:db8::9"),
    "far": Peer("203.0.113.9"),
}
EVERYBODY = {*PEERS} - {"server"}


def policy(*ingress: Obj, **selector: str) -> Obj:
    return {
        "metadata": {"name": "p", "namespace": "acme"},
        "spec": {"podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress"], "ingress": list(ingress)},
    }


def port(number: int, protocol: str = "TCP", **more: int) -> Obj:
    return {"protocol": protocol, "port": number, **more}


CASES: dict[str, tuple[list[Obj], str, dict[int, set[str]]]] = {
    "no policy": ([], "TCP", {80: EVERYBODY}),
    "a policy for others": ([policy(app="other")], "TCP", {80: EVERYBODY}),
    "nothing comes in": ([policy()], "TCP", {80: set()}),
    "an empty rule is for all": ([policy({})], "UDP", {80: EVERYBODY}),
    "no peers is from everywhere": ([policy({"ports": [port(80)]})], "TCP", {80: EVERYBODY, 81: set()}),
    "the namespace itself": ([policy({"from": [{"podSelector": {}}]})], "TCP", {80: {"mate"}}),
    "policies add up": (
        [policy({"from": [{"podSelector": {}}]}), policy({"ports": [port(80)]}, app="server")],
        "TCP",
        {80: EVERYBODY, 81: {"mate"}},
    ),
    "a namespace by its name": (
        [policy({"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "away"}}}]})],
        "TCP",
        {80: {"guest"}},
    ),
    "a namespace by an expression": (
        [policy({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}]})],
        "TCP",
        {80: {"guest"}},
    ),
    "both selectors at once": (
        [
            policy(
                {
                    "from": [
                        {
                            "namespaceSelector": {"matchLabels": {"team": "red"}},
                            "podSelector": {"matchLabels": {"app": "server"}},
                        }
                    ]
                }
            )
        ],
        "TCP",
        {80: set()},
    ),
    "addresses": (
        [policy({"from": [{"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}}]})],
        "TCP",
        {80: {"near"}},
    ),
    "addresses, version 6": ([policy({"from": [{"ipBlock": {"cidr": "2001:db8::/64"}}]})], "TCP", {80: {"near6"}}),
    "a range of ports": (
        [policy({"ports": [port(80, endPort=82)]})],
        "TCP",
        {79: set(), 80: EVERYBODY, 82: EVERYBODY, 83: set()},
    ),
    "another protocol": ([policy({"ports": [port(80, "UDP")]})], "TCP", {80: set()}),
    "SCTP": ([policy({"ports": [port(80, "SCTP")]})], "SCTP", {80: EVERYBODY, 81: set()}),
    "a protocol without ports": ([policy({"ports": [{"protocol": "UDP"}]})], "UDP", {53: EVERYBODY}),
}


@pytest.mark.parametrize("name", CASES)
def test_known_answers(name: str) -> None:
    policies, protocol, wanted = CASES[name]
    sources = sorted(EVERYBODY)
    asked = [(port, port) for port in wanted]
    answers = open_ports(policies, PEERS, [Question(source, "server", protocol, asked) for source in sources])
    found = {port: {source for source, open_ in zip(sources, answers, strict=True) if port in open_} for port in wanted}
    assert found == wanted


@pytest.mark.parametrize(
    ("policies", "source", "words"),
    [
        ([], "nobody", "question 0 is about .*nobody.* not both among the peers"),
        ([{**policy(), "spec": {**policy()["spec"], "future": {}}}], "mate", "unknown field .*future"),
        ([policy({"from": [{"ipBlock": {"cidr": "everywhere"}}]})], "mate", "everywhere"),
    ],
)
def test_what_it_does_not_understand_is_no_answer(policies: list[Obj], source: str, words: str) -> None:
    with pytest.raises(EvaluatorFailed, match=words):
        open_ports(policies, PEERS, [Question(source, "server", "TCP", [(80, 80)])])
