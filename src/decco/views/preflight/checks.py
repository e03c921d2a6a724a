"""All checks in their order; the failure of one check does not affect the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

from decco.errors import ConfigError
from decco.kube.client import Client
from decco.kube.errors import Forbidden, KubeError, NotFound, NotServed
from decco.reconcilers.discover import discover
from decco.settings import Settings
from decco.settings.load import WrongSettings
from decco.views import running as running_
from decco.views.findings import Finding, permission_lacking
from decco.views.preflight import cluster, controller, edge, egress, isolation, mesh, needs, placement, zones
from decco.views.preflight.model import ClusterContext

Check = Callable[[ClusterContext], AsyncIterator[Finding]]
CHECKS: Mapping[str, Check] = {
    "api server": cluster.api_server,
    "clock": cluster.clock,
    "crds": cluster.custom_resources,
    "policies": cluster.admission,
    "permissions": controller.permissions,
    "controller": controller.running,
    "routing": edge.routing,
    "edge": edge.access,
    "dns": edge.dns,
    "egress": egress.egress,
    "isolation": isolation.isolation,
    "mesh": mesh.mesh,
    "zones": zones.zones,
    "placement": placement.placement,
    "secrets": controller.shared_secrets,
    "issuers": needs.issuers,
    "limits": needs.limits,
    "sidecar": needs.sidecar,
    "autoscalers": needs.autoscalers,
    "objects": controller.objects,
}


async def check(client: Client, local: Settings, *, given: bool, account: str) -> list[Finding]:
    """Run all checks. ``given``: the settings come from a local file and not from the running controller.

    Raises KubeError if the API server cannot be reached at all.
    """
    running = await running_.read_running(client, local.namespace)
    settings, found = local, []
    try:
        if not given and running.found:
            settings = running_.settings_in_force(running, local)
        place = running.text.place if running.text is not None else "defaults and variables"
        found.append(
            Finding("settings", f"you may not read the controller's: {place} taken", "settings-hidden")
            if running.hidden and not given
            else Finding("settings", f"valid: {'the file given' if given else place}")
        )
    except WrongSettings as error:
        found += [Finding("settings", line, "settings-wrong") for line in error.lines]
    served = await discover(client, settings.routing)
    context = ClusterContext(client, settings, running, served, datetime.now(UTC), account)
    results = await asyncio.gather(*(run(name, check, context) for name, check in CHECKS.items()))
    return [finding for each in (*results[:2], found, *results[2:]) for finding in each]


async def run(name: str, check: Check, context: ClusterContext) -> list[Finding]:
    """The findings of one check; an error that keeps it from being completed is its only one."""
    try:
        return [finding async for finding in check(context)]
    except Forbidden as error:
        lacking = permission_lacking(error)
        text = f"you may not {lacking}; a platform operator may" if lacking else f"you may not look: {error.message}"
        return [Finding(name, text, "check-forbidden")]
    except (NotFound, NotServed) as error:
        text = f"the cluster does not know what is asked for, install or upgrade what serves it: {error.message}"
        return [Finding(name, text, "check-not-served")]
    except (KubeError, ConfigError) as error:
        return [Finding(name, f"the check could not be completed: {error}", "check-failed")]
