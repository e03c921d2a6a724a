"""Connectivity: every port of every kind of App, from everywhere, as an evaluator sees it that is not decco's.

The policies are those that the real controller wrote on a real API server. What they must say is in two tables, written
by hand from the contract (Isolation): what kind of port each one is, and who reaches that kind.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from testbed.evaluator import Question, open_ports
from tests.integration.harness import Obj
from tests.policies.tenants import APPS, SPACES, STRAY, STRAY_PORT
from tests.policies.world import IMPOSTOR_LABELS, World, declared

# A port is a number, or an endpoint's name: then it is where that endpoint's Service leads.
#   routed   for clients: of everywhere, or of the project and the edge
#   metrics  for monitoring
#   closed   for the Space's own pods only
#   -        not there: the sidecar has no such listener
PORTS = """
app         port       plain    tls      bare
web         8080       routed   closed   routed     # encryptHttp: only the sidecar's listener is for the edge
web         site       routed   routed   routed
web         8081       closed   closed   closed     # the container declares it, no endpoint does
many        5432       closed   closed   closed     # plain text behind TLS; its cleartext Service is for the Space
many        db         routed   routed   -          # no certificate, no listener; never plain text instead
many        6443       routed   routed   routed     # the container speaks TLS itself
many        own-tls    routed   routed   routed
many        6444       routed   routed   routed
many        own-https  routed   routed   routed
many        9090       metrics  metrics  metrics
many        numbers    metrics  metrics  metrics
many        8080       routed   closed   routed
many        api        routed   routed   routed
many        3306       closed   closed   closed     # an egress listens on localhost only
short       9000       closed   closed   closed
short       short      routed   routed   -
short-http  9001       routed   closed   routed
short-http  short-http routed   routed   routed
closed      7000       closed   closed   closed     # no endpoints
client      5000       closed   closed   closed
batch       7443       closed   closed   closed     # a Job
batch       progress   routed   routed   -
names       5353       closed   closed   closed     # also a UDP port of the container
names       zones      routed   routed   -
stray       8080       closed   closed   closed     # a pod that is not decco's
"""
# In a bare Space encryptHttp is off, so its HTTP endpoints are as in a plain one.

# The client is a pod of each Space, of other namespaces, or an address. Columns: the project of the Space asked.
CLIENTS = """
client                   none     foo      bar
open-plain/client        routed   -        -
open-tls/client          routed   -        -
open-bare/client         routed   -        -
foo-plain/client         routed   routed   -
foo-tls/client           routed   routed   -
bar-plain/client         routed   -        routed
bar-bare/client          routed   -        routed
foo-plain/stray          routed   routed   -
edge-system/proxy        routed   routed   routed
edge_host                routed   routed   routed
edge_host_v6             routed   routed   routed
monitoring/prometheus    both     metrics  metrics
foreign/tool             routed   -        -
impostor/mimic           routed   -        -
beside_edge              routed   -        -
world                    routed   -        -
world_v6                 routed   -        -
"""
# Whoever is a pod of the Space asked reaches everything in it, whatever the table says.

UNDECLARED = (1, 53, 80, 443, 10250, 15008, 20000, 29999, 30000, 65535)
"""Tested on every pod, with every port that any pod declares."""
PROTOCOLS = ("TCP", "UDP", "SCTP")
REACHES = {"-": set[str](), "both": {"routed", "metrics"}}

Cell = tuple[str, str, int, str]
"""From, to, port, protocol."""


def rows(table: str) -> list[list[str]]:
    """The words of each line but the first, without comments."""
    lines = [line.split("#")[0].split() for line in table.strip().splitlines()]
    return lines[1:]


def clients() -> dict[str, dict[str, set[str]]]:
    """What kinds of ports a client reaches, by the project of the server."""
    return {
        row[0].replace("_", " "): {
            project: REACHES.get(mark, {mark}) for project, mark in zip(("none", "foo", "bar"), row[1:], strict=True)
        }
        for row in rows(CLIENTS)
    }


def kinds(world: World, target: str) -> dict[int, str]:
    """The kind of each port of a pod that the table names."""
    space, app = target.split("/")
    column = ("plain", "tls", "bare").index(space.split("-")[1]) + 2
    found: dict[int, str] = {}
    for row in rows(PORTS):
        if row[0] != app:
            continue
        port = world.port(target, int(row[1]) if row[1].isdigit() else row[1])
        assert (port is None) == (row[column] == "-"), f"{target}: endpoint {row[1]} leads to port {port}"
        if port is not None:
            assert found.setdefault(port, row[column]) == row[column], f"{target}: the table contradicts itself: {row}"
    return found


def targets() -> list[str]:
    return [f"{space}/{app}" for space in SPACES for app in (*APPS, STRAY)]


def universe(world: World) -> list[int]:
    ports = set(UNDECLARED)
    for target in targets():
        ports |= set(kinds(world, target)) | set(declared(world.pods[target]).values())
    return sorted(ports)


def expected(world: World) -> dict[Cell, bool]:
    """Every client and every pod of every Space, each with every port that anybody has, in all protocols."""
    ports = universe(world)
    reached = clients()
    wanted: dict[Cell, bool] = {}
    for to in targets():
        space = to.split("/")[0]
        project = {"open": "none"}.get(space.split("-")[0], space.split("-")[0])
        kind = kinds(world, to)
        for source, reaches in reached.items():
            if source == to:
                continue
            same = source.startswith(f"{space}/")
            for protocol in PROTOCOLS:
                for port in ports:
                    declares = protocol == "TCP" and kind.get(port) in reaches[project]
                    wanted[source, to, port, protocol] = same or declares
    return wanted


@pytest.fixture(scope="module")
def wanted(matrix: World) -> dict[Cell, bool]:
    return expected(matrix)


def asked(world: World, cells: Iterable[Cell], policies: list[Obj] | None = None) -> dict[Cell, bool]:
    """What the evaluator says of each cell."""
    ports: dict[tuple[str, str, str], list[int]] = {}
    for source, to, port, protocol in cells:
        ports.setdefault((source, to, protocol), []).append(port)
    questions = [Question(*who, [(port, port) for port in found]) for who, found in ports.items()]
    answers = open_ports(world.policies if policies is None else policies, world.peers, questions)
    return {
        (source, to, port, protocol): port in answer
        for ((source, to, protocol), found), answer in zip(ports.items(), answers, strict=True)
        for port in found
    }


def differences(wanted: dict[Cell, bool], actual: dict[Cell, bool]) -> list[str]:
    """One line for each cell that is not as it should be."""
    words = {True: "open", False: "closed"}
    return [
        f"{source} -> {to} : {port}/{protocol} expected {words[allowed]}, is {words[not allowed]}"
        for (source, to, port, protocol), allowed in wanted.items()
        if actual[source, to, port, protocol] != allowed
    ]


def test_every_cell_of_the_matrix(matrix: World, wanted: dict[Cell, bool]) -> None:
    found = differences(wanted, asked(matrix, wanted))
    assert not found, f"{len(found)} of {len(wanted)} cells differ:\n" + "\n".join(found[:60])


def test_the_table_names_every_port_of_every_app(matrix: World) -> None:
    """So that a new kind of listener cannot come in unasked."""
    for target in targets():
        named = kinds(matrix, target)
        assert set(declared(matrix.pods[target]).values()) <= set(named), target
    assert set(SPACES) | {"edge-system", "monitoring", "foreign", "impostor"} <= {
        peer.namespace for peer in matrix.peers.values()
    }


def test_the_impostor_has_its_labels_but_for_the_one_that_the_server_writes(matrix: World) -> None:
    name = "kubernetes.io/metadata.name"
    assert matrix.peers["impostor/mimic"].namespaceLabels == {**IMPOSTOR_LABELS, name: "impostor"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_ports_there_are(matrix: World, protocol: str) -> None:
    """Every port number of some pods, from some clients: the matrix covers the named ones only."""
    reached = clients()
    pairs = [
        (source, to)
        for to in ("open-plain/many", "foo-tls/many")
        for source in ("foreign/tool", "edge-system/proxy", "foo-tls/client", "monitoring/prometheus")
    ]
    answers = open_ports(matrix.policies, matrix.peers, [Question(*pair, protocol) for pair in pairs])
    for (source, to), found in zip(pairs, answers, strict=True):
        space = to.split("/")[0]
        reaches = reached[source][{"open": "none"}.get(space.split("-")[0], space.split("-")[0])]
        named = {port for port, kind in kinds(matrix, to).items() if kind in reaches and protocol == "TCP"}
        everything = set(range(1, 65536))
        assert found == (everything if source.startswith(f"{space}/") else named), (source, to)


# The matrix can fail --------------------------------------------------------------------------------------------------


def policy(policies: list[Obj], namespace: str, name: str) -> Obj:
    return next(
        each for each in policies if (each["metadata"]["namespace"], each["metadata"]["name"]) == (namespace, name)
    )


def spec(policies: list[Obj], namespace: str, name: str) -> Any:
    return policy(policies, namespace, name)["spec"]


def drop_peer(policies: list[Obj], holds: Callable[[Obj], bool]) -> None:
    """Takes a peer out of the first rule of foo-plain/many, which must be there."""
    peers = spec(policies, "foo-plain", "app-many")["ingress"][0]["from"]
    gone = [each for each in peers if holds(each)]
    assert gone, peers
    for each in gone:
        peers.remove(each)


def selects(label: str) -> Callable[[Obj], bool]:
    return lambda peer: label in peer.get("namespaceSelector", {}).get("matchLabels", {})


MUTATIONS: dict[str, tuple[Callable[[list[Obj]], Any], set[str], bool]] = {
    "an App's policy is missing": (
        lambda found: found.remove(policy(found, "foo-plain", "app-web")),
        {"foo-plain/web"},
        False,
    ),
    "a Space's policy is missing": (
        lambda found: found.remove(policy(found, "foo-plain", "decco")),
        # Those with a policy of their own stay closed, even to their own Space; the others are open to everybody.
        {f"foo-plain/{app}" for app in (*APPS, STRAY)},
        True,
    ),
    "the rule for clients is missing": (
        lambda found: spec(found, "open-plain", "app-many")["ingress"].pop(0),
        {"open-plain/many"},
        False,
    ),
    "the rule for monitoring is missing": (
        lambda found: spec(found, "open-plain", "app-many")["ingress"].pop(),
        {"open-plain/many"},
        False,
    ),
    "the rule for clients is for everybody": (
        lambda found: spec(found, "foo-plain", "app-many")["ingress"][0].pop("from"),
        {"foo-plain/many"},
        True,
    ),
    "the rule for monitoring is for everybody": (
        lambda found: spec(found, "foo-plain", "app-many")["ingress"][1].pop("from"),
        {"foo-plain/many"},
        True,
    ),
    "a rule is for all ports": (
        lambda found: spec(found, "foo-tls", "app-web")["ingress"][0].pop("ports"),
        {"foo-tls/web"},
        True,
    ),
    "the port in plain text is open too": (
        lambda found: spec(found, "open-plain", "app-short")["ingress"][0]["ports"].append(
            {"protocol": "TCP", "port": 9000}
        ),
        {"open-plain/short"},
        True,
    ),
    "the other protocol": (
        lambda found: spec(found, "open-plain", "app-short")["ingress"][0]["ports"][0].update(protocol="UDP"),
        {"open-plain/short"},
        True,
    ),
    "the other project": (
        lambda found: spec(found, "bar-plain", "app-web")["ingress"][0]["from"][0]["namespaceSelector"].update(
            matchLabels={"decco.platform9.com/project": "foo"}
        ),
        {"bar-plain/web"},
        True,
    ),
    "the project is forgotten": (
        lambda found: drop_peer(found, selects("decco.platform9.com/project")),
        {"foo-plain/many"},
        False,
    ),
    "the edge's pods are forgotten": (
        lambda found: drop_peer(found, selects("kubernetes.io/metadata.name")),
        {"foo-plain/many"},
        False,
    ),
    "the edge's hosts are forgotten": (
        lambda found: drop_peer(found, lambda peer: "ipBlock" in peer),
        {"foo-plain/many"},
        False,
    ),
    "the edge's hosts are too many": (
        lambda found: next(
            peer["ipBlock"].update(cidr="192.0.2.0/24")
            for peer in spec(found, "foo-plain", "app-many")["ingress"][0]["from"]
            if "ipBlock" in peer
        ),
        {"foo-plain/many"},
        True,
    ),
    "the Space is open to all namespaces": (
        lambda found: spec(found, "bar-bare", "decco")["ingress"][0]["from"][0].update(namespaceSelector={}),
        {f"bar-bare/{app}" for app in (*APPS, STRAY)},
        True,
    ),
}
"""What is done to the policies, at which pods it must be seen, and whether something is open that should not be."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_policy_is_seen(matrix: World, wanted: dict[Cell, bool], name: str) -> None:
    change, where, opens = MUTATIONS[name]
    policies = copy.deepcopy(matrix.policies)
    change(policies)
    actual = asked(matrix, wanted, policies)
    wrong = {cell for cell, allowed in wanted.items() if actual[cell] != allowed}
    assert {to for _, to, _, _ in wrong} == where
    assert any(actual[cell] for cell in wrong) == opens
    line = differences({cell: wanted[cell] for cell in sorted(wrong)[:1]}, actual)[0]
    assert " -> " in line
    assert "expected" in line


def test_a_label_that_is_lost_is_seen(matrix: World, wanted: dict[Cell, bool]) -> None:
    """Policies alone do not isolate: the labels of namespaces are half of it."""
    peers = dict(matrix.peers)
    lost = peers["foo-tls/client"]
    bare = {key: value for key, value in lost.namespaceLabels.items() if key != "decco.platform9.com/project"}
    assert bare != lost.namespaceLabels
    peers["foo-tls/client"] = type(lost)(ip=lost.ip, namespace=lost.namespace, namespaceLabels=bare, labels=lost.labels)
    changed = World(policies=matrix.policies, pods=matrix.pods, services=matrix.services, peers=peers)
    actual = asked(changed, wanted)
    wrong = {cell for cell in wanted if wanted[cell] != actual[cell]}
    assert wrong
    assert {source for source, *_ in wrong} == {"foo-tls/client"}


def test_the_stray_pods_port_is_in_the_table() -> None:
    assert [row[1] for row in rows(PORTS) if row[0] == STRAY] == [str(STRAY_PORT)]
