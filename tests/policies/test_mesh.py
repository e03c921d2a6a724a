"""The matrix of test_matrix.py in a mesh: Istio's policies, as an evaluator by its reference reads them, permit what
the NetworkPolicies permit, and both together permit the same as before.

Istio's control plane does not run here. The policies are those that the real controller wrote on a real API server with
Istio's CRDs.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from testbed import manifests
from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, Obj, eventually, pod, tls_secret
from tests.integration.loop import assert_no_defects
from tests.policies import istio, tenants
from tests.policies.conftest import make_strangers
from tests.policies.test_matrix import Cell, asked, differences, expected
from tests.policies.world import EDGE_CIDRS, EDGE_NAMESPACE, LABEL_APP, World, make_apps, make_pod, read
from tests.sample import full

TUNNEL = 15008
SECURITY = "/apis/security.istio.io/v1"
AMBIENT = {"istio.io/dataplane-mode": "ambient"}
PLAIN = {
    "plain": {
        "pod": pod(6379, 6380),
        "endpoints": [
            {"name": "cache", "port": 6379, "createClearTextService": True},
            {
                "name": "ledger",
                "port": 6380,
                "createClearTextService": True,
                "allowedClients": ["default.foo-tls.example.net", "default.bar-plain.example.net", "x.example.org"],
            },
        ],
    }
}
"""In every Space beside the Apps of the matrix: what the mesh alone opens."""
PROBES = ("169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff")


@dataclass(frozen=True, slots=True)
class Mesh:
    """What the API server held at one moment."""

    world: World
    policies: list[Obj]
    authentications: list[Obj]
    wanted: dict[Cell, bool]
    """The cells of TCP, but for the port of the tunnel."""

    def is_inside(self, name: str) -> bool:
        return self.world.peers[name].namespaceLabels.items() >= AMBIENT.items()

    def client(self, name: str, *, inside: bool | None = None) -> istio.Client:
        peer, pod = self.world.peers[name], self.world.pods.get(name)
        if pod is None or not (self.is_inside(name) if inside is None else inside):
            return istio.Client(peer.ip)
        account = pod["spec"].get("serviceAccountName", "default")
        return istio.Client(peer.ip, f"cluster.local/ns/{peer.namespace}/sa/{account}")

    def pod(self, name: str) -> istio.Pod:
        peer = self.world.peers[name]
        return istio.Pod(peer.namespace, peer.labels)

    def account(self, name: str) -> str:
        """ "<namespace>/<service account>" of a client in the mesh."""
        parts = self.client(name).principal.split("/")
        return f"{parts[2]}/{parts[4]}" if len(parts) > 4 else ""

    def authorized(self, policies: list[Obj] | None = None) -> dict[Cell, bool]:
        """What the AuthorizationPolicies alone say of each cell."""
        found = self.policies if policies is None else policies
        mine = {to: [each for each in found if istio._is_for(each, self.pod(to))] for _, to, _, _ in self.wanted}
        clients = {source: self.client(source) for source, *_ in self.wanted}
        return {
            cell: istio.authorized(mine[cell[1]], clients[cell[0]], self.pod(cell[1]), cell[2]) for cell in self.wanted
        }

    def effective(self, cells: Iterable[Cell] | None = None) -> dict[Cell, bool]:
        """What all policies together say: NetworkPolicies see the tunnel of two pods in the mesh, or the port."""
        cells = list(self.wanted if cells is None else cells)
        tunnels = {cell: self.is_inside(cell[0]) and self.is_inside(cell[1]) for cell in cells}
        seen = {cell: (*cell[:2], TUNNEL if tunnels[cell] else cell[2], cell[3]) for cell in cells}
        network = asked(self.world, set(seen.values()))
        return {
            (source, to, port, protocol): network[seen[source, to, port, protocol]]
            and (
                not self.is_inside(to)
                or istio.permits(
                    self.policies,
                    self.authentications,
                    self.client(source, inside=tunnels[source, to, port, protocol]),
                    self.pod(to),
                    port,
                )
            )
            for source, to, port, protocol in cells
        }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ControlPlane() as cp:
        cp.install_gateway_api()
        cp.install_decco()
        manifests.install_istio_crds(cp.api)
        cp.restart_manager()
        yield Cluster(cp)


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    cluster.create(tls_secret("policies"))
    cidrs = "[" + ", ".join(f'"{cidr}"' for cidr in EDGE_CIDRS) + "]"
    folder = tmp_path_factory.mktemp("decco")
    settings = {"edge__namespace": EDGE_NAMESPACE, "edge__cidrs": cidrs, "mesh__switch_seconds": "1"}
    decco = Decco(cluster.cp, folder, **settings).start()
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)


@pytest.fixture(scope="module")
def strangers(cluster: Cluster) -> list[str]:
    """All in the mesh but for the impostor."""
    found = make_strangers(cluster.cp, cluster)
    for namespace in (EDGE_NAMESPACE, "monitoring", "foreign"):
        cluster.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": AMBIENT}})
    return found


@pytest.fixture(scope="module")
def names(cluster: Cluster, decco: Decco, strangers: list[str]) -> list[str]:
    wanted = list(strangers)
    for space, spec in tenants.SPACES.items():
        cluster.make_space(space, **spec, mesh="Istio")
        wanted += make_apps(cluster, space, {**tenants.APPS, **PLAIN})
        make_pod(cluster, space, tenants.STRAY, tenants.STRAY_PORT, labels={LABEL_APP: "nobody"})
        wanted.append(f"{space}/{tenants.STRAY}")
    return wanted


def taken(cluster: Cluster, decco: Decco, names: list[str]) -> Mesh:
    decco.settle()
    world = read(cluster, names)
    wanted = {cell: open_ for cell, open_ in expected(world).items() if cell[3] == "TCP" and cell[2] != TUNNEL}
    policies, authentications = (
        cluster.items(f"{SECURITY}/{plural}") for plural in ("authorizationpolicies", "peerauthentications")
    )
    return Mesh(world, policies, authentications, wanted)


@pytest.fixture(scope="module")
def mesh(cluster: Cluster, decco: Decco, names: list[str]) -> Mesh:
    return taken(cluster, decco, names)


def check(wanted: dict[Cell, bool], actual: dict[Cell, bool]) -> None:
    found = differences(wanted, actual)
    assert not found, f"{len(found)} of {len(wanted)} cells differ:\n" + "\n".join(found[:60])


@full
def test_both_kinds_of_policies_say_the_same(mesh: Mesh) -> None:
    """Clients in the mesh by their identity, the others by their address."""
    assert len(mesh.wanted) > 20_000
    check(mesh.wanted, mesh.authorized())


def test_together_they_permit_what_section_3_permits(mesh: Mesh) -> None:
    check(mesh.wanted, mesh.effective())


def test_a_port_takes_connections_without_the_mesh_only_if_clients_outside_may_reach_it(mesh: Mesh) -> None:
    outside = [name for name in mesh.world.peers if not mesh.is_inside(name)]
    for to in {cell[1] for cell in mesh.wanted}:
        for port in {cell[2] for cell in mesh.wanted if cell[1] == to}:
            permissive = istio.mtls_mode(mesh.authentications, mesh.pod(to), port) != "STRICT"
            assert permissive == any(mesh.wanted.get((name, to, port, "TCP")) for name in outside), (to, port)


def test_probes_of_the_mesh_reach_every_pod(mesh: Mesh) -> None:
    peers = {**mesh.world.peers, **{ip: type(next(iter(mesh.world.peers.values())))(ip=ip) for ip in PROBES}}
    world = World(mesh.world.policies, mesh.world.pods, mesh.world.services, peers)
    cells = [(ip, to, 8080, "TCP") for ip in PROBES for to in {cell[1] for cell in mesh.wanted}]
    assert all(asked(world, cells).values())


def test_plain_text_is_for_clients_of_the_mesh_that_may_connect(mesh: Mesh) -> None:
    """The clear text Service, of an endpoint for all clients, and of one for some names."""
    wanted = {}
    for to, source in itertools.product((f"{space}/plain" for space in tenants.SPACES), mesh.world.peers):
        if source == to:
            continue
        project, space = tenants.SPACES[to.split("/")[0]].get("project"), source.split("/")[0]
        is_own, is_pod = space == to.split("/")[0], mesh.is_inside(source)
        may = is_pod and (project is None or tenants.SPACES.get(space, {}).get("project") == project)
        named = mesh.account(source) in {"foo-tls/default", "bar-plain/default"}
        wanted[source, to, 6379, "TCP"] = is_own or may
        wanted[source, to, 6380, "TCP"] = is_own or (may and named)
    assert {True, False} == {wanted[cell] for cell in wanted if cell[2] == 6380 and cell[0].split("/")[0] == "foo-tls"}
    check(wanted, mesh.effective(wanted))


def policy(found: list[Obj], namespace: str, name: str) -> Obj:
    return next(p for p in found if (p["metadata"]["namespace"], p["metadata"]["name"]) == (namespace, name))


def rule(found: list[Obj], name: str, number: int = 0) -> Any:
    return policy(found, "foo-plain", name)["spec"]["rules"][number]


MUTATIONS: dict[str, tuple[Callable[[list[Obj]], Any], bool]] = {
    "an App's policy is missing": (lambda found: found.remove(policy(found, "foo-plain", "app-web")), False),
    "both policies of a pod are missing": (
        lambda found: [found.remove(policy(found, "foo-plain", name)) for name in ("app-web", "decco")],
        True,
    ),
    "a rule is for everybody": (lambda found: rule(found, "app-many").pop("from"), True),
    "a rule is for all ports": (lambda found: rule(found, "app-many").pop("to"), True),
    "the project is forgotten": (lambda found: rule(found, "app-many")["from"].pop(0), False),
    "the edge's hosts are forgotten": (lambda found: rule(found, "app-many")["from"].pop(), False),
    "the Space is forgotten": (
        lambda found: rule(found, "decco")["from"][0].update(source={"namespaces": ["x"]}),
        False,
    ),
    "a stranger is in the list": (
        lambda found: rule(found, "app-web")["from"][0]["source"]["namespaces"].append("foreign"),
        True,
    ),
    "metrics are for clients": (
        lambda found: rule(found, "app-many", 1).update({"from": rule(found, "app-many")["from"]}),
        True,
    ),
}
"""What is done to the policies of one Space, and whether something is open that should not be."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_policy_is_seen(mesh: Mesh, name: str) -> None:
    change, opens = MUTATIONS[name]
    policies = copy.deepcopy(mesh.policies)
    change(policies)
    actual = mesh.authorized(policies)
    wrong = {cell for cell, allowed in mesh.wanted.items() if actual[cell] != allowed}
    assert {to.split("/")[0] for _, to, _, _ in wrong} == {"foo-plain"}
    assert any(actual[cell] for cell in wrong) == opens


def test_clients_outside_the_mesh_lose_nothing(cluster: Cluster, decco: Decco, names: list[str], mesh: Mesh) -> None:
    """A Space of the project leaves the mesh, and so do the edge and monitoring: the NetworkPolicies see them."""
    for namespace in (EDGE_NAMESPACE, "monitoring"):
        cluster.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": dict.fromkeys(AMBIENT)}})
    cluster.patch(f"{APIS}/spaces/foo-tls", {"spec": {"mesh": "None"}})

    def left() -> bool:
        meta = (cluster.get("/api/v1/namespaces/foo-tls") or {})["metadata"]
        return "decco.platform9.com/mesh" not in meta.get("annotations", {})

    eventually(left, what="foo-tls leaves the mesh")
    now = taken(cluster, decco, names)
    assert not now.is_inside("foo-tls/client")
    assert not now.is_inside(f"{EDGE_NAMESPACE}/proxy")
    assert not [each for each in now.policies if each["metadata"]["namespace"] == "foo-tls"]
    check(now.wanted, now.effective())
