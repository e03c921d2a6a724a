"""Runs one plan to its end and judges it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults import oracles, state
from tests.faults.access import Access
from tests.faults.addresses import PLAN
from tests.faults.plans import Plan
from tests.faults.scenarios import AS_PROCESS, SCENARIOS, Act, User
from tests.faults.state import State
from tests.faults.station import Sent, Station
from tests.integration.harness import APIS, Obj
from tests.soak.world import Administrator

QUIET_SECONDS = 0.3
"""Without a request or an event: nothing is under way."""
SETTLED_SECONDS = 1.0
"""The same where no earlier run shows how the end looks."""
RECORDED_SECONDS = 3.0
"""The same for the record, by which all plans are judged."""
IDLE_SECONDS = 1.0
"""In which nothing may be written at the end; longer than any pause between two tries here."""
CONVERGE_SECONDS = 60.0
"""After the last fault."""
SETTLE_SECONDS = 120.0
POLL_SECONDS = 0.05
READ_SECONDS = 1.5
"""Longest pause between two looks at the end that a run comes to."""


@dataclass
class Reference:
    """The runs of a scenario without faults: how they end, and what they do on the way."""

    end: State
    counts: dict[str, int]
    """Address -> occurrences, of all that faults may strike at."""
    writes: dict[str, int]
    """Address -> successful writes, the most of several runs."""

    def dumps(self) -> str:
        return json.dumps([self.end, self.counts, self.writes])

    @classmethod
    def loads(cls, text: str) -> Reference:
        return cls(*json.loads(text))


@dataclass
class Outcome:
    """``found`` is empty if everything held; ``reached``: each fault has struck."""

    plan: Plan
    found: list[str] = field(default_factory=list)
    reached: bool = True
    seconds: float = 0.0
    end: State = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


class Runner:
    """Runs plans on one control plane, any number at the same time."""

    def __init__(self, access: Access, admin: Administrator, prefix: str) -> None:
        self.access, self.admin = access, admin
        self._prefix = prefix
        self._numbers = iter(range(10**9))

    async def run(self, plan: Plan, reference: Reference | None = None) -> Outcome:
        scenario = SCENARIOS[plan.scenario.removesuffix(AS_PROCESS)]
        return await self._run(plan, scenario.before, scenario.act, reference)

    async def fresh(self, plan: Plan, objects: list[Obj]) -> Outcome:
        """A new deployment of Spaces and Apps, in whose names PLAN is in the place of a token."""

        async def deploy(user: User) -> None:
            if plan.scenario == "renewal":
                await user.certificate("http", 2)
                await user.certificate("tcp", 2)
            if plan.scenario == "revocation":
                await SCENARIOS[plan.scenario].act(user)
            for obj in objects:
                made = json.loads(json.dumps(obj).replace(PLAN, user.token))
                plural = "spaces" if made["kind"] == "Space" else f"namespaces/{made['metadata']['namespace']}/apps"
                await user.make(made, f"{APIS}/{plural}")

        return await self._run(plan, None, deploy, None)

    async def _run(self, plan: Plan, before: Act | None, act: Act, reference: Reference | None) -> Outcome:
        token = f"{self._prefix}{next(self._numbers):05d}"
        user = User(self.admin, token)
        station = Station(self.access, token, plan.faults, as_process=plan.scenario.endswith(AS_PROCESS))
        outcome = Outcome(plan)
        began = time.monotonic()
        await user.prepare()
        await station.start()
        try:
            if before is not None:
                await before(user)
            await self._settle(station, user, SETTLED_SECONDS)
            policies = oracles.Policies(station.sent)
            station.arm()
            await act(user)
            if reference is None:
                await self._settle(station, user, RECORDED_SECONDS)
            else:
                await self._quiet(station, SETTLE_SECONDS)
            await station.travel()
            outcome.end = await self._converge(station, user, reference, outcome)
            before_idle = len(station.sent)
            await asyncio.sleep(IDLE_SECONDS)
            late = [each for each in station.sent[before_idle:] if not oracles.is_minor(each)]
            if late and not outcome.found:
                outcome.found.append(f"writes after the end: {[each.address for each in late]}")
            outcome.counts, outcome.sent = dict(station.counts), list(station.sent)
            outcome.reached = not station.missed
            outcome.found += policies.check(station.sent)
            outcome.found += oracles.check(station.sent, token, reference.writes if reference else None, plan)
        except TimeoutError:
            outcome.found.append("the scenario did not get on")
        finally:
            outcome.trace = [f"{each.life} {each.address} {each.status}" for each in station.sent[-60:]]
            outcome.trace += station.instance.lines
            await station.end()
            outcome.found += station.errors
            outcome.seconds = time.monotonic() - began
            await self._clean(user)
        return outcome

    async def _settle(self, station: Station, user: User, quiet: float) -> None:
        """Waits until the controller has finished, where no earlier run shows how that looks."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while time.monotonic() - station.last_activity < quiet or not await user.is_current():  # noqa: ASYNC110 (no event)
                await asyncio.sleep(4 * POLL_SECONDS)

    async def _quiet(self, station: Station, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while station.is_busy or time.monotonic() - station.last_activity < QUIET_SECONDS:  # noqa: ASYNC110 (no event reports quiet)
                await asyncio.sleep(POLL_SECONDS)

    async def _converge(self, station: Station, user: User, reference: Reference | None, outcome: Outcome) -> State:
        """Waits until the end is as it was without faults."""
        deadline = time.monotonic() + CONVERGE_SECONDS
        while True:
            if station.is_busy:
                deadline = time.monotonic() + CONVERGE_SECONDS
            try:
                await self._quiet(station, CONVERGE_SECONDS)
            except TimeoutError:
                outcome.found.append("it does not become quiet")
            where = (self.admin, user.spaces, user.token)
            is_over = time.monotonic() > deadline
            if is_over or not (reference and await state.owners_differ(*where, user.certificates, reference.end)):
                found = await state.read(*where, station.zone, user.certificates)
                wrong = state.differences(found, reference.end) if reference else []
                if is_over or not wrong:
                    outcome.found += wrong
                    return found
            # To read everything costs as much as a reconcile: not before something happens.
            seen, next_read = station.last_activity, time.monotonic() + READ_SECONDS
            while station.last_activity == seen and time.monotonic() < next_read:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(POLL_SECONDS)

    async def _clean(self, user: User) -> None:
        """Takes everything of the run out of etcd at once: a deletion by the API would cost more than the run."""
        prefixes = [f"/registry/{kind}/{user.token}" for kind in OF_RUN]
        prefixes += [f"/registry/{kind}/decco-{user.token}" for kind in ("secrets", "namespaces", "configmaps")]
        requests = [{"request_delete_range": {"key": _b64(each), "range_end": _b64(_next(each))}} for each in prefixes]
        async with aiohttp.ClientSession() as session:
            body: dict[str, Any] = {"success": requests}
            async with session.post(f"{self.access.etcd_url}/v3/kv/txn", json=body) as answer:
                assert answer.status == 200, await answer.text()


OF_RUN = (
    "decco.platform9.com/apps",
    "decco.platform9.com/spaces",
    "namespaces",
    "secrets",
    "configmaps",
    "services/specs",
    "services/endpoints",
    "endpointslices",
    "resourcequotas",
    "limitranges",
    "deployments",
    "replicasets",
    "jobs",
    "pods",
    "events",
    "networkpolicies",
    "rolebindings",
    "serviceaccounts",
    "controllerrevisions",
    "gateway.networking.k8s.io/gateways",
    "gateway.networking.k8s.io/httproutes",
    "gateway.networking.k8s.io/tlsroutes",
    "gateway.networking.k8s.io/backendtlspolicies",
)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _next(prefix: str) -> str:
    """The first key after all that begin with the prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def writes_of(sent: list[Sent]) -> Counter[str]:
    """Address -> successful writes."""
    return Counter(each.address for each in sent if each.status < 300 and not oracles.is_minor(each))
