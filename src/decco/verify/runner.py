"""Runs probes side by side, each as soon as what it needs has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from decco.kube.errors import Forbidden, KubeError, NotServed
from decco.verify.edge import Refused
from decco.verify.outcome import STRETCH, Failed, NotTested, Outcome
from decco.verify.plan import ordered
from decco.verify.probe import Probe, Result
from decco.verify.world import World

Observer = Callable[[Result], None]


async def run(
    probes: Iterable[Probe], world: World, chosen: Collection[str], observe: Observer, seconds: float
) -> list[Result]:
    """One result for each probe, in their order. ``chosen``: names of those that are tried, the others are skipped and
    not observed; ``seconds``: what is not done by then has failed.
    """
    listed = list(probes)
    tasks: dict[str, asyncio.Task[Result]] = {}
    deadline = asyncio.get_running_loop().time() + seconds
    for probe in ordered(listed):
        coroutine = _one(probe, tasks, world, observe, deadline) if probe.name in chosen else _left_out(probe)
        tasks[probe.name] = asyncio.create_task(coroutine)
    try:
        await asyncio.gather(*tasks.values())
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    return [tasks[probe.name].result() for probe in listed]


async def _left_out(probe: Probe) -> Result:
    return Result(probe, Outcome.SKIPPED, "left out by the command line")


async def _one(
    probe: Probe, tasks: Mapping[str, asyncio.Task[Result]], world: World, observe: Observer, deadline: float
) -> Result:
    for name in probe.after:
        found = await asyncio.shield(tasks[name])
        if found.outcome is not Outcome.PASSED:
            result = Result(probe, Outcome.SKIPPED, f"it needs {found.probe.name}, which {_became(found.outcome)}")
            observe(result)
            return result
    for name in probe.behind:
        await asyncio.shield(tasks[name])
    loop = asyncio.get_running_loop()
    started = loop.time()
    outcome, text, message = await _tried(probe, world, min(probe.seconds * STRETCH.get(), deadline - started))
    result = Result(probe, outcome, text, loop.time() - started, message)
    observe(result)
    return result


async def _tried(probe: Probe, world: World, seconds: float) -> tuple[Outcome, str, str]:
    try:
        async with asyncio.timeout(seconds):
            await probe.check(world)
    except Failed as error:
        return Outcome.FAILED, str(error), error.message
    except Refused as error:
        return Outcome.FAILED, f"the edge does not answer: {error}", ""
    except NotTested as error:
        return Outcome.SKIPPED, str(error), ""
    except TimeoutError:
        return Outcome.FAILED, f"no result within {seconds:.0f} s", ""
    except Forbidden as error:
        return Outcome.SKIPPED, f"you may not do what it needs: {error.message}", ""
    except NotServed as error:
        return Outcome.SKIPPED, f"the cluster does not serve the kind: {error.message}", ""
    except KubeError as error:
        return Outcome.FAILED, f"the API server: {error}", ""
    return Outcome.PASSED, "", ""


def _became(outcome: Outcome) -> str:
    return "failed" if outcome is Outcome.FAILED else "was skipped"
