"""Where the simulation takes the place of the machine, in decco's modules. Nothing else of decco is replaced.

* ``aiohttp.ClientSession`` of the transport: the network of the simulation;
* ``config.connect``: there is no kubeconfig;
* threads and new event loops, ``os._exit`` and the kernel's alarm: those of the simulated process;
* ``datetime.now``: the virtual wall clock;
* the client of the DNS provider ``memory``: a zone that all processes share, behind a network;
* the resolver's questions: each name has one address;
* the metrics: nobody reads them, and to make them takes longer than most of a start, so all processes share them.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any

from tests.simulation import loops, zone
from tests.simulation.clock import VirtualDatetime
from tests.simulation.http import Session


def _made_once(kind: Any) -> Callable[..., Any]:
    made: dict[str, Any] = {}

    def make(name: str, *args: Any, **options: Any) -> Any:
        if name not in made:
            made[name] = kind(name, *args, **{**options, "registry": None})
        return made[name]

    return make


def install() -> None:
    """Puts everything into place; once per process, after ``clock.install``."""
    from datetime import datetime

    import decco.daemon
    import decco.dns.providers.memory.client
    import decco.kube.config
    import decco.kube.leader
    import decco.kube.transport
    import decco.leader_session
    import decco.metrics
    import decco.reconcilers.providers
    from decco.kube.connection import Connection

    # The coroutines of killed processes are collected some time, and complain.
    sys.unraisablehook = lambda _args: None
    asyncio.set_event_loop_policy(loops.Policy())

    async def connect(_kubeconfig: str | None = None, _context: str | None = None) -> Connection:
        return Connection("http://api")

    decco.kube.config.connect = connect
    transport: Any = decco.kube.transport
    transport.aiohttp = types.SimpleNamespace(
        **{name: getattr(transport.aiohttp, name) for name in dir(transport.aiohttp) if not name.startswith("__")}
    )
    transport.aiohttp.ClientSession = Session
    transport.aiohttp.TCPConnector = lambda **_: None
    transport.aiohttp.DummyCookieJar = lambda: None
    memory: Any = decco.dns.providers.memory.client
    memory.make = zone.make
    session: Any = decco.leader_session
    session.LateQuery = lambda _servers: zone.resolve
    metrics: Any = decco.metrics
    for kind in ("Counter", "Gauge", "Histogram"):
        setattr(metrics, kind, _made_once(getattr(metrics, kind)))
    metrics.ProcessCollector = metrics.GCCollector = lambda **_: None
    leader: Any = decco.kube.leader
    leader.threading = types.SimpleNamespace(Thread=loops.Thread)
    leader.os = types.SimpleNamespace(_exit=lambda status: loops.current_process().exit(status))
    daemon: Any = decco.daemon
    daemon.process_alarm = lambda: loops.current_process().alarm
    daemon.socket = types.SimpleNamespace(gethostname=lambda: loops.current_process().name)
    daemon.uuid = types.SimpleNamespace(uuid4=lambda: uuid.UUID(int=random.getrandbits(128), version=4))
    for name, module in list(sys.modules.items()):
        if name.startswith("decco.") and getattr(module, "datetime", None) is datetime:
            module.datetime = VirtualDatetime  # type: ignore[attr-defined]
    assert threading.Thread is not loops.Thread
    assert os._exit is not None
