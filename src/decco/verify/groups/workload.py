"""What a tenant is promised of the workload itself: a StatefulSet, metadata of pods, a Job that ends, and suspension.

The Job is the client of the group egress; the rest is the App timed of Space e, which is suspended once its timeouts
were tried.
"""

from __future__ import annotations

from decco.api.conditions import has_status
from decco.desired.suspension import RETRY_AFTER
from decco.objects import APPS, HTTP_ROUTES, JOBS, LABEL_APP, SERVICES, STATEFUL_SETS, Key, Obj
from decco.settings import RoutingBackend
from decco.verify import objects
from decco.verify.edge import Answer, Refused, Request
from decco.verify.groups import egress
from decco.verify.groups.routing import ANSWER_SECONDS, EDGE, expect
from decco.verify.groups.setup import app_of
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

APP = "timed"
PATH = "/untimed/who"
JOB_SECONDS = 30.0
"""For the sidecar to end, and the Job controller."""


async def _pod(world: World) -> Obj:
    found = await world.pods("e", APP)
    if [pod["metadata"]["name"] for pod in found] != [f"{APP}-0"]:
        raise Failed(f"App {APP} has the pods {', '.join(pod['metadata']['name'] for pod in found) or 'none'}")
    return found[0]


async def _stateful_set(world: World) -> None:
    await world.get(STATEFUL_SETS, APP, "e")
    await _pod(world)


async def _metadata(world: World) -> None:
    meta = (await _pod(world))["metadata"]
    for kind, wanted in objects.POD_METADATA.items():
        lacking = sorted(wanted.items() - (meta.get(kind) or {}).items())
        if lacking:
            raise Failed(f"pod {meta['name']} has not the {kind} {dict(lacking)} of podMetadata")


async def _job(world: World) -> None:
    """Its pod ends by itself, although the TLS sidecar has no end of its own.

    The App is not Ready: some of its egresses are wrong on purpose.
    """
    await egress.results(world, "a")

    async def ended() -> None:
        jobs = await world.listed(JOBS, world.names.space("a"), f"{LABEL_APP}={egress.JOB}")
        if not any(has_status(job, "Complete") for job in jobs):
            raise Failed("the container of a Job has ended, and the Job is not complete")

    await eventually(ended, JOB_SECONDS)


async def _suspend(world: World, suspended: bool) -> None:
    await world.client.patch(APPS, Key(world.names.space("e"), APP), {"spec": {"suspend": suspended}})


async def _no_pods(world: World) -> None:
    await _suspend(world, True)

    async def gone() -> None:
        if left := await world.pods("e", APP):
            raise Failed(f"{len(left)} pods are left")
        await world.app_ready("e", APP)

    await eventually(gone, world.patience, stretched=False)
    if not await world.listed(SERVICES, world.names.space("e"), f"{LABEL_APP}={APP}"):
        raise Failed("the App has no Service any more")


async def _answer(world: World) -> Answer:
    """The edge's own answer for the suspended App."""
    request = Request(world.names.fqdn("e"), PATH)

    async def unavailable() -> Answer:
        try:
            answer = await world.request(request)
        except Refused as error:
            raise Failed(f"https://{request.server}{PATH} does not answer: {error}") from error
        if answer.status != 503:
            raise Failed(f"https://{request.server}{PATH} answers {answer.status} while the App is suspended, not 503")
        return answer

    return await eventually(unavailable, ANSWER_SECONDS)


async def _unavailable(world: World) -> None:
    await _answer(world)


async def _retry_after(world: World) -> None:
    if world.settings.routing.backend is not RoutingBackend.GATEWAY:
        raise NotTested("routes of an Ingress controller cannot ask for Retry-After")
    answer = await _answer(world)
    if answer.headers.get("retry-after") == RETRY_AFTER:
        return
    routes = await world.listed(HTTP_ROUTES, world.names.space("e"), f"{LABEL_APP}={APP}")
    lacking = [route["metadata"]["name"] for route in routes if not _asks_to_retry(route)]
    if lacking or not routes:
        raise Failed(f"the routes {', '.join(lacking)} do not ask for the header Retry-After")
    raise NotTested("the gateway does not add headers of a route to its own answers")


def _asks_to_retry(route: Obj) -> bool:
    filters = [each for rule in route["spec"].get("rules") or () for each in rule.get("filters") or ()]
    headers = [each.get("responseHeaderModifier") or {} for each in filters]
    return any(item.get("name") == "Retry-After" for each in headers for kind in each.values() for item in kind)


async def _resumed(world: World) -> None:
    await _suspend(world, False)
    await eventually(lambda: world.app_ready("e", APP), world.patience, stretched=False)
    await _pod(world)
    await eventually(lambda: expect(world, Request(world.names.fqdn("e"), PATH), f"e/{APP}"), ANSWER_SECONDS)


TIMED, SUSPENDED = app_of("e", APP), "workload/suspended"
_BEHIND = (
    "limits/unlimited",
    "limits/endpoint-request",
    "limits/endpoint-idle",
    "limits/endpoint-idle-tcp",
    "egress/declared-pod-name",
    "workload/stateful-set",
    "workload/pod-metadata",
)


def _probe(
    name: str, text: str, check: Check, *after: str, message: str = "verify-workload", behind: tuple[str, ...] = ()
) -> Probe:
    return Probe(f"workload/{name}", text, message, check, after, behind, seconds=300.0)


PROBES = (
    _probe("stateful-set", "an App with statefulSet is a StatefulSet, with pods of fixed names", _stateful_set, TIMED),
    _probe("pod-metadata", "pods have the labels and annotations of podMetadata", _metadata, TIMED),
    _probe("job", "an App that runs as a Job ends when its container does, beside the TLS sidecar", _job, "egress/own"),
    _probe(
        "suspended",
        "a suspended App has no pods and is Ready",
        _no_pods,
        TIMED,
        message="verify-suspend",
        behind=_BEHIND,
    ),
    _probe(
        "unavailable",
        "the edge answers 503 for a suspended App",
        _unavailable,
        SUSPENDED,
        "limits/unlimited",
        message="verify-suspend",
    ),
    _probe(
        "retry-after",
        "the edge's answer for a suspended App has Retry-After",
        _retry_after,
        "workload/unavailable",
        message="verify-suspend",
    ),
    _probe(
        "resumed",
        "an App that is not suspended any more has its pods again, and answers",
        _resumed,
        SUSPENDED,
        EDGE,
        message="verify-suspend",
        behind=("workload/unavailable", "workload/retry-after"),
    ),
)
