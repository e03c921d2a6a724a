"""Tries the tests on one mutant, those nearest to its module first.

A mutant lives in a forked process only, which compiles it in place of the module: no file changes, and what all mutants
import, from pytest to aiohttp, is imported once. Schedules of the simulation run in another such process.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mutants.mutate import Mutant, applied
from tests.simulation.altered import SOURCE, alter, first_failure

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 120
"""More than a package's unit tests need: a mutant that takes longer is in an endless loop."""
SIMULATION_SECONDS = 60
"""Of all schedules for a mutant together, and ten times what they need."""
TEST_SECONDS = 60
"""A test that takes longer waits for what does not come."""
MEMORY_BYTES = 3 * 2**30


class Verdict(NamedTuple):
    """``by`` is the test or the engine that noticed the mutant, empty if none did."""

    mutant: Mutant
    by: str


def judge(mutant: Mutant, schedules: int) -> Verdict:
    """Runs the module's own tests, then those of its package, then so many schedules of the simulation."""
    text = applied(mutant, (SOURCE / mutant.file).read_text())
    done: set[Path] = set()
    for stage in (own_tests(mutant.file), package_tests(mutant.file)):
        files = [each for each in stage if each not in done]
        done.update(files)
        failed = failing_test(mutant.file, text, files) if files else ""
        if failed:
            return Verdict(mutant, failed)
    return Verdict(mutant, failing_schedule(mutant.file, text, schedules) if schedules else "")


def own_tests(file: str) -> list[Path]:
    """Files of unit tests that are named after the module."""
    package, _, name = file.rpartition("/")
    stem = name.removesuffix(".py")
    found = {*(ROOT / "tests" / "unit" / package).glob(f"test_{stem}.py")}
    found |= {*(ROOT / "tests" / "unit" / package).glob(f"test_{stem}_*.py")}
    found |= {*(ROOT / "tests" / "unit" / package).glob(f"test_dns_{stem}.py")}
    return sorted(found)


def package_tests(file: str) -> list[Path]:
    """The other files of unit tests of its package, those that import the module first."""
    module = "decco." + file.removesuffix(".py").replace("/", ".")
    files = sorted((ROOT / "tests" / "unit" / file.partition("/")[0]).rglob("test_*.py"))
    return sorted(files, key=lambda each: module not in each.read_text())


def failing_test(file: str, text: str, tests: Sequence[Path]) -> str:
    """The first test that fails with this text of the file; empty if all pass."""
    with tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if not pid:
            os._exit(_in_child(file, text, tests, output.fileno()))
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            return f"ended by signal {os.WTERMSIG(status)}"
        if not os.WEXITSTATUS(status):
            return ""
        output.seek(0)
        lines = output.read().splitlines()
    failed = [line.split(" ")[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return failed[0] if failed else f"status {os.WEXITSTATUS(status)}: {lines[-1] if lines else ''}"


def _in_child(file: str, text: str, tests: Sequence[Path], output: int) -> int:
    status = 99
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        alter(file, text)
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not thorough", "-o", f"timeout={TEST_SECONDS}"]
        status = int(pytest.main([*arguments, *map(str, tests)]))
    except BaseException:  # noqa: BLE001 - the status says it, and a child must not return
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def failing_schedule(file: str, text: str, schedules: int) -> str:
    """The seed of the first schedule of the simulation that fails; empty if none does."""

    def work() -> int | None:
        found = first_failure(file, text, 1, schedules)
        return found[0] if found is not None else None

    found = in_child(work, SIMULATION_SECONDS)
    return f"simulation: seed {found}" if found else ""


def in_child(work: Callable[[], object], cpu_seconds: int) -> str:
    """What ``work`` returns in a forked process, as text; empty for None. A process that ends in another way has found
    something too.
    """
    with tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if not pid:
            status = 99
            try:
                os.dup2(output.fileno(), 2)
                resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
                result = work()
                output.write("" if result is None else str(result))
                output.flush()
                status = 0
            except BaseException:  # noqa: BLE001 - the status says it, and a child must not return
                traceback.print_exc()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.seek(0)
        text = output.read()
    return text if not status else f"the process of the simulation ends with {status}"
