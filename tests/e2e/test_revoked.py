"""A client whose certificate is revoked by ``ca.crl``: refused after the reload, without a restart of the pod."""

from __future__ import annotations

import base64
import json
import ssl

from tests.e2e import clients
from tests.e2e.world import World, eventually
from tests.sample import full

SEEN_SECONDS = 120.0
"""The kubelet brings a changed Secret to a pod within a minute and some seconds; the rest is ours."""


@full
def test_a_revoked_client_is_refused_after_the_reload(world: World) -> None:
    tenant = world.tenant("revoke")
    one, other = (tenant.authority.leaf(f"{name}.decco.test") for name in ("one", "other"))
    endpoint = {"name": "door", "port": 9000, "verifyTcpClientCert": True}
    tenant.run(tenant.app("door", ["echo:9000"], endpoints=[endpoint]))
    tenant.listening("door", client=one)
    [pod] = tenant.pods("door")

    def accepted(leaf: object) -> bool:
        try:
            with tenant.tls("door", client=leaf) as connection:
                return clients.exchange(connection, b"hello") == b"hello"
        except (ssl.SSLError, ConnectionError):
            return False

    assert accepted(one)
    assert accepted(other)
    with tenant.tls("door", client=one) as held:
        assert clients.exchange(held, b"held") == b"held"
        lists = base64.b64encode(tenant.authority.revocations(one.serial)).decode()
        patch = json.dumps({"data": {"ca.crl": lists}})
        world.kubectl("patch", "secret", "revoke-tcp", "-n", "decco", "--type=merge", "-p", patch)
        eventually(lambda: not accepted(one), SEEN_SECONDS, "the revoked client is refused")
        assert accepted(other), "the other one is not"
        assert clients.exchange(held, b"still") == b"still", "what was open stays open"
    [same] = tenant.pods("door")
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert not [each for each in same["status"].get("initContainerStatuses") or () if each["restartCount"]]
    # A list without it accepts the client again.
    lists = base64.b64encode(tenant.authority.revocations()).decode()
    patch = json.dumps({"data": {"ca.crl": lists}})
    world.kubectl("patch", "secret", "revoke-tcp", "-n", "decco", "--type=merge", "-p", patch)
    eventually(lambda: accepted(one), SEEN_SECONDS, "the client is accepted again")
    assert accepted(other)
