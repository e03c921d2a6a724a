"""``decco-controller`` that reads the copies of Secrets every few seconds instead of every hour."""

from __future__ import annotations

import sys

from decco.cli import controller
from decco.reconcilers import copies

READ_SECONDS = 2.0


def main() -> int:
    copies.READ_SECONDS = READ_SECONDS
    copies.FIRST_PAUSE_SECONDS = READ_SECONDS / 2
    return controller.main()


if __name__ == "__main__":
    sys.exit(main())
