"""``decco-controller`` on a machine whose wall clock is wrong by ``$SHIFT`` seconds; its monotonic clock is right."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta, tzinfo

SHIFT = float(os.environ["SHIFT"])
_time = time.time


class ShiftedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(seconds=SHIFT)


if __name__ == "__main__":
    time.time = lambda: _time() + SHIFT  # before decco binds it
    import decco.daemon
    import decco.leader_session  # noqa: F401 - all modules that are to be changed
    from decco.cli import controller

    for name, module in list(sys.modules.items()):
        if name.startswith("decco.") and getattr(module, "datetime", None) is datetime:
            module.datetime = ShiftedDatetime  # type: ignore[attr-defined]
    sys.exit(controller.main())
