"""decco's log lines as data, and the rules for every log."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.integration.harness import Cluster, Decco

Line = dict[str, Any]

MOST_IN_A_SECOND = 100
"""Lines above debug: up to twenty kinds of lines, each for a problem and for its end, are acceptable."""
WINDOW = 32
"""Characters of a Secret's value that count as a piece of it; base64 of 24 bytes, which no line holds by chance."""


def lines(decco: Decco, *levels: str) -> list[Line]:
    """All whole lines, or those of these levels. A line that is not JSON has only the key ``plain``."""
    found = []
    for raw in decco.log.read_text(errors="replace").splitlines(keepends=True):
        if not raw.endswith("\n"):
            continue
        try:
            line = json.loads(raw)
        except json.JSONDecodeError:
            line = {"plain": raw.rstrip("\n")}
        if not levels or line.get("level") in levels:
            found.append(line)
    return found


def log_lines(decco: Decco) -> list[Line]:
    """The lines at the default log level."""
    return [line for line in lines(decco) if line.get("level") != "debug"]


def plain(decco: Decco) -> list[str]:
    """The lines that are not JSON: errors in settings and credentials, reported before or instead of a log."""
    return [line["plain"] for line in lines(decco) if "plain" in line]


def repetitions(decco: Decco) -> Counter[str]:
    """How often each warning or error was logged; those about the same object and the same problem are equal."""
    subjects = ("event", "resource", "namespace", "controller", "key", "kind", "error", "reason", "kinds")
    said = lines(decco, "warning", "error")
    return Counter(" | ".join(str(line[name]) for name in subjects if name in line) for line in said)


def assert_sound(decco: Decco, *, defects: int = 0) -> None:
    """No defect, no stack trace, nothing but JSON lines, no flood."""
    text = decco.log.read_text(errors="replace")
    assert "Traceback" not in text, text[-4000:]
    assert plain(decco) == []
    assert len(lines(decco, "error", "critical")) == defects, lines(decco, "error", "critical")
    each_second = Counter(line["timestamp"][:19] for line in log_lines(decco))
    loudest = each_second.most_common(1)
    assert not loudest or loudest[0][1] <= MOST_IN_A_SECOND, loudest


def assert_no_secrets(decco: Decco, cluster: Cluster) -> None:
    """Not a piece of any Secret that the cluster holds is in the log, in base64 or as PEM; names may be."""
    text = decco.log.read_text(errors="replace")
    pieces = set(_pieces(cluster.items("/api/v1/secrets")))
    assert pieces, "no Secret to look for"
    assert [piece for piece in pieces if piece in text] == []


def _pieces(secrets: Iterable[dict[str, Any]]) -> Iterable[str]:
    for secret in secrets:
        for value in (secret.get("data") or {}).values():
            for begin in range(0, len(value) - WINDOW, WINDOW):
                yield value[begin : begin + WINDOW]
            for line in base64.b64decode(value).decode(errors="replace").splitlines():
                if len(line) >= WINDOW and not line.startswith("-----"):
                    yield line[:WINDOW]
