"""Who reaches whom, from inside pods, in both directions; first whether the cluster enforces NetworkPolicies at all.

A connection that must not be is evidence only if the port is open: so a pod of the target's own Space tries it too.
"""

from __future__ import annotations

from decco.api.conditions import has_status
from decco.desired.names import cleartext_service, listener_port_name
from decco.frozen import frozen
from decco.objects import NETWORK_POLICIES, PODS, Key, Obj
from decco.verify.groups.setup import app_of
from decco.verify.objects import (
    CANARY,
    CLOSED_PORT,
    METRICS,
    OPEN_PORT,
    TCP,
    UNDECLARED,
    WEB,
    canary,
)
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.pods import PortCheck
from decco.verify.probe import Check, Probe
from decco.verify.world import World

ENFORCED = "isolation/enforced"
OUTSIDE, MONITORING = "outside", "monitoring"
"""Clients in no Space."""
API, API_SERVER = "outside-to-api-server", ("tcp", "kubernetes.default.svc", "443")
"""A connection that no probe is about: what a pod with declared egress does not reach."""
SOURCES = ("a", "b", "c", "d", OUTSIDE, MONITORING)
WHO = {
    "a": "project one",
    "d": "project one",
    "b": "project two",
    "c": "no project",
    OUTSIDE: "no Space",
    MONITORING: "labelled by the administrator",
}


@frozen
class Connection:
    """``port`` is a word of ``_address``."""

    source: str
    to: str
    port: str
    allowed: bool

    @property
    def id(self) -> str:
        return f"{self.source}-to-{self.to}-{self.port}"

    @property
    def text(self) -> str:
        where = "its own Space" if self.source == self.to else f"Space {self.to} ({WHO[self.to]})"
        verb = "reaches" if self.allowed else "does not reach"
        return f"a pod of {self.source} ({WHO[self.source]}) {verb} {_PORTS[self.port]} of {where}"


_PORTS = {
    "http": "the HTTP port",
    "tls": "the TLS port",
    "plain": "the plain-text port behind TLS",
    "undeclared": "an undeclared port",
    "metrics": "the metrics port",
    "service": "the Service",
    "cleartext": "the Service of createClearTextService",
}


_NUMBERS = {
    "http": WEB,
    "plain": TCP,
    "undeclared": UNDECLARED,
    "metrics": METRICS,
    "service": 443,
    "cleartext": TCP,
}
_SERVICES = {"service": "tcp", "cleartext": cleartext_service("tcp")}


def _rows(source: str, to: str, allowed: str, closed: str) -> list[Connection]:
    return [
        *(Connection(source, to, port, allowed=True) for port in allowed.split()),
        *(Connection(source, to, port, allowed=False) for port in closed.split()),
    ]


CONNECTIONS = (
    *_rows("a", "a", "http tls plain undeclared metrics service cleartext", ""),
    *_rows("b", "b", "tls plain undeclared metrics", ""),
    *_rows("c", "c", "http tls plain undeclared metrics service cleartext", ""),
    *_rows("d", "d", "http undeclared", ""),
    *_rows("d", "a", "http tls service", "plain undeclared metrics cleartext"),
    *_rows("a", "d", "http", "undeclared"),
    *_rows("a", "b", "", "tls plain undeclared"),
    *_rows("b", "a", "", "http tls plain undeclared metrics service"),
    *_rows("c", "a", "", "http tls"),
    *_rows("c", "b", "", "tls"),
    *_rows(OUTSIDE, "a", "", "http tls undeclared service"),
    *_rows(OUTSIDE, "b", "", "tls"),
    *_rows("a", "c", "http tls service", "plain undeclared metrics"),
    *_rows("b", "c", "tls", "plain undeclared"),
    *_rows(OUTSIDE, "c", "http tls", "plain undeclared metrics cleartext"),
    *_rows(MONITORING, "a", "metrics", "plain undeclared"),
    *_rows(MONITORING, "c", "metrics", "undeclared"),
)


async def pod_of(world: World, space: str) -> tuple[str, Obj]:
    """A pod of App web of a Space, with its address."""
    return await world.once(("pod", space), lambda: _addresses(world, space))


async def _addresses(world: World, to: str) -> tuple[str, Obj]:
    for pod in await world.pods(to, "web"):
        if pod["status"].get("podIP"):
            return str(pod["status"]["podIP"]), pod
    raise Failed(f"App web of Space {to} has no pod with an address")


def _number(pod: Obj, port: str) -> int:
    if port != "tls":
        return _NUMBERS[port]
    name = listener_port_name("tcp")
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    found = [each for container in containers for each in container.get("ports") or () if each.get("name") == name]
    if not found:
        raise Failed("the pod has no listener of the TLS sidecar")
    return int(found[0]["containerPort"])


async def _targets(world: World, source: str) -> list[PortCheck]:
    targets = []
    for each in CONNECTIONS:
        if each.source == source:
            address, pod = await pod_of(world, each.to)
            host = f"{_SERVICES[each.port]}.{world.names.space(each.to)}.svc" if each.port in _SERVICES else address
            targets.append(PortCheck(each.id, each.allowed, ("tcp", host, str(_number(pod, each.port)))))
    if source == OUTSIDE:
        address = await world.once("canary", lambda: _canary(world))
        targets += [
            PortCheck("canary-open", True, ("tcp", address, str(OPEN_PORT))),
            PortCheck("canary-closed", False, ("tcp", address, str(CLOSED_PORT))),
            PortCheck(API, True, API_SERVER),
        ]
    return targets


async def _canary(world: World) -> str:
    """The address of a pod outside of all Spaces whose NetworkPolicy closes a port."""
    policy, pod = canary(world.names, world.image, world.user)
    await world.client.create(NETWORK_POLICIES, policy)
    await world.create_pod(pod)
    return await eventually(lambda: _canary_address(world), world.patience, stretched=False)


async def _canary_address(world: World) -> str:
    pod = await world.client.get(PODS, Key(world.names.outside, CANARY))
    if has_status(pod, "Ready"):
        return str(pod["status"]["podIP"])
    raise Failed("the pod of the canary is not ready", "verify-pod")


async def results(world: World, source: str) -> dict[str, bool]:
    """What a client in this Space, or outside of all, has reached."""

    async def run() -> dict[str, bool]:
        elsewhere = {OUTSIDE: world.names.outside, MONITORING: world.names.monitoring}
        namespace = elsewhere.get(source) or world.names.space(source)
        return await world.run_client(namespace, "client", await _targets(world, source))

    return await world.once(("client", source), run)


async def _enforced(world: World) -> None:
    """By a NetworkPolicy that is not decco's, in a namespace that is not a Space's."""
    found = await results(world, OUTSIDE)
    if not found.get("canary-open"):
        raise NotTested("a pod without any policy of decco does not reach another on an allowed port either")
    if found.get("canary-closed"):
        raise Failed("a NetworkPolicy that closes a port has no effect: connections between pods are not limited")


def _check(connection: Connection) -> Check:
    async def check(world: World) -> None:
        reached = (await results(world, connection.source)).get(connection.id, False)
        if connection.allowed:
            if not reached:
                raise Failed("no connection", "verify-not-reached")
            return
        within = await results(world, connection.to)
        if not within.get(f"{connection.to}-to-{connection.to}-{connection.port}"):
            raise NotTested("a pod of the same Space does not reach the port either")
        if reached:
            raise Failed("connected", "verify-reached")

    return check


def _after(connection: Connection) -> tuple[str, ...]:
    return ("isolation/apps",) if connection.allowed else ("isolation/apps", ENFORCED)


async def _clients(world: World) -> None:
    for source in SOURCES:
        await results(world, source)


async def _apps(world: World) -> None:
    for space in "abcd":
        await pod_of(world, space)


PROBES = (
    Probe(
        "isolation/apps",
        "pods of all Spaces have addresses",
        "verify-pod",
        _apps,
        after=(app_of("a"), app_of("b"), app_of("c"), app_of("d")),
    ),
    Probe(
        ENFORCED,
        "the cluster enforces NetworkPolicies",
        "verify-not-enforced",
        _enforced,
        after=("isolation/apps",),
        seconds=300,
    ),
    Probe(
        "isolation/clients",
        "a client runs in each Space, and outside of all",
        "verify-pod",
        _clients,
        after=("isolation/apps",),
        seconds=300,
    ),
    *(
        Probe(
            f"isolation/{each.id}",
            each.text,
            "verify-not-reached" if each.allowed else "verify-reached",
            _check(each),
            after=_after(each),
            seconds=300,
        )
        for each in CONNECTIONS
    ),
)
