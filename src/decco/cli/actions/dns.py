"""Implementation of ``decco dns plan``."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from decco.cli import arguments as flags
from decco.cli import output
from decco.dns.records import RecordSet
from decco.errors import ConfigError
from decco.metrics import Metrics
from decco.reconcilers.providers import dns_service
from decco.settings import Settings
from decco.views import snapshot as snapshots
from decco.views.dnsplan import DnsView, look
from decco.views.simulation import simulate

EXIT_FOUND, EXIT_FAILED = 1, 2


def run(arguments: argparse.Namespace) -> int:
    return asyncio.run(_run(arguments, flags.settings_of(arguments)))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    async with flags.cluster(settings) as client:
        settings, remarks = await flags.running_settings(client, settings, arguments)
        if not settings.dns.providers:
            raise ConfigError("the settings name no DNS provider (dns.providers): there is nothing to plan")
        snapshot = await snapshots.from_cluster(client, settings)
        result = await simulate(snapshot, datetime.now(UTC), client=client)
        # dry_run is a second safeguard: the service is not started, and with dry_run it cannot send changes.
        dns = await dns_service(settings.model_copy(update={"dry_run": True}), client, Metrics(), wait=False)
        assert dns is not None
        try:
            view = await look(dns, snapshot, result)
        finally:
            await dns.close()
    _show(arguments, view)
    unreadable = [f"zone {zone} of the provider {provider}: {error}" for provider, zone, error in view.unreadable]
    lost = [
        f"{name} has an ownership record of this cluster and no owner: it is left alone, remove the record and its "
        "ownership record if they are left over"
        for _, _, name in view.orphans
    ]
    output.report(arguments.program, [*remarks, *snapshot.gaps, *lost, *unreadable])
    return exit_status(view)


def exit_status(view: DnsView) -> int:
    """As for kubectl diff; a zone that could not be read has precedence over changes in other zones."""
    if view.unreadable:
        return EXIT_FAILED
    return EXIT_FOUND if view.steps or view.refused else 0


def _show(arguments: argparse.Namespace, view: DnsView) -> None:
    if arguments.output != "table":
        output.write_data(_data(view), arguments.output)
        return
    rows = [
        (step.verb, step.name, step.zone, step.provider, step.owner, step.message or _arrow(step.before, step.after))
        for step in view.steps
    ]
    rows += [("refused", problem.name, "", "", owner, problem.message) for owner, problem in view.refused]
    if rows:
        style = output.style_of(arguments.color)
        output.write(output.table(("ACTION", "NAME", "ZONE", "PROVIDER", "FOR", "RECORDS"), rows, style))


def _arrow(before: Iterable[RecordSet], after: Iterable[RecordSet]) -> str:
    old, new = (", ".join(f"{s.type} {' '.join(s.values)} ({s.ttl} s)" for s in sets) for sets in (before, after))
    return f"{old} -> {new}" if old and new else old or new


def _data(view: DnsView) -> dict[str, Any]:
    def sets(records: Iterable[RecordSet]) -> list[dict[str, Any]]:
        return [{"type": s.type, "ttl": s.ttl, "values": list(s.values)} for s in records]

    return {
        "changes": [
            {
                "action": step.verb,
                "name": step.name,
                "zone": step.zone,
                "provider": step.provider,
                "for": step.owner,
                "before": sets(step.before),
                "after": sets(step.after),
            }
            for step in view.steps
            if not step.reason
        ],
        "problems": [
            {"name": step.name, "zone": step.zone, "for": step.owner, "reason": step.reason, "message": step.message}
            for step in view.steps
            if step.reason
        ]
        + [
            {"name": problem.name, "zone": "", "for": owner, "reason": problem.reason, "message": problem.message}
            for owner, problem in view.refused
        ],
        "orphans": [{"name": name, "zone": zone, "provider": provider} for provider, zone, name in view.orphans],
        "unreadable": [
            {"zone": zone, "provider": provider, "reason": error.reason, "message": str(error)}
            for provider, zone, error in view.unreadable
        ],
    }
