"""Evaluates with cyclonus who may connect to whom under a set of NetworkPolicies; nothing runs, nothing is sent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from testbed import netpol

ALL_PORTS = ((1, 65535),)
SECONDS = 120.0


class EvaluatorFailed(RuntimeError):
    """The evaluator rejected its input; the message holds its own words."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod; without a namespace something else: outside the cluster, or on a node's own network."""

    ip: str
    namespace: str = ""
    namespaceLabels: Mapping[str, str] = field(default_factory=dict)  # noqa: N815 - the name in the JSON
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """Which ports of ``to`` are open to ``source``, both names of peers; ``ports`` are ranges with both their ends."""

    source: str
    to: str
    protocol: str
    ports: Sequence[tuple[int, int]] = ALL_PORTS


def open_ports(
    policies: Sequence[Mapping[str, Any]], peers: Mapping[str, Peer], questions: Sequence[Question]
) -> list[frozenset[int]]:
    """The open ports of each question, in their order.

    Args:
        policies: NetworkPolicies as the API server gives them.
        peers: by a name of the caller's choice; each needs an address.
        questions: any number; a million ports take some seconds.

    Raises:
        EvaluatorFailed: see the class.
        testbed.found.AssetsMissing: there is no evaluator, and none can be built.
    """
    asked = {
        # Its types do not have newer servers' metadata, and it is strict about unknown fields.
        "policies": [
            {"metadata": {key: policy["metadata"][key] for key in ("name", "namespace")}, "spec": policy["spec"]}
            for policy in policies
        ],
        "peers": {name: asdict(peer) for name, peer in peers.items()},
        "questions": [
            {"from": each.source, "to": each.to, "protocol": each.protocol, "ports": each.ports} for each in questions
        ],
    }
    done = subprocess.run(
        [netpol.provide("evaluator")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise EvaluatorFailed(f"status {done.returncode}: {done.stderr.strip()[:2000]}")
    return [frozenset(ports) for ports in json.loads(done.stdout)]
