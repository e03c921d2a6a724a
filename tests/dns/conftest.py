"""One service of each kind per run, a fresh zone per test, and the matrix at the end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.dns.backends import BACKENDS, Backend
from tests.dns.world import World

_running: dict[str, Backend] = {}
_missing: dict[str, str] = {}
_results: dict[tuple[str, str], str] = {}
_zones = itertools.count()
CONTRACT = "test_dns_contract.py"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = any("backend" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if "backend" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("backend", BACKENDS, indirect=True, ids=lambda cls: cls.kind)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """The running service, started at its first use and ended with the run."""
    cls: type[Backend] = request.param
    if (why := cls.unfit.get(request.function.__name__.removeprefix("test_"))) is not None:
        pytest.skip(f"not for {cls.kind}: {why}")
    if cls.kind not in _running and cls.kind not in _missing:
        if line := cls.missing():
            _missing[cls.kind] = line
        else:
            service = cls()
            service.start()
            _running[cls.kind] = service
    if cls.kind in _missing:
        pytest.skip(f"MISSING {_missing[cls.kind]} (or run python -m testbed.dns.install as root)")
    return _running[cls.kind]


@pytest.fixture(scope="session", autouse=True)
def _services_end() -> Iterator[None]:
    yield
    for service in _running.values():
        service.stop()
    _running.clear()


@pytest.fixture
def world(backend: Backend) -> Iterator[World]:
    zone = f"z{next(_zones)}.test"
    here = World(backend, zone)
    backend.create_zone(zone)
    yield here
    if here.zone_exists:
        backend.remove_zone(zone)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    params = getattr(getattr(item, "callspec", None), "params", {})
    if CONTRACT not in item.nodeid or "backend" not in params or (report.when != "call" and not report.skipped):
        return
    case = item.originalname.removeprefix("test_")  # type: ignore[attr-defined]
    reason = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
    shown = "ok" if report.passed else ("-" if "not for" in reason else "skip") if report.skipped else "FAIL"
    key = (case, params["backend"].kind)
    if _results.get(key) != "FAIL":
        _results[key] = shown


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _results:
        return
    kinds = [cls.kind for cls in BACKENDS if any(kind == cls.kind for _, kind in _results)]
    cases = list(dict.fromkeys(case for case, _ in _results))
    wide = max(map(len, cases))
    write = terminalreporter.write_line
    terminalreporter.section("DNS: provider x case")
    write(" " * wide + "  " + "  ".join(f"{kind:>8}" for kind in kinds))
    for case in cases:
        write(f"{case:<{wide}}  " + "  ".join(f"{_results.get((case, kind), ''):>8}" for kind in kinds))
    write("models, not the real service: " + ", ".join(cls.kind for cls in BACKENDS if not cls.real))
    for line in _missing.values():
        terminalreporter.write_line(f"SKIPPED, a server is missing: {line}", red=True, bold=True)
