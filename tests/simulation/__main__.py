"""``python -m tests.simulation``: runs schedules by seed."""

from __future__ import annotations

import sys

from tests.simulation import clock

clock.install()

if __name__ == "__main__":
    from tests.simulation import seams

    seams.install()
    from tests.simulation.command import main

    sys.exit(main(sys.argv[1:]))
