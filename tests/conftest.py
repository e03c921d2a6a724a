"""What holds for every test: nothing of decco blocks the event loop, and no test connects to another machine."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Generator, Iterator
from typing import Any

import prometheus_client  # noqa: F401  it reads /proc when it is imported, which must not be in a running event loop
import pytest
from blockbuster import BlockBuster

from testbed import prerequisites
from tests import capture

NODES = ipaddress.ip_network("198.18.0.0/15"), ipaddress.ip_network("2001:2::/48")
"""Networks of the testbed's nodes and of tests, which are network namespaces on this machine; RFC 2544 and RFC 5180."""


def pytest_configure(config: pytest.Config) -> None:
    """Leaves the main thread without an event loop: pytest-asyncio reads one to restore after each test, and that
    read would create one that is never closed.
    """
    asyncio.set_event_loop(None)
    # looptime goes through the names of this module at each fixture of each test, and searches fixtures among them:
    # a twentieth of the whole run if all 130 are there.
    module = config.pluginmanager.getplugin("asyncio")
    fixtures = [name for name, each in vars(module).items() if type(each).__name__.startswith("FixtureFunction")]
    module.__dir__ = lambda: fixtures


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spares the garbage collector what stays until the end anyway: the modules and some thousand collected tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets a report hold only what UTF-8 can say: tests log half a surrogate pair, and between the processes of xdist
    such a report would end the run.

    A test that is skipped for want of a package fails where the package can be installed, and in CI: a run without the
    tests must not look like one with them.
    """
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(prerequisites.SKIP) and prerequisites.strict():
            report.outcome, report.longrepr = "failed", f"a skip for a missing package is a failure here: {reason}"
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Gives the process's logging back as it was, after a test that calls a whole program in this process."""
    with capture.logging_restored():
        yield


@pytest.fixture(scope="session", autouse=True)
def no_blocking() -> Iterator[None]:
    """A blocking call under a running event loop fails the test, if a function of decco is on the stack.

    Only of decco: pytest, the testbed and the tests themselves may read a file in a coroutine.
    """
    blockbuster = BlockBuster(scanned_modules=["decco"])
    for function in blockbuster.functions.values():
        # Runs in a thread of its own, with an event loop that nothing else waits for.
        function.can_block_in("decco/dns/providers/route53/client.py", "_make_client")
        # Only commands read the CRDs, which are a file of the package, like the modules that they import.
        function.can_block_in("decco/api/crd.py", "crds_yaml")
        # The controller reads it before its event loop, see log.configure.
        function.can_block_in("decco/messages/__init__.py", "messages")
        # Imported by the first settings with a provider: before the event loop, or in a thread (settings/live.py).
        function.can_block_in("decco/dns/providers/__init__.py", "settings_models")
    blockbuster.activate()
    yield
    blockbuster.deactivate()


def _this_machine_only(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): a connection to another machine is a mistake of the test, and is not made."""
    if event != "socket.connect":
        return
    sock, address = args
    if sock.family in {socket.AF_INET, socket.AF_INET6} and not _is_ours(address[0]):
        raise RuntimeError(f"tests talk to this machine only, not to {address[0]}")


def _is_ours(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or any(address in network for network in NODES)


# A cluster that somebody names is somewhere else, and meant.
if "E2E_KUBECONFIG" not in os.environ:
    sys.addaudithook(_this_machine_only)
