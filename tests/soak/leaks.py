"""Leaks to plant in the controller, to see that the soak finds each and names it: ``make soak ARGS="--plant …"``."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from decco.kube.controller import Action
from decco.objects import Key
from decco.reconcilers import app

EACH = 10
"""One in so many reconciles of an App leaks."""


def _list(kept: list[object]) -> None:
    kept.append(bytes(1024))


def _task(kept: list[object]) -> None:
    kept.append(asyncio.create_task(asyncio.Event().wait()))


def _socket(kept: list[object]) -> None:
    kept.append(socket.socket())


def _file(kept: list[object]) -> None:
    kept.append(Path(os.devnull).open("rb"))  # noqa: SIM115 - that is what it is for


LEAKS: dict[str, Callable[[list[object]], None]] = {"list": _list, "task": _task, "socket": _socket, "file": _file}


def plant(name: str) -> None:
    """From now on the App reconcilers of this process leak so."""
    kept: list[object] = []
    vars(app)["PLANTED"] = kept
    reconcile = app.AppReconciler.reconcile
    count = 0

    async def leak(self: app.AppReconciler, key: Key) -> Action:
        nonlocal count
        count += 1
        if count % EACH == 0:
            LEAKS[name](kept)
        return await reconcile(self, key)

    app.AppReconciler.reconcile = leak  # type: ignore[method-assign]
