"""``python -m tests.simulation``: runs schedules by seed. See ``command.py``."""

from __future__ import annotations

import os
import sys

from tests.simulation import clock

if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets must not differ from one process to the next.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "tests.simulation", *sys.argv[1:]])
    clock.install()
    from tests.simulation import seams

    seams.install()
    from tests.simulation.command import main

    sys.exit(main(sys.argv[1:]))
