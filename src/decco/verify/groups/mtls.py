"""Mutual TLS in: who is admitted to an endpoint that verifies its clients."""

from __future__ import annotations

from decco.verify.edge import Refused, Request
from decco.verify.groups.routing import ANSWER_SECONDS, expect
from decco.verify.groups.setup import app_of
from decco.verify.objects import LISTED, PRIVATE, TCP
from decco.verify.outcome import Failed, eventually
from decco.verify.probe import Check, Probe
from decco.verify.world import World

PORTS = {"tcp": TCP, "private": PRIVATE, "listed": LISTED}
BY_NAME = {"private": "mtls/right", "listed": "mtls/listed"}
"""The probe that shows that the endpoint answers at all."""

ADMITTED = (
    ("right", "private", "right", "a client with a certificate of the Space's authority is admitted"),
    ("listed", "listed", "listed", "allowedClients accepts a client whose certificate has a listed name"),
    ("not-verified", "tcp", "", "an endpoint without verification accepts a client without a certificate"),
    ("not-verified-stranger", "tcp", "stranger", "an endpoint without verification accepts any certificate"),
)
REFUSED = (
    ("missing", "private", "", "a client without a certificate is refused"),
    ("stranger", "private", "stranger", "a certificate of a strange authority is refused"),
    ("other-space", "private", "other-space", "a certificate of another Space's authority is refused"),
    ("self-signed", "private", "self-signed", "a self-signed certificate is refused"),
    ("expired", "private", "expired", "an expired certificate is refused"),
    ("not-yet-valid", "private", "not-yet-valid", "a certificate that is not valid yet is refused"),
    ("listed-missing", "listed", "", "allowedClients refuses a client without a certificate"),
    ("listed-other-name", "listed", "other-name", "allowedClients refuses a name that is not listed"),
    ("listed-stranger", "listed", "listed-stranger", "allowedClients refuses a listed name of a strange authority"),
    ("listed-common-name", "listed", "common-name", "allowedClients does not look at the common name"),
    ("listed-wildcard", "listed", "wildcard", "allowedClients does not expand a wildcard in the certificate"),
)
"""Name, endpoint, certificate of ``material.clients``, promise."""


def _admitted(endpoint: str, client: str) -> Check:
    async def check(world: World) -> None:
        request = Request(world.names.host("a", endpoint), "/who")
        await eventually(lambda: expect(world, request, f"a/web {PORTS[endpoint]}", client), ANSWER_SECONDS)

    return check


def _refused(endpoint: str, client: str) -> Check:
    async def check(world: World) -> None:
        name = world.names.host("a", endpoint)
        try:
            answer = await world.request(Request(name, "/who"), client)
        except Refused:
            return
        raise Failed(f"{name} answers {answer.status} to a client with {client or 'no'} certificate")

    return check


PROBES = (
    *(
        Probe(f"mtls/{name}", text, "verify-client-refused", _admitted(endpoint, client), (app_of("a"), "routing/edge"))
        for name, endpoint, client, text in ADMITTED
    ),
    *(
        Probe(f"mtls/{name}", text, "verify-client-admitted", _refused(endpoint, client), (BY_NAME[endpoint],))
        for name, endpoint, client, text in REFUSED
    ),
)
