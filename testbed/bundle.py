"""The rules for bundles of the Operator Lifecycle Manager and of OperatorHub: operator-framework's own library.

``bundle_module/`` has a ``main`` of ours around its validators, those that `operator-sdk bundle validate` runs.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from testbed import gotool

MODULE = "bundle_module"
SECONDS = 60.0


def provide() -> Path:
    """Gives the program.

    Raises:
        AssetsMissing: it is not cached and cannot be built; the message says what to install.
    """
    return gotool.provide(gotool.Tool("bundle-validate", gotool.digest(MODULE), MODULE, ".", minutes=2))


def verdict(program: Path, folder: Path) -> list[str]:
    """Errors and warnings about the bundle in a folder, one a line; none if it is accepted."""
    done = subprocess.run([str(program), str(folder)], capture_output=True, text=True, timeout=SECONDS, check=False)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]
