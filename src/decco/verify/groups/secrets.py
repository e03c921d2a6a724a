"""Consent to copies of Secrets: given, missing, withdrawn, and what HTTPS makes of it.

The Apps ``lent``, ``unlabelled`` and so on have no pods; the endpoint of each names a Secret of decco's namespace.
"""

from __future__ import annotations

from decco.api.conditions import condition_of
from decco.objects import ANNOTATION_SHARE_WITH, APPS, SECRETS, Key, Obj, uid_of
from decco.verify import objects, pods
from decco.verify.edge import Refused, Request
from decco.verify.groups.routing import ANSWER_SECONDS, expect
from decco.verify.groups.setup import app_of, space
from decco.verify.objects import WEB
from decco.verify.outcome import Failed, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

LENT, UNLABELLED, ELSEWHERE, GARBLED, DELETED = "lent", "unlabelled", "elsewhere", "garbled", "deleted"
WORDS = (LENT, UNLABELLED, ELSEWHERE, GARBLED, DELETED)
SECONDS = 12.0
DELETED_SECONDS = 45.0
"""A deleted source may be on its way back, so decco waits 30 s."""


async def _consented(world: World) -> None:
    names = world.names
    fqdn, leaf = names.fqdn("c"), world.material.lent
    sources = {word: objects.secret(names, names.secret(word), leaf, fqdn) for word in WORDS}
    sources[UNLABELLED] = objects.secret(names, names.secret(UNLABELLED), leaf)
    sources[ELSEWHERE] = objects.secret(names, names.secret(ELSEWHERE), leaf, names.fqdn("a"))
    for source in sources.values():
        await world.client.create(SECRETS, source)
    for word in WORDS:
        pod = pods.server(world.image, word, [WEB], world.user)
        listed = [{"name": word, "port": WEB, "certAndCaSecretName": names.secret(word)}]
        app = objects.app(names, "c", word, pod, endpoints=listed, initialReplicas=0)
        await world.client.create(APPS, app)
    await eventually(lambda: _copied(world, LENT), SECONDS)
    await eventually(lambda: _copied(world, DELETED), SECONDS)
    await eventually(lambda: _copied(world, GARBLED), SECONDS)


async def _copied(world: World, word: str) -> Obj:
    copy = await world.find(SECRETS, Key(world.names.space("c"), world.names.secret(word)))
    if copy is None:
        raise Failed(f"Secret {world.names.secret(word)} is not copied although its owner consents")
    return copy


async def _absent(world: World, word: str) -> None:
    if await world.find(SECRETS, Key(world.names.space("c"), world.names.secret(word))) is not None:
        raise Failed(f"a copy of Secret {world.names.secret(word)} exists without the consent of its owner")


async def _reported(world: World, word: str, *, wrong: bool = True) -> None:
    """The App's condition names the Secret, or does not."""
    condition = condition_of(await world.get(APPS, word, "c"), "CertificatesReady")
    named = world.names.secret(word) in str(condition.get("message"))
    if wrong and (condition.get("status") == "True" or not named):
        raise Failed(f"CertificatesReady of the App does not name Secret {world.names.secret(word)}")
    if not wrong and named and condition.get("status") != "True":
        raise Failed(f"CertificatesReady of the App still names Secret {world.names.secret(word)}")


def _not_copied(word: str) -> Check:
    async def check(world: World) -> None:
        await eventually(lambda: _reported(world, word), SECONDS)
        await _absent(world, word)

    return check


async def _share(world: World, name: str, fqdn: str) -> None:
    patch = {"metadata": {"annotations": {ANNOTATION_SHARE_WITH: fqdn}}}
    await world.client.patch(SECRETS, Key(world.names.controller, name), patch)


async def _given(world: World) -> None:
    await _share(world, world.names.secret(ELSEWHERE), world.names.fqdn("c"))
    await eventually(lambda: _copied(world, ELSEWHERE), SECONDS)
    await eventually(lambda: _reported(world, ELSEWHERE, wrong=False), SECONDS)


async def _withdrawn(world: World) -> None:
    await _share(world, world.names.secret(LENT), world.names.fqdn("a"))
    await eventually(lambda: _absent(world, LENT), SECONDS)
    await eventually(lambda: _reported(world, LENT), SECONDS)


async def _last_good(world: World) -> None:
    """A source whose key does not fit is reported; the copy from before stays."""
    name = world.names.secret(GARBLED)
    other = world.material.authorities["c"].leaf("other.test")
    data = objects.encoded({"tls.key": other.key})
    await world.client.patch(SECRETS, Key(world.names.controller, name), {"data": data})
    await eventually(lambda: _reported(world, GARBLED), SECONDS)
    copy = await _copied(world, GARBLED)
    if copy["data"] != objects.encoded(world.material.lent.data):
        raise Failed("the copy has the content that cannot be used")


async def _deleted(world: World) -> None:
    key = Key(world.names.controller, world.names.secret(DELETED))
    source = await world.client.get(SECRETS, key)
    await world.client.delete(SECRETS, key, uid=uid_of(source))
    await eventually(lambda: _absent(world, DELETED), DELETED_SECONDS)


async def _https_ends(world: World) -> None:
    await _share(world, world.names.secret("d-http"), world.names.fqdn("a"))

    async def ended() -> None:
        try:
            answer = await world.request(Request(world.names.fqdn("d"), "/verify/who"))
        except Refused:
            return
        if answer.status == 200:
            raise Failed("HTTPS of a Space is answered although the consent to its certificate was withdrawn")

    await eventually(ended, ANSWER_SECONDS)


async def _https_returns(world: World) -> None:
    await _share(world, world.names.secret("d-http"), world.names.fqdn("d"))
    request, leaf = Request(world.names.fqdn("d"), "/verify/who"), world.material.web["d"].digest
    await eventually(lambda: expect(world, request, "d/web", certificate=leaf), ANSWER_SECONDS)


def _probe(name: str, text: str, check: Check, *after: str, seconds: float = 40.0) -> Probe:
    return Probe(
        f"secrets/{name}", text, "verify-consent", check, after=after or ("secrets/consented",), seconds=seconds
    )


PROBES = (
    _probe("consented", "a Secret whose owner consents is copied", _consented, space("c")),
    _probe("not-labelled", "a Secret without the label is not copied, and the App reports it", _not_copied(UNLABELLED)),
    _probe(
        "not-shared", "a Secret shared with another Space is not copied, and the App reports it", _not_copied(ELSEWHERE)
    ),
    _probe("given-later", "consent that is given later leads to the copy", _given, "secrets/not-shared"),
    _probe("withdrawn", "withdrawn consent removes the copy, and the App reports it", _withdrawn),
    _probe("last-good", "a source that cannot be used is reported, and the last good copy stays", _last_good),
    _probe("deleted", "a deleted source removes the copy after a while", _deleted, seconds=60.0),
    _probe("https-ends", "withdrawn consent ends HTTPS of the Space", _https_ends, "routing/http-project", app_of("d")),
    _probe("https-returns", "HTTPS returns with the consent", _https_returns, "secrets/https-ends"),
)
