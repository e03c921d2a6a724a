"""``decco-controller`` for which the times of a changed authority pass in seconds."""

from __future__ import annotations

import sys
from datetime import timedelta

from decco.cli import controller
from decco.desired import ca_change

SPREAD_SECONDS = 8
FORMER_TRUSTED_SECONDS = 30


def main() -> int:
    ca_change.SPREAD = timedelta(seconds=SPREAD_SECONDS)
    ca_change.FORMER_TRUSTED = timedelta(seconds=FORMER_TRUSTED_SECONDS)
    return controller.main()


if __name__ == "__main__":
    sys.exit(main())
