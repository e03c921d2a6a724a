"""A network of its own for a block of a test, as a pod has one: some addresses, and IPv6 or not."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000


@contextmanager
def network(*addresses: str, loopback6: bool = True) -> Iterator[None]:
    """This thread, and the processes and threads that it starts in the block, are in a new network. Needs root.

    Args:
        addresses: those of its one interface, with their prefix lengths.
        loopback6: whether there is ::1, and IPv6 at all.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        _set_up(addresses, loopback6)
        yield
    finally:
        if libc.setns(before, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(before)


def _set_up(addresses: Sequence[str], loopback6: bool) -> None:
    if not loopback6:
        for where in ("all", "default"):
            Path(f"/proc/sys/net/ipv6/conf/{where}/disable_ipv6").write_text("1")
    commands = ["link set lo up", "link add eth0 type veth peer name peer", "link set peer up", "link set eth0 up"]
    commands += [f"addr add {address} dev eth0{' nodad' if ':' in address else ''}" for address in addresses]
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)
