"""All checks in their order; the failure of one check does not affect the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from decco.errors import ConfigError
from decco.kube.client import Client
from decco.kube.errors import Forbidden, KubeError, NotFound, NotServed
from decco.reconcilers.discover import discover
from decco.settings import Settings
from decco.settings.load import WrongSettings
from decco.views import running as running_
from decco.views.preflight import cluster, controller, edge
from decco.views.preflight.model import Check, ClusterContext, Grade
from decco.views.refusals import permission_lacking

CHECKS: Mapping[str, Callable[[ClusterContext], Awaitable[list[Check]]]] = {
    "api server": cluster.api_server,
    "clock": cluster.clock,
    "crds": cluster.custom_resources,
    "policies": cluster.admission,
    "permissions": controller.permissions,
    "controller": controller.running,
    "routing": edge.routing,
    "edge": edge.access,
    "dns": edge.dns,
    "secrets": controller.shared_secrets,
    "objects": controller.objects,
}


async def check(
    client: Client, local: Settings, environ: Mapping[str, str], *, given: bool, account: str
) -> list[Check]:
    """Run all checks. ``given``: the settings come from a local file and not from the running controller.

    Raises KubeError if the API server cannot be reached at all.
    """
    running = await running_.look(client, local.namespace)
    settings, found = local, []
    if not given:
        try:
            settings = running_.settings_in_force(running, local, environ)
        except WrongSettings as error:
            found += [Check("settings", Grade.FAILURE, line) for line in error.lines]
    if not found:
        where = (
            "the file given" if given else running.text.place if running.text is not None else "defaults and variables"
        )
        hidden = not given and running.hidden
        text = f"you may not read the controller's: {where} taken" if hidden else f"valid: {where}"
        found.append(Check("settings", Grade.UNKNOWN if hidden else Grade.OK, text))
    served = await discover(client, settings.routing)
    context = ClusterContext(client, settings, running, served, datetime.now(UTC), account)
    results = await asyncio.gather(*(_run(name, check, context) for name, check in CHECKS.items()))
    order = [results[0], results[1], found, *results[2:]]
    return [check for each in order for check in each]


async def _run(
    name: str, check: Callable[[ClusterContext], Awaitable[list[Check]]], context: ClusterContext
) -> list[Check]:
    try:
        return await check(context)
    except Forbidden as error:
        return [Check(name, Grade.UNKNOWN, _may_not(error))]
    except (NotFound, NotServed) as error:
        return [
            Check(
                name,
                Grade.FAILURE,
                f"the cluster does not know what is asked for, install or upgrade what serves it: {error.message}",
            )
        ]
    except (KubeError, ConfigError) as error:
        return [Check(name, Grade.FAILURE, f"the check could not be completed: {error}")]


def _may_not(error: Forbidden) -> str:
    lacking = permission_lacking(error)
    return f"you may not {lacking}; a platform operator may" if lacking else f"you may not look: {error.message}"
