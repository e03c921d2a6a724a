"""The image of the sidecar, and further builds of its entry point. Without the packages the tests here are skipped,
loudly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from images.stunnel import build_root
from testbed import prerequisites
from testbed.images import archive, built
from tests.images.pki import Authority
from tests.images.rig import App, Pod

NEEDED = (*prerequisites.SIDECAR, *(prerequisites.ENGINE if os.geteuid() == 0 else ()))
MISSING = prerequisites.reason(*NEEDED)


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
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The files of the image, and its configuration. Only root has them as they are, with their owners."""
    if os.geteuid() != 0:
        pytest.skip("THE SIDECAR'S IMAGE IS NOT TESTED: that needs root")
    folder = tmp_path_factory.mktemp("image") / "root"
    return folder, archive.unpack(built.stunnel().archive, folder)


@pytest.fixture(scope="session")
def root(unpacked: tuple[Path, dict[str, Any]]) -> Path:
    return unpacked[0]


@pytest.fixture(scope="session")
def entry(request: pytest.FixtureRequest, build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's entry point, which starts the image's stunnel and OpenSSL; compiled here if this is not root.

    They are mounted over this machine's, so that volumes and addresses are where they are for the tests.
    """
    if os.geteuid() != 0:
        return build()
    root: Path = request.getfixturevalue("root")
    patterns = ("usr/bin/stunnel4", "**/libssl.so*", "**/libcrypto.so*")
    programs = [path for pattern in patterns for path in root.glob(pattern)]
    assert len(programs) == 3
    mounts = [f"mount --bind {path} /{path.relative_to(root)}" for path in programs]
    inner = "; ".join([*mounts, f'exec {root}{build_root.ENTRYPOINT} "$@"'])
    script = tmp_path_factory.mktemp("entry") / "entry"
    script.write_text(f"#!/bin/sh\nexec unshare --mount sh -euc '{inner}' entry \"$@\"\n")
    script.chmod(0o755)
    return script


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
