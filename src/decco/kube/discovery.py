"""Which kinds the cluster serves, and at which version; and which Kubernetes it is.

Kinds of one group need not share a version: of the Gateway API, ``HTTPRoute`` has been in ``v1`` for long while
``TLSRoute`` was still in ``v1alpha3``. So every version of the group is requested, the best one first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from decco.kube.client import Client
from decco.kube.errors import Garbled, NotFound, NotServed
from decco.objects import Obj, Resource

_VERSION: Final = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


class ServerVersion(NamedTuple):
    """Compares as one would expect: ``version >= (1, 34)``."""

    major: int
    minor: int


async def served(
    client: Client, group: str, accepts: Callable[[Resource], bool] = lambda _kind: True
) -> dict[str, Resource]:
    """The group's kinds by name, each at the preferred version or else at the best that has it; {} if it is absent.
    Versions of a kind that ``accepts`` rejects do not count.

    Costs one GET for the group and one per version of it.
    """
    try:
        answer = await client.raw(f"/apis/{group}")
    except (NotFound, NotServed):
        return {}
    versions = [v["version"] for v in _list(answer, "versions", "version")]
    preferred = (answer.get("preferredVersion") or {}).get("version")
    kinds: dict[str, Resource] = {}
    for version in sorted(versions, key=lambda v: (v == preferred, priority(v)), reverse=True):
        try:
            answer = await client.raw(f"/apis/{group}/{version}")
        except (NotFound, NotServed):  # its CustomResourceDefinition was deleted in between
            continue
        for entry in _list(answer, "resources", "name"):
            if "/" not in entry["name"]:  # "apps/status" and the like
                resource = Resource(
                    group, version, entry["name"], str(entry.get("kind")), bool(entry.get("namespaced"))
                )
                if accepts(resource):
                    kinds.setdefault(resource.kind, resource)
    return kinds


async def server_version(client: Client) -> ServerVersion:
    """The API server's version; a provider's suffix ("34+") is left out."""
    answer = await client.raw("/version")
    numbers = [re.match(r"\d+", str(answer.get(field))) for field in ("major", "minor")]
    if numbers[0] is None or numbers[1] is None:
        raise Garbled("the answer to /version names no major and minor version")
    return ServerVersion(int(numbers[0][0]), int(numbers[1][0]))


def priority(version: str) -> tuple[int, int, int]:
    """Greatest is best: v2, v1, v1beta1, v1alpha1, others, as k8s.io/apimachinery/pkg/version/helpers.go has it."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (0, 0, 0)
    major, stage, minor = match.groups()
    return ({None: 3, "beta": 2, "alpha": 1}[stage], int(major), int(minor or 0))


def _list(answer: Obj, field: str, needed: str) -> list[Obj]:
    """The entries of a discovery document, each with a text in ``needed``."""
    entries = answer.get(field) or []
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and isinstance(e.get(needed), str) for e in entries
    ):
        raise Garbled(f"a discovery document has no proper list of {field}")
    return entries
