"""What is replaced in decco so that many controllers run in one process, and quickly; all else is as in production.

* the kubeconfig: each controller gets its own proxy's address;
* the client of the DNS provider ``memory``: a zone that outlives the controller;
* pauses without a setting that last from seconds to minutes: a plan must not take as long.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

from tests.faults.instance import CURRENT, Lines, connect
from tests.faults.zone import Provider

PAUSES = {
    ("decco.kube.watch", "BACKOFF_MAX_SECONDS"): 1.0,
    ("decco.kube.watch", "OUTAGE_SECONDS"): 1.0,
    ("decco.kube.transport", "MAX_WAIT_SECONDS"): 0.4,
    ("decco.reconcilers.rejections", "RETRY_SECONDS"): 0.4,
    ("decco.reconcilers.rejections", "REFUSAL_SECONDS"): 1.0,
    ("decco.reconcilers.rejections", "SPREAD_SECONDS"): 0.3,
    ("decco.reconcilers.rejections", "MIN_RETRY_SECONDS"): 0.1,
    ("decco.reconcilers.outcomes", "REQUEUE_SECONDS"): 0.5,
}
SETTLE_SECONDS = 1.0
"""How long a change of a zone without an answer counts as unconfirmed: the default of an argument, a minute."""


def install() -> None:
    """Puts everything into place; once for each process."""
    import decco.daemon
    import decco.dns.providers.memory.client
    import decco.kube.config

    decco.kube.config.connect = connect
    memory: Any = decco.dns.providers.memory.client
    memory.make = _make
    import decco.dns.service

    for (name, constant), seconds in PAUSES.items():
        usual = getattr(importlib.import_module(name), constant)
        assert isinstance(usual, float), (name, constant)
        for module in [each for where, each in sys.modules.items() if where.startswith("decco.")]:
            if getattr(module, constant, None) == usual:
                setattr(module, constant, seconds)
    dns: Any = decco.dns.service.Dns.__init__
    dns.__kwdefaults__ = {**dns.__kwdefaults__, "settle": SETTLE_SECONDS}
    root = logging.getLogger("decco")
    root.handlers[:] = [Lines()]
    root.propagate = False
    root.setLevel(logging.INFO)


def _make(settings: Any, _context: Any) -> Provider:
    instance = CURRENT.get()
    return Provider(settings.label, settings.zones, instance.zone, lambda: instance.alive)
