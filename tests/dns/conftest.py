"""One service of each kind per process, a fresh zone per test, and the matrix at the end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.dns.backends import BACKENDS
from tests.dns.backends.base import Backend
from tests.dns.matrix import MISSING, PROPERTY, Matrix
from tests.dns.world import World

_running: dict[str, Backend] = {}
_missing: dict[str, str] = {}
_zones = itertools.count()
_matrix = Matrix([cls.kind for cls in BACKENDS], [cls.kind for cls in BACKENDS if not cls.real])
CONTRACT = "test_dns_contract"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--dns-matrix", metavar="FILE", help="write the matrix provider x case as Markdown to this file")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = any("backend" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if "backend" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("backend", BACKENDS, indirect=True, ids=lambda cls: cls.kind)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """moto is slow, and its troubles are those of the model: the same provider on the same line."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "trouble" in params and getattr(params.get("backend"), "kind", "") == "moto":
            item.add_marker(pytest.mark.full)


class ByService(LoadScopeScheduling):
    """With several processes all tests of one kind run in one of them, so that its service is started once."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        words = test.partition("[")[2].removesuffix("]").split("-")
        return next((word for word in words if word in _matrix.kinds), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByService:
    return ByService(config, log)


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
        pytest.skip(f"{MISSING}{_missing[cls.kind]}")
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
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    params = dict(getattr(getattr(item, "callspec", None), "params", {}))
    backend = params.pop("backend", None)
    if not item.path.name.startswith(CONTRACT) or backend is None:
        return
    case = item.originalname.removeprefix("test_").replace("_", " ")  # type: ignore[attr-defined]
    if (trouble := params.get("trouble")) is not None:
        case += f": {trouble.name.lower().replace('_', ' ')}"
    report.user_properties.append((PROPERTY, f"{case}|{backend.kind}"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _matrix.take(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not _matrix.cells:
        return
    terminalreporter.section("DNS: provider x case")
    for line in _matrix.text():
        terminalreporter.write_line(line)
    if file := config.getoption("--dns-matrix"):
        _matrix.write(Path(file))
    for line in _matrix.missing.values():
        terminalreporter.write_line(f"SKIPPED, a server is missing: {line}", red=True, bold=True)
