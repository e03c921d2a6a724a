"""manifests/examples on real pods: those whose images the node has, and the broker with a stand-in for its program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.manifests import MANIFESTS
from tests.e2e import clients
from tests.e2e.test_workload_kinds import volume
from tests.e2e.world import APPS, SPACES, Obj, World, eventually, ready, shared_secret
from tests.images.pki import Authority

EXAMPLES = MANIFESTS / "examples"
DOMAIN = "decco.test"
pytestmark = pytest.mark.full


class Example:
    """The objects of a folder, with the Secrets that its Spaces name."""

    def __init__(self, world: World, folder: str) -> None:
        self._world = world
        self._files = [list(yaml.safe_load_all(file.read_text())) for file in sorted((EXAMPLES / folder).glob("*"))]
        self.authority = Authority(f"authority of {folder}")

    @property
    def spaces(self) -> list[dict[str, Any]]:
        return self._files[0]

    def apply(self, *namespaces: str, between: Sequence[Obj] = ()) -> None:
        """Spaces, and when they are Ready their Apps, in these namespaces if they name none; ``between`` both what else
        the example says.
        """
        for space in self.spaces:
            name = space["metadata"]["name"]
            for kind, host in (
                ("httpCertSecretName", f"{name}.{DOMAIN}"),
                ("tcpCertAndCaSecretName", f"*.{name}.{DOMAIN}"),
            ):
                if secret := space["spec"].get(kind):
                    self._world.apply(shared_secret(secret, self.authority.leaf(host), f"{name}.{DOMAIN}"))
            for further in space["spec"].get("httpHostnames", ()):
                leaf = self.authority.leaf(further["name"])
                self._world.apply(shared_secret(further["certSecretName"], leaf, f"{name}.{DOMAIN}"))
        self._world.apply(*self.spaces)
        for space in self.spaces:
            name = space["metadata"]["name"]
            eventually(lambda name=name: ready(self._world.get(SPACES, name)), what=f"Space {name} Ready")  # type: ignore[misc]
        if between:
            self._world.apply(*between)
        apps = [
            {**app, "metadata": {"namespace": namespace, **app["metadata"]}}
            for app in self._files[1]
            for namespace in namespaces or ("",)
        ]
        self._world.apply(*apps)
        for app in apps:
            name, namespace = app["metadata"]["name"], app["metadata"]["namespace"]
            eventually(
                lambda name=name, namespace=namespace: ready(self._world.get(APPS, name, namespace)),  # type: ignore[misc]
                what=f"App {namespace}/{name} Ready",
            )

    def stand_in(self, *commands: list[str]) -> None:
        """Runs these in the node's own image, in place of the Apps' programs, which it cannot pull."""
        for app, command in zip(self._files[1], commands, strict=True):
            [container] = app["spec"]["pod"]["containers"]
            container.update(image="busybox:1.37", command=command)
            # As root where the App names no user: so do the programs, but not the node's image.
            container.setdefault("securityContext", {"runAsUser": 0})
            container.pop("readinessProbe", None)

    def delete(self) -> None:
        for space in self.spaces:
            self._world.kubectl("delete", SPACES, space["metadata"]["name"], "--wait=false", "--ignore-not-found")

    def get(self, space: str, path: str) -> bytes:
        return self.get_at(f"{space}.{DOMAIN}", path)

    def get_at(self, host: str, path: str) -> bytes:
        def answer() -> bytes:
            found = clients.https(self._world.edge, host, path, self.authority.cert)
            assert found.status == 200, found
            return found.body

        return eventually(answer, what=f"https://{host}{path}")


@pytest.fixture
def example(world: World, request: pytest.FixtureRequest) -> Iterator[Example]:
    made = Example(world, request.param)
    yield made
    made.delete()


@pytest.mark.parametrize("example", ["control-plane"], indirect=True)
def test_a_control_plane_for_two_customers(world: World, example: Example) -> None:
    example.apply("north", "south")
    for customer in ("north", "south"):
        assert example.get(customer, "/") == b"console\n"
        assert example.get(customer, "/identity") == b"identity\n"
        assert example.get(customer, "/inventory/") == b"inventory\n"
    said = world.kubectl(
        *("exec", "deployment/scheduler", "-n", "south", "-c", "scheduler", "--"),
        *("sh", "-c", "(echo from the scheduler; sleep 1) | nc localhost 5432"),
    )
    assert said == "from the scheduler\n"


@pytest.mark.parametrize("example", ["preview"], indirect=True)
def test_a_preview_environment(world: World, example: Example) -> None:
    example.apply()
    assert example.get("preview-142", "/") == b"preview 142\n"
    example.delete()
    eventually(lambda: not world.get("namespace", "preview-142"), what="the namespace is gone")


@pytest.mark.parametrize("example", ["broker"], indirect=True)
def test_a_broker_for_listed_devices(world: World, example: Example) -> None:
    example.stand_in(["nc", "-lk", "-p", "1883", "-e", "cat"])
    example.apply()
    host = f"broker.things.{DOMAIN}"

    def answer(name: str) -> bytes:
        try:
            with clients.tls(world.edge, host, example.authority.cert, example.authority.leaf(name)) as connection:
                connection.sendall(b"connect\n")
                return bytes(connection.recv(100))
        except OSError:  # ssl.SSLError is one
            return b""

    eventually(lambda: answer(f"sensor-1.things.{DOMAIN}") == b"connect\n", what=host)
    assert answer(f"gateway.things.{DOMAIN}") == b"connect\n"
    assert answer(f"sensor-2.things.{DOMAIN}") == b""


@pytest.mark.parametrize("example", ["wordpress"], indirect=True)
def test_wordpress_and_its_database(world: World, example: Example, tmp_path: Path) -> None:
    """A site at two names, and its database behind mutual TLS, each with its volume."""
    if world.cluster.node is None:
        pytest.skip("volumes of the node's own folders can be had with the testbed's own node only")
    volumes = [volume(f"blog-{number}", tmp_path / str(number), storage="10Gi", of="") for number in range(2)]
    password = {"metadata": {"name": "mysql", "namespace": "blog"}, "stringData": {"password": "of the test"}}
    page = 'echo "the blog of $WORDPRESS_DB_NAME" > /var/www/html/index.html; exec httpd -f -p 80 -h /var/www/html'
    script = "printf '#!/bin/sh\\necho database of %s\\ncat\\n' $MYSQL_USER > /tmp/answer; chmod +x /tmp/answer"
    example.stand_in(["sh", "-c", f"{script}; exec /bin/nc -lk -p 3306 -e /tmp/answer"], ["sh", "-c", page])
    try:
        example.apply(between=[*volumes, {"apiVersion": "v1", "kind": "Secret", **password}])
        for host in (f"blog.{DOMAIN}", "www.blog.test"):
            assert example.get_at(host, "/") == b"the blog of wordpress\n"
        inside = ["exec", "wordpress-0", "-n", "blog", "-c", "wordpress", "--"]
        query = ["sh", "-c", "(echo a query; sleep 3) | nc 127.0.0.1 3306"]
        eventually(lambda: world.kubectl(*inside, *query) == "database of wordpress\na query\n", what="the database")
        claims = {each["metadata"]["name"]: each for each in world.list("persistentvolumeclaims", "blog")}
        assert {name: each["status"]["phase"] for name, each in claims.items()} == {
            "data-mysql-0": "Bound",
            "content-wordpress-0": "Bound",
        }
    finally:
        example.delete()
        eventually(lambda: not world.get("namespace", "blog"), what="the namespace is gone")
        world.kubectl("delete", "persistentvolume", *(each["metadata"]["name"] for each in volumes), "--wait=false")


@pytest.mark.parametrize("example", ["picture"], indirect=True)
def test_the_picture(example: Example) -> None:
    example.apply()
