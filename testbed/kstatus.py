"""The rules of kstatus, by which Flux, kpt and Helm 4 wait for an object: cli-utils itself, as a small program.

``kstatus_module/`` has a ``main`` of ours around its one function. It is built once and cached.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from testbed import gotool

MODULE = "kstatus_module"
VERSION = "0.37.2"
"""Of cli-utils, as in the module's go.mod."""
SECONDS = 60.0


def provide() -> Path:
    """Gives the program.

    Raises:
        AssetsMissing: it is not cached and cannot be built; the message says what to install.
    """
    return gotool.provide(gotool.Tool("kstatus", VERSION, MODULE, "."))


def status(program: Path, obj: dict[str, Any]) -> tuple[str, str]:
    """Status and message of one object: Current, InProgress, Failed, Terminating."""
    done = subprocess.run(
        [str(program)], input=json.dumps(obj), capture_output=True, text=True, timeout=SECONDS, check=True
    )
    found, _, message = done.stdout.rstrip("\n").partition(" ")
    return found, message
