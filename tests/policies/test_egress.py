"""Connections out of a Space with ``egressPolicy: Declared``, by an evaluator and an enforcer that are not decco's.

The policies are those that the real controller wrote. Every port of every target is in the table; what is not listed is
closed. The names of the egress are in the pod's hosts file, so that no DNS is needed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed import enforcer
from testbed.controlplane import ControlPlane
from testbed.enforcer import Enforcer
from testbed.evaluator import Peer, Question, open_ports
from testbed.prerequisites import POLICIES, reason
from tests.integration.harness import APIS, Cluster, Decco, eventually, pod
from tests.policies.rig import PODS, Attempt, Rig
from tests.policies.world import World, make_apps, make_pod, read
from tests.sample import full

SECRETS = {"tcpCertAndCaSecretName": "policies"}
CIDRS = [
    {"cidr": "198.51.100.0/24", "ports": [{"port": 5432}, {"port": 9000, "endPort": 9002, "protocol": "UDP"}]},
    {"cidr": "203.0.113.9/32"},
]
API, METADATA = "1.1.1.1", "169.254.169.254"
ALIASES = [{"ip": API, "hostnames": ["api.example.com"]}, {"ip": METADATA, "hostnames": ["meta.example.com"]}]
STORE = {
    "pod": pod(5432, 6443),
    "endpoints": [{"name": "db", "port": 5432}, {"name": "raw", "port": 6443, "disableTlsTermination": True}],
}
EGRESSES = [
    {"localPort": 7000, "endpoint": "db", "spaceName": "out-open"},
    {"localPort": 7001, "endpoint": "db", "spaceName": "out-theirs"},
    {"localPort": 7002, "fqdn": "raw.out-theirs.svc"},
    {"localPort": 7003, "fqdn": "api.example.com"},
    {"localPort": 7004, "fqdn": "meta.example.com"},
    {"localPort": 7005, "fqdn": "tool.foreign.svc"},
]
SHUT = {
    "caller": {"pod": pod(8080, hostAliases=ALIASES), "endpoints": [], "tlsEgresses": EGRESSES},
    "other": {"pod": pod(8080), "endpoints": [{"name": "site", "port": 8080, "disableTlsTermination": True}]},
    "batch": {
        "runAsJob": True,
        "pod": pod(restartPolicy="Never"),
        "endpoints": [],
        "tlsEgresses": [{"localPort": 7000, "fqdn": "raw.out-open.svc"}],
    },
}
ADDRESSES = {
    "api": API,
    "metadata": METADATA,
    "node-local DNS": "169.254.20.10",
    "in a CIDR": "198.51.100.7",
    "beside a CIDR": "198.51.101.7",
    "a single address": "203.0.113.9",
    "API server": "10.96.0.1",
    "world v6": "2001:db8:2::5",
}
EVERY = frozenset(
    {1, 53, 80, 443, 5432, 6443, 8080, 8500, 8999, 9000, 9001, 9002, 9003, 10250, 15008, 20000, 29999, 65535}
)
"""Asked for at each target, beside the port of the sidecar's listener."""

ASKED = [(port, port) for port in sorted(EVERY)]

# TCP ports that are open, "*" for all and "db" for where that endpoint listens; UDP the same after a slash.
OUT = """
to                    caller       other        batch        stray
out-shut/other        * / *        * / *        * / *        * / *
out-shut/stray        * / *        * / *        * / *        * / *
out-open/store        db / -       - / -        6443 / -     - / -
out-theirs/store      - / -        - / -        - / -        - / -
kube-system/coredns   53 / 53      53 / 53      53 / 53      53 / 53
kube-system/other     - / -        - / -        - / -        - / -
foreign/tool          - / -        - / -        - / -        - / -
edge-system/proxy     - / -        - / -        - / -        - / -
node-local_DNS        53 / 53      53 / 53      53 / 53      53 / 53
in_a_CIDR             5432 / 9000  5432 / 9000  5432 / 9000  5432 / 9000
beside_a_CIDR         - / -        - / -        - / -        - / -
a_single_address      * / *        * / *        * / *        * / *
api                   443 / -      - / -        - / -        - / -
metadata              - / -        - / -        - / -        - / -
API_server            - / -        - / -        - / -        - / -
world_v6              - / -        - / -        - / -        - / -
"""


@pytest.fixture(scope="module")
def out(cluster: Cluster, decco: Decco, strangers: list[str]) -> World:
    """The Spaces of this file, all of them settled."""
    cluster.make_space("out-shut", **SECRETS, egressPolicy="Declared", egressCidrs=CIDRS)
    cluster.make_space("out-open", **SECRETS)
    cluster.make_space("out-theirs", **SECRETS, project="theirs")
    wanted = [*strangers, *make_apps(cluster, "out-open", {"store": STORE})]
    wanted += make_apps(cluster, "out-theirs", {"store": STORE}) + make_apps(cluster, "out-shut", SHUT)
    for namespace, name, labels in (
        ("out-shut", "stray", {}),
        ("kube-system", "coredns", {"k8s-app": "kube-dns"}),
        ("kube-system", "other", {"k8s-app": "other"}),
    ):
        make_pod(cluster, namespace, name, 53, labels=labels)
        wanted.append(f"{namespace}/{name}")
    decco.settle()
    found = read(cluster, wanted)
    return replace(found, peers={**found.peers, **{name: Peer(ip=ip) for name, ip in ADDRESSES.items()}})


def listed(word: str, world: World, target: str) -> frozenset[int]:
    if word == "*":
        return EVERY | {world.port("out-open/store", "db") or 0}
    if word == "9000":
        return frozenset(range(9000, 9003))
    port = world.port(target, word) if word == "db" else None if word == "-" else int(word)
    return frozenset({port}) if port is not None else frozenset()


@full
def test_where_pods_of_a_limited_space_connect_to(out: World) -> None:
    head, *lines = [line.split() for line in OUT.strip().splitlines()]
    questions, expected = [], []
    asked = [*ASKED, (listener := out.port("out-open/store", "db") or 0, listener)]
    for target, *cells in lines:
        name = target.replace("_", " ")
        for app, (tcp, _, udp) in zip(head[1:], zip(cells[::3], cells[1::3], cells[2::3], strict=True), strict=True):
            if name == f"out-shut/{app}":
                continue  # a pod and itself
            for protocol, word in (("TCP", tcp), ("UDP", udp)):
                questions.append(Question(f"out-shut/{app}", name, protocol, asked))
                expected.append(listed(word, out, name))
    answers = open_ports(out.policies, out.peers, questions)
    wrong = [
        f"{each.source} to {each.to} {each.protocol}: {sorted(found)[:5]} of {len(found)}, expected {sorted(right)[:5]}"
        for each, found, right in zip(questions, answers, expected, strict=True)
        if found != right
    ]
    assert not wrong, "\n".join(wrong)


def test_an_open_space_and_connections_into_a_limited_one_are_as_they_were(out: World) -> None:
    questions = [Question("out-open/store", name, "TCP", ASKED) for name in ("in a CIDR", "metadata", "foreign/tool")]
    assert open_ports(out.policies, out.peers, questions) == [EVERY] * 3
    inward = [Question(source, "out-shut/other", "TCP", ASKED) for source in ("foreign/tool", "out-open/store", "api")]
    assert open_ports(out.policies, out.peers, inward) == [frozenset({8080})] * 3


NOT_ENFORCED = reason(*POLICIES) if os.geteuid() == 0 else ""
NOT_ENFORCED = NOT_ENFORCED or f"NetworkPolicies are not enforced: {enforcer.missing()}"
PLACES = (
    "out-shut/caller",
    "out-shut/other",
    "out-open/store",
    "out-theirs/store",
    "foreign/tool",
    "kube-system/coredns",
)
HOSTS = ("in a CIDR", "beside a CIDR", "api")
LONG_TIMEOUT, CURT = 20.0, 1.5


@pytest.fixture(scope="module")
def running(cluster: Cluster, out: World) -> World:
    """The pods Running, with the addresses that they have in the rig."""
    for name in PLACES:
        meta, ip = out.pods[name]["metadata"], out.peers[name].ip
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}
        cluster.patch(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status", {"status": status})
    found = read(cluster, PLACES)
    return replace(found, peers={**found.peers, **{name: Peer(ip=ADDRESSES[name]) for name in HOSTS}})


@pytest.fixture(scope="module")
def rig(running: World) -> Iterator[Rig]:
    addresses = {name: running.peers[name].ip for name in (*PLACES, *HOSTS)}
    ports = {name: {53, 443, 5432, 6443, 8080, 9999} for name in (*PLACES, *HOSTS)}
    for name in ("out-open/store", "out-theirs/store"):
        ports[name].add(running.port(name, "db") or 0)
    with Rig(Path(tempfile.mkdtemp(prefix="decco-rig-")), addresses, ports) as rig:
        yield rig


@pytest.mark.skipif(enforcer.missing() is not None, reason=NOT_ENFORCED)
def test_real_connections_out_of_a_limited_space(
    control_plane: ControlPlane, cluster: Cluster, running: World, rig: Rig
) -> None:
    caller, other = "out-shut/caller", "out-shut/other"
    store, db = "out-open/store", running.port("out-open/store", "db") or 0
    asked = [
        (caller, other, 9999, True),
        (other, caller, 9999, True),
        (caller, store, db, True),
        (caller, store, 5432, False),
        (caller, store, 6443, False),
        (other, store, db, False),
        (caller, "out-theirs/store", 6443, False),
        (caller, "foreign/tool", 443, False),
        (caller, "kube-system/coredns", 53, True),
        (caller, "kube-system/coredns", 443, False),
        (caller, "in a CIDR", 5432, True),
        (other, "in a CIDR", 5432, True),
        (caller, "in a CIDR", 443, False),
        (caller, "beside a CIDR", 5432, False),
        (caller, "api", 443, True),
        (caller, "api", 5432, False),
        (other, "api", 443, False),
        (store, "api", 443, True),
        ("foreign/tool", other, 8080, True),
    ]
    attempts = [
        Attempt(source, running.peers[to].ip, port, LONG_TIMEOUT if allowed else CURT)
        for source, to, port, allowed in asked
    ]
    free = rig.connect([replace(each, seconds=LONG_TIMEOUT) for each in attempts])
    assert [answer is not None for answer in free] == [True] * len(asked), "without an enforcer"
    with Enforcer(rig.processes, control_plane.kubeconfig, [str(PODS)], netns=rig.node):
        answers = rig.connect(attempts)
        assert [(*each[:3], answer is not None) for each, answer in zip(asked, answers, strict=True)] == asked
        path = f"{APIS}/namespaces/out-shut/apps/caller"
        api = next(each for each, row in zip(attempts, asked, strict=True) if row[1:3] == ("api", 443))
        cluster.patch(path, {"spec": {"tlsEgresses": EGRESSES[:1]}})
        eventually(lambda: rig.connect([replace(api, seconds=CURT)]) == [None], 30, "a removed egress closed")
        cluster.patch(path, {"spec": {"tlsEgresses": EGRESSES}})
        eventually(lambda: rig.connect([api]) == ["api"], 30, "an added egress open")
