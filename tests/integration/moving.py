"""Two clusters between which Spaces move: a controller each, one zone of BIND, and what kubelets and edges would do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from decco.desired.move import parse_move
from decco.kube import config
from decco.kube.client import Client
from decco.metrics import Metrics
from decco.moving.mover import Mover, Options
from decco.moving.side import Side
from decco.moving.survey import Survey, survey
from decco.objects import ANNOTATION_MOVE, Resource
from decco.reconcilers.providers import dns_service
from decco.settings.load import load
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.integration.by_hand import GATEWAY, accept_listeners, answer_route, run_pods
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, tls_secret
from tests.integration.loop import assert_no_defects

ZONE = "move.test"
SECONDS = 120.0
POLL = 0.3


@dataclass
class Site:
    """A cluster, its controller, and a thread that lets pods run and accepts routes of the Spaces in ``names``."""

    id: str
    address: str
    cluster: Cluster
    folder: Path
    settings: dict[str, str]
    names: set[str] = field(default_factory=set)
    decco: Decco = field(init=False)

    def start(self) -> None:
        self.decco = Decco(self.cluster.cp, self.folder, **self.settings).start()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        assert self.decco.stop() == 0, self.decco.tail()
        assert_no_defects(self.decco)

    def _serve(self) -> None:
        while not self._end.wait(POLL):
            for name in sorted(self.names):
                try:
                    self._serve_space(name)
                except (AssertionError, LookupError, TypeError):  # it is not there yet, or is going
                    continue

    def _serve_space(self, name: str) -> None:
        listeners = self.cluster.get(f"{GATEWAY}/namespaces/{name}/gateways/decco")
        if listeners is None or "deletionTimestamp" in listeners["metadata"]:
            return
        seen = {each.get("observedGeneration") for each in (listeners.get("status") or {}).get("conditions") or ()}
        if seen != {listeners["metadata"]["generation"]}:
            accept_listeners(self.cluster, name, self.address)
        for plural in ("httproutes", "tlsroutes"):
            for route in self.cluster.items(f"{GATEWAY}/namespaces/{name}/{plural}"):
                if not (route.get("status") or {}).get("parents"):
                    answer_route(self.cluster, name, plural, route["metadata"]["name"])
        for pod in self.cluster.items(f"/api/v1/namespaces/{name}/pods"):
            if (pod.get("status") or {}).get("phase") != "Running":
                run_pods(self.cluster, name, pod["metadata"]["labels"]["decco.platform9.com/app"])

    def is_ready(self, name: str) -> bool:
        objects = (self.cluster.space(name), self.cluster.app(name, "web"))
        return all((self.cluster.condition(each, "Ready") or {}).get("status") == "True" for each in objects)

    def move(self, name: str) -> str | None:
        space = self.cluster.space(name)
        annotations = space["metadata"].get("annotations", {}) if space is not None else {}
        found: str | None = annotations.get("decco.platform9.com/move")
        return found


@dataclass
class World:
    server: Bind
    east: Site
    west: Site

    def names(self, name: str) -> tuple[str, ...]:
        return f"{name}.{ZONE}", f"web.{name}.{ZONE}"

    def records(self, name: str) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        """Name -> (ownership record, addresses), of one reading of the zone."""
        zone = self.server.read(ZONE)
        nothing = (0, frozenset[str]())
        return {
            each: (
                frozenset(value.strip('"') for value in zone.get((f"_decco.{each}", "TXT"), nothing)[1]),
                zone.get((each, "A"), nothing)[1],
            )
            for each in self.names(name)
        }

    def make(self, name: str, site: Site) -> None:
        self.east.names.add(name)
        self.west.names.add(name)
        secret = f"tls-{name}"
        site.cluster.create(tls_secret(secret, f"{name}.{ZONE}", share=f"{name}.{ZONE}"))
        site.cluster.make_space(name, domain=ZONE, httpCertSecretName=secret)
        endpoint = {"name": "web", "port": 5432, "disableTlsTermination": True, "createDnsRecord": True}
        site.cluster.create(app(name, "web", endpoints=[endpoint]))
        eventually(lambda: site.is_ready(name), SECONDS, f"{name} is ready in {site.id}")

    def ends_at(self, name: str, site: Site) -> None:
        eventually(lambda: self.is_at(name, site), SECONDS, f"{name} is at {site.id} alone")

    def is_at(self, name: str, site: Site) -> bool:
        """Whether this cluster has the Space and its names alone, and nothing of the move is left."""
        other = self.west if site is self.east else self.east
        uids = {(site.cluster.space(name) or {})["metadata"]["uid"]}
        uids.add((site.cluster.app(name, "web") or {})["metadata"]["uid"])
        owners = {f"v1 {site.id} {uid}" for uid in uids}
        found = self.records(name).values()
        return (
            site.is_ready(name)
            and site.move(name) is None
            and other.cluster.space(name) is None
            and other.cluster.get(f"/api/v1/namespaces/{name}") is None
            and all(addresses == {site.address} and len(texts) == 1 and texts <= owners for texts, addresses in found)
        )

    def remove(self, name: str) -> None:
        for site in (self.east, self.west):
            site.cluster.delete(f"{APIS}/spaces/{name}")
        for site in (self.east, self.west):
            eventually(lambda site=site: site.cluster.space(name) is None, SECONDS)
            site.names.discard(name)


@contextmanager
def two_clusters(east: ControlPlane, west: ControlPlane, folder: Path, *addresses: str) -> Iterator[World]:
    with Bind() as server:
        server.create_zone(ZONE)
        provider = {
            "type": "rfc2136",
            "zones": [ZONE],
            "host": HOST,
            "port": server.port,
            "tsigKeyName": KEY_NAME,
            "secretName": "move-key",
        }
        key = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "move-key", "namespace": "decco"},
            "data": {"secret": base64.b64encode(KEY_SECRET.encode()).decode()},
        }
        sites = []
        for id_, address, cp in zip(("east", "west"), addresses, (east, west), strict=True):
            settings = {
                "cluster_id": id_,
                "dns__providers": json.dumps([provider]),
                "dns__ttl": "10",
                "dns__retry_base_seconds": "0.2",
                "dns__retry_max_seconds": "0.4",
            }
            cluster = Cluster(cp)
            cluster.create(key)
            (folder / id_).mkdir()
            sites.append(Site(id_, address, cluster, folder / id_, settings))
            sites[-1].start()
        yield World(server, *sites)
        for site in sites:
            site.stop()
            site.cluster.delete("/api/v1/namespaces/decco/secrets/move-key")


class History:
    """Every reading of the zone while it runs: at each there is one owner of a name, and the addresses are its own."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        self._end = threading.Event()
        self.wrong: list[object] = []
        self.readings = 0
        self.clusters: dict[str, list[str]] = {each: [] for each in world.names(name)}
        """Name -> the clusters that had it, one after the other."""

    def __enter__(self) -> History:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        addresses = {"east": self._world.east.address, "west": self._world.west.address}
        while not self._end.wait(0.05):
            self.readings += 1
            for name, (texts, values) in self._world.records(self._name).items():
                cluster = next(iter(texts)).split()[1] if len(texts) == 1 else ""
                if values != {addresses.get(cluster, "")}:
                    self.wrong.append((name, texts, values))
                if self.clusters[name][-1:] != [cluster]:
                    self.clusters[name].append(cluster)


class Killed(BaseException):
    """The command ends here."""


class Counting(Client):
    """A client that ends the command before or after one of its calls."""

    def __init__(self, *arguments: Any, calls: Calls, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._calls = calls

    async def create(self, *arguments: Any, **options: Any) -> Obj:
        with self._calls.one("create", *arguments):
            return await super().create(*arguments, **options)

    async def patch(self, *arguments: Any, **options: Any) -> Obj:
        with self._calls.one("patch", *arguments):
            return await super().patch(*arguments, **options)

    async def delete(self, *arguments: Any, **options: Any) -> None:
        with self._calls.one("delete", *arguments):
            await super().delete(*arguments, **options)


@dataclass
class Calls:
    """The calls of one command that change something: to be killed before or after a reading is the same as after the
    last change.
    """

    kill_at: int = -1
    after: bool = False
    made: list[str] = field(default_factory=list)

    @contextmanager
    def one(self, verb: str, resource: Resource, *arguments: Any) -> Iterator[None]:
        what = f"{verb} {resource.plural}"
        if verb == "patch":  # only the annotation is patched
            move = parse_move(arguments[1]["metadata"]["annotations"][ANNOTATION_MOVE] or "")
            what += f": {replace(move, since='').text() or 'nothing'}{' since' if move.since else ''}"
        self.made.append(what)
        here = len(self.made) - 1 == self.kill_at
        if here and not self.after:
            raise Killed(what)
        yield
        if here:
            raise Killed(what)


@asynccontextmanager
async def side(site: Site, calls: Calls) -> AsyncIterator[Side]:
    connection = await config.connect(str(site.cluster.cp.controller_kubeconfig), None)
    environment = {f"DECCO_{key.upper()}": value for key, value in site.settings.items()}
    settings = load({}, environment, None)
    async with Counting(connection, user_agent="decco/test", calls=calls) as client:
        dns = await dns_service(settings.model_copy(update={"dry_run": True}), client, Metrics())
        assert dns is not None
        try:
            yield Side(site.id, client, settings, dns)
        finally:
            await dns.close()


async def command(
    source: Site, target: Site, name: str, *, back: bool = False, calls: Calls | None = None, **options: Any
) -> Survey:
    """``decco move``, without its output; raises AssertionError if something is in the way."""
    calls = calls or Calls()
    said: list[str] = []
    async with side(source, calls) as giver, side(target, calls) as receiver:
        found = await survey(name, giver, receiver)
        mover = Mover(name, giver, receiver, Options(**{"patience": SECONDS, "poll": POLL, **options}), said.append)
        if back:
            await mover.back(found)
        else:
            assert not found.obstacles, found.obstacles
            await mover.forward(found)
    return found
