"""Connections out of a Space with ``egressPolicy: Declared``: what an App names is reached, all else is not.

Space e declares. A connection that must not be is evidence only if a pod outside of all Spaces makes it.
"""

from __future__ import annotations

from dataclasses import replace

from decco.desired.names import pods_service
from decco.frozen import frozen
from decco.objects import APPS, LABEL_APP, SECRETS, labels_of
from decco.verify import objects, pods
from decco.verify.groups import isolation
from decco.verify.groups.isolation import ENFORCED, OUTSIDE
from decco.verify.groups.setup import app_of
from decco.verify.objects import TCP, UNDECLARED, WEB
from decco.verify.outcome import Failed, NotTested
from decco.verify.probe import Check, Probe
from decco.verify.world import World

JOB = "declares"
LOCAL_PORT = 17100


@frozen
class Connection:
    """``control``: for what must be closed, the connection of a pod outside of all Spaces that must be open."""

    name: str
    text: str
    control: str = ""


CONNECTIONS = (
    Connection("endpoint", "with egressPolicy Declared the target of a tlsEgress is reached"),
    Connection("own-space", "with egressPolicy Declared any port of the own Space is reached"),
    Connection(
        "pod-name", "with egressPolicy Declared names of the cluster are resolved, those of a StatefulSet's pods too"
    ),
    Connection(
        "undeclared", "with egressPolicy Declared an endpoint that is not declared is not reached", "outside-to-c-http"
    ),
    Connection("api-server", "with egressPolicy Declared the API server is not reached", isolation.API),
)


async def _results(world: World) -> dict[str, bool]:
    return await world.once("declared", lambda: _run(world))


async def _run(world: World) -> dict[str, bool]:
    names = world.names
    (own, _), (other, _) = await isolation.pod_of(world, "e"), await isolation.pod_of(world, "c")
    headless = f"timed-0.{pods_service('timed')}.{names.space('e')}.svc"
    words = {
        "endpoint": ("http", "127.0.0.1", str(LOCAL_PORT), f"c/web.{TCP}"),
        "own-space": ("tcp", own, str(UNDECLARED)),
        "pod-name": ("tcp", headless, str(WEB)),
        "undeclared": ("tcp", other, str(WEB)),
        "api-server": isolation.API_SERVER,
    }
    targets = [pods.PortCheck(each.name, not each.control, words[each.name]) for each in CONNECTIONS]
    pod = pods.client(world.image, targets, world.user)
    leaf = world.material.authorities["e"].leaf(names.host("e", JOB))
    trusting = replace(leaf, ca=world.material.authorities["c"].cert)
    secret = names.secret("e-egress")
    await world.client.create(SECRETS, objects.secret(names, secret, trusting, namespace=names.space("e")))
    egress = {"localPort": LOCAL_PORT, "endpoint": "tcp", "spaceName": names.space("c"), "certAndCaSecretName": secret}
    app = objects.app(names, "e", JOB, pod, runAsJob=True, jobBackoffLimit=0, endpoints=[], tlsEgresses=[egress])
    await world.client.create(APPS, app)
    return await world.client_results(names.space("e"), lambda found: labels_of(found).get(LABEL_APP) == JOB)


def _check(connection: Connection) -> Check:
    async def check(world: World) -> None:
        reached = (await _results(world)).get(connection.name, False)
        if not connection.control:
            if not reached:
                raise Failed("no connection")
            return
        if not (await isolation.results(world, OUTSIDE)).get(connection.control):
            raise NotTested("a pod outside of all Spaces does not reach it either")
        if reached:
            raise Failed("connected", "verify-egress-undeclared")

    return check


PROBES = tuple(
    Probe(
        f"egress/declared-{each.name}",
        each.text,
        "verify-egress-undeclared" if each.control else "verify-not-reached",
        _check(each),
        after=(app_of("e"), app_of("e", "timed"), app_of("c"), *((ENFORCED,) if each.control else ())),
        seconds=300,
    )
    for each in CONNECTIONS
)
