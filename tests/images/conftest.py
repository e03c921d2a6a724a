"""Compiles the entry point once for the session. Without its packages the tests here are skipped, loudly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from images.stunnel import build_root
from testbed import prerequisites
from tests.images.pki import Authority
from tests.images.rig import App, Pod

MISSING = prerequisites.reason(*prerequisites.SIDECAR)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One skipped test stands for all of them, so that the summary has one line for it."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if not MISSING or not here:
        return
    stands = next((item for item in here if item.get_closest_marker("skipif") is None), here[0])
    stands.add_marker(pytest.mark.skip(reason=f"{MISSING} (THE SIDECAR'S IMAGE IS NOT TESTED)"))
    here.remove(stands)
    config.hook.pytest_deselected(items=here)
    items[:] = [item for item in items if item not in here]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles the entry point with further flags; the same flags are compiled once."""
    made: dict[Sequence[str], Path] = {}

    def compiled(*flags: str) -> Path:
        if flags not in made:
            made[flags] = tmp_path_factory.mktemp("entry") / "entry"
            build_root.compile_entry(made[flags], flags or build_root.RELEASE)
        return made[flags]

    return compiled


@pytest.fixture(scope="session")
def entry(build: Callable[..., Path]) -> Path:
    """The entry point as it is in the image."""
    return build()


@pytest.fixture(scope="session")
def quick(build: Callable[..., Path]) -> Path:
    """One that does not wait long for further changes."""
    return build("-O2", "-static", "-DSETTLE_MS=20")


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def apps() -> Iterator[tuple[App, App]]:
    """Two containers' ports, which say "one" and "two"."""
    made = App("one"), App("two")
    yield made
    for app in made:
        app.close()


@pytest.fixture
def pod(tmp_path: Path, authority: Authority) -> Pod:
    """The volumes of a pod with the Secret ``own``, for server.test."""
    return Pod(tmp_path, {"own": authority.leaf("server.test")})
