"""Which kinds of other projects this cluster serves, and which of them the settings require."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from decco.desired.model import Served
from decco.kube import discovery
from decco.kube.client import Client
from decco.kube.errors import ApiError, Garbled
from decco.log import get_logger
from decco.objects import GROUP
from decco.reconcilers.caches import Kind
from decco.reconcilers.kinds import KINDS
from decco.settings import RoutingSettings

log = get_logger(__name__)

INSTALL_CRDS = "`decco crds | kubectl apply --server-side -f -`"
NOT_INSTALLED = f"the cluster does not serve Spaces and Apps ({GROUP}): install them with {INSTALL_CRDS}"


async def discover(
    client: Client, routing: RoutingSettings, known: Served | None = None, kinds: Sequence[Kind] = KINDS
) -> Served:
    """Requests discovery; kinds that are not needed now are included, so that their old children can be removed. A
    group that is not needed and whose discovery fails is taken from ``known``.
    """
    known = known or {}
    accepted = {kind.resource: kind.versions for kind in kinds if kind.versions}
    found: Served = {}
    for group in dict.fromkeys(resource.group for resource in accepted):
        try:
            served = await discovery.served(client, group, lambda each: each.version in accepted.get(each, ()))
        except (ApiError, Garbled) as error:
            needed = (kind for kind in kinds if kind.versions and kind.searched and kind.is_needed(routing))
            if any(kind.resource.group == group for kind in needed):
                raise
            log.warning("a group that the settings do not need cannot be discovered", group=group, error=str(error))
            served = {kind.kind: kind for kind in known.values() if kind.group == group}
        found = {**found, **{kind: kind for kind in served.values()}}
    return {kind: found[kind] for kind in accepted if kind in found}


def versions(served: Served) -> dict[str, str]:
    """The version of each kind, which is ignored when kinds are compared."""
    return {str(kind): kind.version for kind in served.values()}


def missing(served: Served, routing: RoutingSettings, kinds: Iterable[Kind] = KINDS) -> list[str]:
    """Kinds that the settings need and the cluster does not serve."""
    needed = {kind.resource for kind in kinds if kind.versions and kind.searched and kind.is_needed(routing)}
    return sorted(kind.kind for kind in needed if kind not in served)
