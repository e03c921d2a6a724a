"""``decco dns``: what decco would change in each zone now, and the records of a cluster that is gone for good."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from decco.cli import arguments as flags
from decco.cli import output
from decco.errors import ConfigError

if TYPE_CHECKING:
    from decco.dns.records import RecordSet
    from decco.dns.service import Dns
    from decco.kube.client import Client
    from decco.settings import Settings
    from decco.views.dnsplan import DnsView
    from decco.views.findings import Finding
    from decco.views.simulation import SimulationResult
    from decco.views.snapshot import Snapshot

PLAN, RELEASE = "plan", "release"
EXIT_FOUND, EXIT_FAILED = 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_choice(
        parser,
        "action",
        choices=(PLAN, RELEASE),
        metavar="ACTION",
        help="plan: show what would change in each zone; release: withdraw the names of a cluster that is gone",
    )
    parser.add_argument("--cluster-id", help="release: clusterId of the cluster that is gone")
    parser.add_argument("--yes", action="store_true", help="release: send the changes, which are only shown without it")
    flags.add_common(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads the cluster, the Secrets with the providers' credentials in decco's namespace, and every zone; changes "
        "nothing without release --yes. Of names that clusters of a federation share, what the others have stays. With "
        "the clusterId of this cluster, after it was restored from a backup, release gives the names of owners that do "
        "not exist to the Spaces and Apps that desire them now, and leaves all else. Exit status: 0 nothing to do, or "
        "all of it is done; 1 something would change, or a name cannot be published; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.views.dnsplan import remarks_of

    released = arguments.action == RELEASE
    view, remarks = _release(arguments) if released else _plan(arguments)
    if arguments.output == "table":
        output.write(_table(view, output.style_of(arguments.color)))
    else:
        output.write_data(_data(view), arguments.output)
    output.report(arguments.program, [*remarks, *remarks_of(view)])
    if released and arguments.yes and not view.unreadable:
        return 0
    return exit_status(view)


def _release(arguments: argparse.Namespace) -> tuple[DnsView, list[Finding]]:
    from decco.metrics import Metrics
    from decco.reconcilers.providers import dns_service
    from decco.views.dnsplan import hand_over, release

    gone: str | None = arguments.cluster_id
    if gone is None:
        raise ConfigError("release needs --cluster-id, the clusterId of the cluster that is gone")
    settings = flags.settings_of(arguments)

    async def withdraw(gone: str) -> tuple[DnsView, list[Finding]]:
        async with flags.connected(arguments, settings) as (client, in_force, remarks):
            if not in_force.dns.providers:
                raise ConfigError("the settings name no DNS provider (dns.providers): there is nothing to release")
            if gone == in_force.cluster_id:
                snapshot, result, dns = await _simulated(client, in_force, dry_run=not arguments.yes)
                try:
                    return await hand_over(dns, snapshot, result, send=arguments.yes), [*remarks, *snapshot.gaps]
                finally:
                    await dns.close()
            other = in_force.model_copy(update={"cluster_id": gone, "dry_run": not arguments.yes})
            service = await dns_service(other, client, Metrics())
            assert service is not None
            try:
                return await release(service, gone, send=arguments.yes), list(remarks)
            finally:
                await service.close()

    return asyncio.run(withdraw(gone))


def _plan(arguments: argparse.Namespace) -> tuple[DnsView, list[Finding]]:
    from decco.views.dnsplan import read_zones

    settings = flags.settings_of(arguments)

    async def gather() -> tuple[DnsView, list[Finding]]:
        async with flags.connected(arguments, settings) as (client, in_force, remarks):
            if not in_force.dns.providers:
                raise ConfigError("the settings name no DNS provider (dns.providers): there is nothing to plan")
            snapshot, result, dns = await _simulated(client, in_force, dry_run=True)
            try:
                return await read_zones(dns, snapshot, result), [*remarks, *snapshot.gaps]
            finally:
                await dns.close()

    return asyncio.run(gather())


async def _simulated(client: Client, settings: Settings, *, dry_run: bool) -> tuple[Snapshot, SimulationResult, Dns]:
    """What the cluster contains, what its controller would do, and its DNS service, not started. ``dry_run`` is a
    second safeguard: with it the service cannot send changes.
    """
    from decco.metrics import Metrics
    from decco.reconcilers.providers import dns_service
    from decco.views.simulation import simulate
    from decco.views.snapshot import from_cluster

    snapshot = await from_cluster(client, settings)
    result = await simulate(snapshot, datetime.now(UTC), client=client)
    dns = await dns_service(settings.model_copy(update={"dry_run": dry_run}), client, Metrics())
    assert dns is not None
    return snapshot, result, dns


def exit_status(view: DnsView) -> int:
    """As for kubectl diff; a zone that could not be read has precedence over changes in other zones."""
    if view.unreadable:
        return EXIT_FAILED
    return EXIT_FOUND if view.steps or view.refused else 0


def _table(view: DnsView, style: output.Style) -> str:
    rows = [
        (step.verb, step.name, step.zone, step.provider, step.owner, step.message or _arrow(step.before, step.after))
        for step in view.steps
    ]
    rows += [("refused", problem.name, "", "", owner, problem.message) for owner, problem in view.refused]
    return output.table(("ACTION", "NAME", "ZONE", "PROVIDER", "FOR", "RECORDS"), rows, style) if rows else ""


def _arrow(before: Iterable[RecordSet], after: Iterable[RecordSet]) -> str:
    old, new = (", ".join(f"{s.type} {' '.join(s.values)} ({s.ttl} s)" for s in sets) for sets in (before, after))
    return f"{old} -> {new}" if old and new else old or new


def _data(view: DnsView) -> dict[str, Any]:
    def sets(records: Iterable[RecordSet]) -> list[dict[str, Any]]:
        return [{"type": s.type, "ttl": s.ttl, "values": list(s.values)} for s in records]

    def problem(name: str, zone: str, owner: str, reason: str, message: str) -> dict[str, str]:
        return {"name": name, "zone": zone, "for": owner, "reason": reason, "message": message}

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
            *(problem(s.name, s.zone, s.owner, s.reason, s.message) for s in view.steps if s.reason),
            *(problem(refused.name, "", owner, refused.reason, refused.message) for owner, refused in view.refused),
        ],
        "orphans": [{"name": name, "zone": zone, "provider": provider} for provider, zone, name in view.orphans],
        "unreadable": [
            {"zone": zone, "provider": provider, "reason": error.reason, "message": str(error)}
            for provider, zone, error in view.unreadable
        ],
    }
