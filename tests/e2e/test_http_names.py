"""HTTPS at further names: an exact one and a wildcard, each with its own certificate, two paths, and an endpoint at one
name only.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import pytest

from tests.e2e import clients
from tests.e2e.world import SPACES, Tenant, World, eventually, shared_secret
from tests.images.pki import Leaf

WWW, WILD = "www.further.test", "*.shops.further.test"
INSIDE, OWN = "paris.shops.further.test", "berlin.shops.further.test"
"""Below the wildcard: one that nobody lists, and one that an endpoint has for itself."""


@dataclass
class Further:
    tenant: Tenant
    www: Leaf
    wild: Leaf

    def https(self, name: str, path: str) -> clients.Answer:
        return clients.https(self.tenant.edge, name, path, self.tenant.authority.cert)

    def status(self, name: str, path: str) -> int:
        return self.https(name, path).status

    def refuses(self, name: str) -> bool:
        """Whether nobody shows a certificate for the name."""
        try:
            with clients.whoever(self.tenant.edge, name):
                return False
        except (ssl.SSLError, ConnectionError):
            return True


@pytest.fixture(scope="module")
def further(world: World) -> Further:
    tenant = world.tenant("further", encryptHttp=True)
    found = Further(tenant, tenant.authority.leaf(WWW), tenant.authority.leaf(WILD))
    world.apply(
        shared_secret("further-www", found.www, "further"),
        shared_secret("further-wild", found.wild, "further"),
        *tenant.objects({"encryptHttp": True, "httpHostnames": hostnames()}),
    )
    paths = [{"path": "/"}, {"path": "/old", "rewritePath": "/"}]
    one = {"name": "one", "port": 8080, "httpPath": "/one", "httpHostnames": [OWN]}
    tenant.run(
        tenant.app("web", endpoints=[{"name": "web", "port": 8080, "httpPaths": paths}]),
        tenant.app("one", endpoints=[one]),
    )
    for name in (tenant.fqdn, WWW, INSIDE):
        eventually(lambda name=name: found.status(name, "/old/x") == 200, 15, name)  # type: ignore[misc]
    return found


def hostnames() -> list[dict[str, object]]:
    entries = [{"name": WWW, "certSecretName": "further-www"}, {"name": WILD, "certSecretName": "further-wild"}]
    return [{**entry, "createDnsRecord": False} for entry in entries]


def test_each_name_has_its_certificate_and_all_paths(further: Further) -> None:
    of = {further.tenant.fqdn: further.tenant.web, WWW: further.www, INSIDE: further.wild}
    for name, leaf in of.items():
        for asked, seen in (("/a", "/a"), ("/old/a", "/a"), ("/old", "/"), ("/older", "/older")):
            answer = further.https(name, asked)
            assert (answer.json()["name"], answer.json()["path"], answer.serial) == ("further/web", seen, leaf.serial)
    # One label, and not none or two: nobody has a certificate for those.
    with pytest.raises(ssl.SSLCertVerificationError):
        further.status(f"a.{INSIDE}", "/")
    assert further.refuses("shops.further.test")
    assert further.refuses("other.further.test")


def test_an_endpoint_at_one_name_only(further: Further) -> None:
    eventually(lambda: further.https(OWN, "/one").json()["name"] == "further/one", 15)
    assert further.status(OWN, "/") == 404  # a name that an endpoint lists is not served by the wildcard
    for name in (further.tenant.fqdn, WWW, INSIDE):
        assert further.https(name, "/one").json()["name"] == "further/web"


@pytest.mark.parametrize("name", [WWW, INSIDE])
def test_http_redirects_to_https(further: Further, name: str) -> None:
    answer = clients.http_(further.tenant.edge, name, "/old/x?y=z")
    assert answer.status in {301, 308}, answer
    assert answer.headers.get("location", "").replace(":443", "") == f"https://{name}/old/x?y=z"


def test_renewed_refused_and_removed(further: Further, world: World) -> None:
    """A renewed certificate is shown; one for another name leaves the last good one; a removed name is gone, and the
    FQDN answers all the time.
    """
    renewed = further.tenant.authority.leaf(WWW)
    world.apply(shared_secret("further-www", renewed, "further"))
    eventually(lambda: further.https(WWW, "/").serial == renewed.serial, 30)
    world.apply(shared_secret("further-www", further.tenant.authority.leaf("other.further.test"), "further"))

    def condition(kind: str) -> tuple[str, str]:
        conditions = {each["type"]: each for each in world.get(SPACES, "further")["status"]["conditions"]}
        return conditions[kind]["status"], conditions[kind].get("message", "")

    eventually(lambda: condition("CertificatesReady")[0] == "False" and WWW in condition("CertificatesReady")[1])
    assert further.https(WWW, "/").serial == renewed.serial
    world.apply(*further.tenant.objects({"encryptHttp": True, "httpHostnames": hostnames()[1:]}))
    eventually(lambda: further.refuses(WWW), 15)
    assert further.status(INSIDE, "/") == further.status(further.tenant.fqdn, "/") == 200
    further.tenant.wait_ready()
