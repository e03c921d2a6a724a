"""Mutual TLS out, from inside pods: Jobs whose containers speak plain text to the local ports of ``tlsEgresses``."""

from __future__ import annotations

from dataclasses import replace

from decco.frozen import frozen
from decco.objects import APPS, LABEL_APP, SECRETS, Obj, labels_of
from decco.verify import objects, pods
from decco.verify.groups.setup import app_of
from decco.verify.names import Names
from decco.verify.objects import LISTED, PRIVATE, TCP
from decco.verify.outcome import Failed, NotTested
from decco.verify.probe import Check, Probe
from decco.verify.world import World

JOB = "egress"
FIRST_PORT = 15001


@frozen
class Egress:
    """``target`` are fields of the egress, with {a} for the name of Space a; ``client`` is the certificate with which
    the pod calls, of a Secret of its own, "" for the Space's; ``trusts`` the authority that is in that Secret.
    ``control`` names the egress that shows that the target answers.
    """

    name: str
    text: str
    target: dict[str, str | bool]
    answer: str
    client: str = ""
    trusts: str = "a"
    control: str = ""
    space: str = "a"
    host: str = "127.0.0.1"


_MINE: dict[str, str | bool] = {"endpoint": "tcp"}
_PRIVATE: dict[str, str | bool] = {"endpoint": "private"}
_LISTED: dict[str, str | bool] = {"endpoint": "listed"}
_BY_SERVICE: dict[str, str | bool] = {"fqdn": "tcp.{a}.svc"}
_UNVERIFIED: dict[str, str | bool] = {"disableServerCertVerification": True}

EGRESSES = (
    Egress("own", "an egress reaches an endpoint of its Space", _MINE, f"a/web {TCP}"),
    Egress("ipv6", "its local port is on ::1 as well", _MINE, f"a/web {TCP}", host="::1", control="own"),
    Egress(
        "mutual",
        "an endpoint that verifies clients is reached with the Space's certificate",
        _PRIVATE,
        f"a/web {PRIVATE}",
    ),
    Egress(
        "listed",
        "an endpoint with allowedClients is reached with a certificate of a listed name",
        _LISTED,
        f"a/web {LISTED}",
        "listed",
    ),
    Egress(
        "other-space",
        "an endpoint of a Space without project is reached",
        {"endpoint": "tcp", "spaceName": "{c}"},
        f"c/web {TCP}",
        "right",
        "c",
    ),
    Egress(
        "unverified",
        "disableServerCertVerification reaches a server by another name",
        {**_BY_SERVICE, **_UNVERIFIED},
        f"a/web {TCP}",
    ),
    Egress(
        "wrong-client",
        "a client certificate of a strange authority gets no answer",
        _PRIVATE,
        "",
        "stranger",
        control="mutual",
    ),
    Egress("expired-client", "an expired client certificate gets no answer", _PRIVATE, "", "expired", control="mutual"),
    Egress(
        "not-listed", "a client certificate of another name gets no answer", _LISTED, "", "other-name", control="listed"
    ),
    Egress(
        "wrong-server",
        "a server of an authority that is not trusted is refused",
        _MINE,
        "",
        "right",
        "stranger",
        control="own",
    ),
    Egress(
        "wrong-server-name",
        "a server whose certificate is for other names is refused",
        _BY_SERVICE,
        "",
        control="unverified",
    ),
    Egress(
        "other-project",
        "an endpoint of a Space of another project is not reached",
        {"endpoint": "tcp", "spaceName": "{b}"},
        "",
        control="own",
    ),
    Egress(
        "no-client",
        "a client without a certificate gets no answer",
        {"fqdn": "private.{c}.svc", **_UNVERIFIED},
        "",
        space="d",
        control="no-client-control",
    ),
    Egress(
        "no-client-control",
        "a client without a certificate reaches an endpoint that does not verify it",
        {"fqdn": "tcp.{c}.svc", **_UNVERIFIED},
        f"c/web {TCP}",
        space="d",
    ),
)


WITHOUT_CERTIFICATE = "d"
"""A Space whose egresses have no certificate. Where the settings name an issuer it would be asked for one."""


def _listed(space: str) -> list[tuple[int, Egress]]:
    """Local port and egress of those that run in a Space."""
    return list(enumerate((each for each in EGRESSES if each.space == space), FIRST_PORT))


def _secret(names: Names, egress: Egress) -> str:
    return names.secret(f"client-{egress.name}")


async def results(world: World, space: str) -> dict[str, bool]:
    return await world.once(("egress", space), lambda: _run(world, space))


async def _run(world: World, space: str) -> dict[str, bool]:
    names = world.names
    for _, egress in _listed(space):
        if egress.client:
            await world.client.create(SECRETS, _own_secret(world, egress))
    targets = [
        pods.PortCheck(egress.name, bool(egress.answer), ("http", egress.host, str(port), _pattern(egress)))
        for port, egress in _listed(space)
    ]
    pod = pods.client(world.image, targets, world.user)
    egresses = [_declared(names, port, egress) for port, egress in _listed(space)]
    app = objects.app(names, space, JOB, pod, runAsJob=True, jobBackoffLimit=0, endpoints=[], tlsEgresses=egresses)
    await world.client.create(APPS, app)
    return await world.client_results(names.space(space), lambda found: labels_of(found).get(LABEL_APP) == JOB)


def _pattern(egress: Egress) -> str:
    """A regular expression without a space: targets are lines of words."""
    return egress.answer.replace(" ", ".") or "web"


def _own_secret(world: World, egress: Egress) -> Obj:
    leaf = world.material.clients[egress.client]
    authority = world.material.authorities.get(egress.trusts, world.material.stranger)
    trusting = replace(leaf, ca=authority.cert)
    name, namespace = _secret(world.names, egress), world.names.space(egress.space)
    return objects.secret(world.names, name, trusting, namespace=namespace)


def _declared(names: Names, port: int, egress: Egress) -> Obj:
    spaces = {word: names.space(word) for word in "abc"}
    target = {key: value.format(**spaces) if isinstance(value, str) else value for key, value in egress.target.items()}
    own = {"certAndCaSecretName": _secret(names, egress)} if egress.client else {}
    return {"localPort": port, **target, **own}


def _check(egress: Egress) -> Check:
    async def check(world: World) -> None:
        if egress.space == WITHOUT_CERTIFICATE and world.settings.certificates.issuer_name is not None:
            raise NotTested("the issuer in the setting certificates.issuerName gives every client a certificate")
        found = await results(world, egress.space)
        if egress.control and not found.get(egress.control):
            raise NotTested(f"it says nothing while egress/{egress.control} gets no answer")
        reached = found.get(egress.name, False)
        if reached and not egress.answer:
            raise Failed("the target answered", "verify-egress-open")
        if not reached and egress.answer:
            if egress.name == "ipv6":
                raise NotTested("no answer at ::1, which pods do not have in every cluster")
            raise Failed("the target did not answer")

    return check


PROBES = tuple(
    Probe(
        f"egress/{egress.name}",
        egress.text,
        "verify-egress" if egress.answer else "verify-egress-open",
        _check(egress),
        after=(app_of("a"), app_of("b"), app_of("c"), app_of("d")),
        seconds=300,
    )
    for egress in EGRESSES
)
