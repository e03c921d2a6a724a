"""The controller works, and the Spaces and Apps of the run are Ready: all other probes need that."""

from __future__ import annotations

from typing import Any

from decco.objects import APPS, LEASES, SECRETS, SPACES, Key, Obj
from decco.verify import objects, pods
from decco.verify.objects import SHARE, TCP, UNDECLARED, WEB
from decco.verify.outcome import Failed, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

CONTROLLER = "setup/controller"


async def _noticed(world: World) -> None:
    """Without a Lease, a controller is known by what it writes."""
    found = await world.get(SPACES, world.names.space("a"))
    if (found.get("status") or {}).get("observedGeneration", -1) < 0:
        raise Failed("no controller has written the status of a new Space: it does not run, or elsewhere")


async def _controller(world: World) -> None:
    election = world.settings.leader_election
    if not election.enabled:
        await eventually(lambda: _noticed(world), election.lease_seconds)
        return
    key = Key(world.settings.namespace, election.lease_name)
    first: list[Obj] = []

    async def renewed() -> None:
        lease = await world.find(LEASES, key)
        spec = (lease or {}).get("spec") or {}
        if not spec.get("holderIdentity"):
            raise Failed(f"nobody holds the Lease {key}: the controller does not run, or elsewhere")
        first.append(spec)
        if spec == first[0]:
            raise Failed(f"{spec['holderIdentity']} holds the Lease {key} and does not renew it")

    await eventually(renewed, election.lease_seconds)


def _space(space: str) -> Check:
    async def check(world: World) -> None:
        await eventually(lambda: world.space_ready(space), world.patience, stretched=False)

    return check


def _app(space: str, name: str) -> Check:
    async def check(world: World) -> None:
        await world.client.create(APPS, app(world, space, name))
        await eventually(lambda: world.app_ready(space, name), world.patience, stretched=False)

    return check


def app(world: World, space: str, name: str) -> Obj:
    """The App of this name. ``mended`` has no pods: only its objects are tried."""
    names = world.names
    listed: dict[str, Any] = {
        "web": objects.endpoints(names, space),
        "mended": [
            {"name": "mended", "port": WEB, "httpPath": "/mended"},
            {"name": "mended-tcp", "port": TCP},
        ],
        "gone": [
            {"name": "gone", "port": WEB, "httpPath": "/gone"},
            {"name": "gone-tcp", "port": TCP, "createDnsRecord": True},
        ],
        "share": [{"name": "share", "port": WEB, "httpPath": "/shared"}],
        "timed": objects.timed_endpoints(),
        "limited": objects.limited_endpoints(),
    }
    own = list(dict.fromkeys(each["port"] for each in listed[name]))
    pod = pods.server(world.image, f"{space}/{name}", [*own, UNDECLARED] if name == "web" else own, world.user)
    return objects.app(names, space, name, pod, endpoints=listed[name], **_MORE.get(name, {}))


_MORE: dict[str, dict[str, Any]] = {
    "mended": {"initialReplicas": 0},
    "share": {"canaryOf": "web", "weight": SHARE},
    "timed": {"statefulSet": {}, "podMetadata": objects.POD_METADATA},
}
"""Fields of single Apps beside pod and endpoints."""


def _wants_secrets(space: str) -> Check:
    async def check(world: World) -> None:
        wanted = {"http": world.material.web[space], "tcp": world.material.tcp[space]}

        async def copied() -> None:
            for kind, leaf in wanted.items():
                name = world.names.secret(f"{space}-{kind}")
                found = await world.get(SECRETS, name, space)
                if found.get("data") != objects.encoded(leaf.data) or found.get("type") != "kubernetes.io/tls":
                    raise Failed(f"the copy of Secret {name} differs from its source in content or type")

        await eventually(copied, 10)

    return check


def space(word: str) -> str:
    """The probe that a Space is Ready."""
    return f"setup/space-{word}"


def app_of(word: str, name: str = "web") -> str:
    """The probe that an App is Ready."""
    return f"setup/app-{word}-{name}"


_TEXTS = {
    "a": "a Space with a project, a further host name and all Secrets is Ready",
    "b": "a Space of another project, encrypted up to the pod, is Ready",
    "c": "a Space without a project is Ready",
    "d": "a second Space of the first project is Ready",
    "e": "a Space with further names over HTTPS and declared egress is Ready",
    "f": "a Space with limits is Ready, or names those that its edge does not keep",
    "g": "a Space with an isolation is Ready",
}

APPS_OF_THE_RUN = (
    *((word, "web") for word in "abcde"),
    ("c", "mended"),
    ("c", "gone"),
    ("e", "share"),
    ("e", "timed"),
    ("f", "limited"),
)

PROBES = (
    Probe(CONTROLLER, "a controller works, and renews its Lease", "verify-controller", _controller),
    *(
        Probe(space(word), text, "verify-not-ready", _space(word), after=(CONTROLLER,), seconds=600)
        for word, text in _TEXTS.items()
    ),
    *(
        Probe(
            app_of(word, name),
            f"App {name} of Space {word} is Ready",
            "verify-not-ready",
            _app(word, name),
            after=(space(word),),
            seconds=600,
        )
        for word, name in APPS_OF_THE_RUN
    ),
    *(
        Probe(
            f"setup/secrets-{word}",
            f"the Secrets of Space {word} are copied as they are",
            "verify-secret",
            _wants_secrets(word),
            after=(space(word),),
        )
        for word in ("a", "b", "c", "e")
    ),
)
