"""On a cluster where all is well, everything passes, and nothing is left, however a run ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from decco.verify.plan import PROBES
from testbed.cluster import Backend
from tests.promises import PATIENCE, promised, timed
from tests.verify.conftest import BACKEND
from tests.verify.rig import DOMAIN, PROMISED_SECONDS, SECONDS, Rig

ALWAYS = {
    "egress/ipv6",
    "certificates/default-issuer",
    "zones/spread",
    *(each.name for each in PROBES if each.group in ("mesh", "federation")),
}
"""The node has no IPv6 and is the only one, the settings name neither an issuer nor a federation; Istio is not there.
These groups have tests of their own, in tests/integration and tests/zones.
"""
UNTRIED = {
    Backend.GATEWAY: ALWAYS,
    Backend.GATEWAYS: ALWAYS,
    Backend.INGRESS: {
        *ALWAYS,
        "routing/weight",
        "limits/body",
        "limits/rate",
        "limits/connections",
        "limits/request",
        "limits/idle",
        "limits/endpoint-request",
        "limits/endpoint-idle",
        "workload/retry-after",
        "certificates/shown",
        "tenancy/edge-policy",
    },
}
"""What an edge does not have: Traefik no weights, limits and timeouts, which conditions then say."""


@pytest.fixture(scope="module", autouse=True)
def controller(rig: Rig) -> Iterator[None]:
    with rig.controller():
        yield


@timed
@pytest.mark.timeout(SECONDS + 300)
def test_all_promises_are_kept(rig: Rig) -> None:
    run = rig.run("--patience", "300", "--timeout", "1200")  # a busy machine breaks no promise
    assert run.failures == []
    assert (run.status, run.found["left"]) == (0, [])
    skipped = run.named("skipped")
    longest = sorted(run.found["probes"], key=lambda each: -each["seconds"])[:8]
    print(f"\n{run.found['counts']} in {run.seconds:.0f} s; skipped: {sorted(skipped)}")
    print("longest: " + ", ".join(f"{each['name']} {each['seconds']:.0f} s" for each in longest))
    promised("all probes", run.seconds, PROMISED_SECONDS)
    lacking = set(skipped) - UNTRIED[BACKEND]
    assert not lacking, {name: skipped[name]["text"] for name in lacking}
    assert len(run.named("passed")) >= 80
    assert f"/{len(PROBES)} passed" in run.progress
    assert rig.left() == []
    records = rig.names.read(DOMAIN)
    assert [name for name, _ in records if "verify-" in name] == []


def test_interrupted(rig: Rig) -> None:
    """Ctrl-C while Apps start: everything is removed before the program ends."""
    with rig.started() as process:
        until(lambda: any("space" in each for each in rig.left()))
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    assert rig.left() == []


def test_leftovers_of_a_killed_run_are_removed(rig: Rig) -> None:
    with rig.started() as process:
        until(lambda: any("space" in each for each in rig.left()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = rig.left()
    assert before
    run = rig.run("--only", "admission")
    assert "removing what an earlier run has left" in run.progress
    assert (run.status, run.failures, run.found["left"]) == (0, [], [])
    assert rig.left() == []


def test_two_runs_at_a_time(rig: Rig) -> None:
    """The second one says so, and disturbs nothing."""
    with rig.started("--only", "admission") as process:
        until(lambda: bool(rig.left()))
        second = rig.run("--only", "admission")
        assert process.wait(120) == 0
    assert second.status == 2 or "waiting up to" in second.progress
    assert rig.left() == []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
