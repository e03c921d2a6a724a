"""``egressPolicy: Declared`` on real pods, with an enforcer: what an App declares is reached, all else is not."""

from __future__ import annotations

import pytest

from testbed import enforcer
from testbed.api import RequestFailed
from testbed.enforcer import Enforcer
from testbed.found import AssetsMissing
from tests.e2e.world import Tenant, World, eventually

LOCAL = 15432


@pytest.fixture(scope="module")
def target(world: World) -> Tenant:
    """Open to anybody: it is the caller that is limited."""
    if world.cluster.node is None or (why := enforcer.missing()):
        pytest.skip("needs the testbed's own node" if world.cluster.node is None else f"no enforcer: {why}")
    tenant = world.tenant("supplier")
    door = {"name": "door", "port": 9000}
    site = {"name": "site", "port": 8080, "httpPath": "/"}
    tenant.run(tenant.app("door", ["echo:9000"], endpoints=[door]), tenant.app("site", endpoints=[site]))
    return tenant


def test_what_is_declared_is_reached_and_all_else_is_not(world: World, target: Tenant) -> None:
    node = world.cluster.node
    assert node is not None
    caller = Tenant(world, "buyer")
    caller.authority, caller.tcp = target.authority, target.authority.leaf("buyer.decco.test")
    world.apply(*caller.objects({"egressPolicy": "Declared"}))
    caller.wait_ready()
    egress = {"localPort": LOCAL, "endpoint": "door", "spaceName": "supplier"}
    caller.run(
        caller.app("declares", ["echo:9001"], tlsEgresses=[egress], endpoints=[]),
        caller.app("silent", ["echo:9002"], endpoints=[]),
    )

    def ask(app: str, address: str) -> bool:
        """Whether a container of the App is answered there."""
        [pod, *_] = caller.pods(app)
        argv = ["exec", pod["metadata"]["name"], "-n", caller.name, "-c", "echo", "--", "/echo", "ask"]
        try:
            return world.kubectl(*argv, "--text", "x", "--deadline", "4s", address) != ""
        except RequestFailed:
            return False

    def address(tenant: Tenant, app: str, port: int) -> str:
        [pod] = tenant.pods(app)
        return f"{pod['status']['podIP']}:{port}"

    [own] = caller.pods("silent")
    declared = f"localhost:{LOCAL}"
    plain = address(target, "door", 9000)
    assert eventually(lambda: ask("declares", declared), what="without enforcement")
    assert ask("declares", plain), "without enforcement every port is open"
    try:
        with Enforcer(node.cp.processes, node.cp.kubeconfig, [node.box.addresses.pods], netns=node.box.network):
            assert eventually(lambda: ask("declares", declared), what="what it declares")
            assert not ask("declares", plain), "the same pod's other port"
            assert not ask("declares", address(target, "site", 8080)), "another App of that Space"
            assert not ask("silent", address(target, "site", 8080)), "an App that declares nothing"
            assert ask("declares", f"{own['status']['podIP']}:9002"), "the Space itself"
            # What was closed is the caller's own doing: the other Space lets anybody in there.
            world.kubectl("patch", "space", "buyer", "--type=merge", "-p", '{"spec":{"egressPolicy":"Open"}}')
            eventually(lambda: ask("silent", address(target, "site", 8080)), what="Open again")
    except AssetsMissing as error:
        pytest.skip(f"no enforcer: {error}")
