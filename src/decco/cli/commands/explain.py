"""``decco explain``: who owns a name, how it is reached, and what is missing.

Compares the cluster, the desired state and DNS.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from decco.cli import arguments as flags
from decco.cli import output
from decco.messages import Severity
from decco.text import clean

if TYPE_CHECKING:
    from decco.views.findings import Finding
    from decco.views.targets import ExplainTarget


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add_names(
        parser, "target", metavar="HOSTNAME|SPACE|[NAMESPACE/]APP", help="a host name, or the name of a Space or App"
    )
    flags.add_namespace(parser, "namespace of an App that is named without one")
    parser.add_argument("--resolver", metavar="ADDR", help="DNS server to query; default: the machine's own")
    parser.add_argument("--no-lookup", action="store_true", help="do not query DNS")
    flags.add_common(parser, "table", "json", "yaml")
    parser.epilog = (
        "Reads only, and reports what you may not read. Exit status: 0 nothing is wrong; 1 something is, or is "
        "missing; 2 an error."
    )


def run(arguments: argparse.Namespace) -> int:
    from decco.views import lookup
    from decco.views.explanation.explain import explain, hostnames_of
    from decco.views.explanation.parts import World, ready_backends
    from decco.views.simulation import simulate
    from decco.views.snapshot import from_cluster
    from decco.views.targets import namespaces_of, resolve

    resolver = None if arguments.no_lookup else lookup.resolver(arguments.resolver)
    settings = flags.settings_of(arguments)

    async def gather() -> tuple[World, ExplainTarget, list[Finding]]:
        async with flags.connected(arguments, settings) as (client, in_force, remarks):
            namespaces = namespaces_of([arguments.target], arguments.namespace)
            snapshot = await from_cluster(client, in_force, namespaces)
            target = resolve(arguments.target, snapshot, arguments.namespace)
            namespace = target.namespace(snapshot)
            if namespace is not None and namespace not in namespaces:
                snapshot = await from_cluster(client, in_force, {namespace})
            now = datetime.now(UTC)
            result = await simulate(
                snapshot,
                now,
                client=client,
                wanted=lambda kind, key: namespace in (key.namespace, key.name if kind == "Space" else ""),
            )
            backends = await ready_backends(client, namespace) if namespace is not None else None
        names = hostnames_of(snapshot, result, target)
        answers = await lookup.look_up(resolver, names) if resolver is not None else {}
        return World(snapshot, result, now, backends, answers), target, [*remarks, *snapshot.gaps]

    world, target, remarks = asyncio.run(gather())
    findings = explain(world, target)
    if arguments.output == "table":
        style = output.style_of(arguments.color)
        output.write(style.head(clean(target)) + "\n" + output.findings_table(findings, "ABOUT", style))
    else:
        gaps = [gap.text for gap in world.snapshot.gaps]
        statements = output.findings_data(findings, "about")
        output.write_data({"target": str(target), "statements": statements, "gaps": gaps}, arguments.output)
    output.report(arguments.program, remarks)
    return 1 if any(finding.severity is Severity.FAILURE for finding in findings) else 0
