"""All probes, in the order in which they are listed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from decco.verify.groups import (
    certificates,
    claims,
    declared,
    deletion,
    dns,
    egress,
    federation,
    isolation,
    levels,
    limits,
    mesh,
    mtls,
    names,
    placement,
    renewal,
    repair,
    routing,
    secrets,
    setup,
    status,
    tenancy,
    workload,
    zones,
)
from decco.verify.probe import Probe

PROBES: tuple[Probe, ...] = (
    *setup.PROBES,
    *routing.PROBES,
    *names.PROBES,
    *claims.PROBES,
    *mtls.PROBES,
    *egress.PROBES,
    *declared.PROBES,
    *isolation.PROBES,
    *levels.PROBES,
    *limits.PROBES,
    *workload.PROBES,
    *zones.PROBES,
    *mesh.PROBES,
    *status.PROBES,
    *secrets.PROBES,
    *renewal.PROBES,
    *certificates.PROBES,
    *dns.PROBES,
    *federation.PROBES,
    *placement.PROBES,
    *repair.PROBES,
    *tenancy.PROBES,
    *deletion.PROBES,
)
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(probe.group for probe in PROBES))
BY_NAME: Mapping[str, Probe] = {probe.name: probe for probe in PROBES}


def needed(only: Collection[str], without: Collection[str]) -> frozenset[str]:
    """Names of the probes of some groups (all if none is named) with what they need, except those left out."""
    chosen = {probe.name for probe in PROBES if (not only or probe.group in only) and probe.group not in without}
    left = list(chosen)
    while left:
        for name in BY_NAME[left.pop()].after:
            if name not in chosen and BY_NAME[name].group not in without:
                chosen.add(name)
                left.append(name)
    return frozenset(chosen)


def ordered(probes: Iterable[Probe]) -> list[Probe]:
    """The probes so that each comes after what it needs. Raises ValueError for a circle or an unknown name."""
    found: dict[str, Probe] = {}
    left = {probe.name: probe for probe in probes}
    while left:
        free = [probe for probe in left.values() if all(name in found for name in probe.after + probe.behind)]
        if not free:
            raise ValueError(f"probes need one another, or a probe that does not exist: {', '.join(left)}")
        for probe in free:
            found[probe.name] = left.pop(probe.name)
    return list(found.values())
