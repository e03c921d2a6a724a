"""Process 1 of the node's namespaces: prepares the mounts, reports that, then reaps processes as an init does.

Its end is the end of everything in the namespaces: processes, mounts, interfaces, firewall rules. Run by
``sandbox.py`` inside ``unshare``, with the standard library alone: ``init.py <folder>``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

PRIVATE = ("run", "log")
"""Folders of ours that cover /run and /var/log: the runtime's sockets, locks and pods' logs are not shared."""
FORWARD = "/proc/sys/net/ipv4/ip_forward"


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    folder = Path(sys.argv[1])
    # The kubelet's mounts must reach the containers' mount namespaces, but never the machine's.
    run("mount", "--make-rshared", "/")
    # Programs of another init's world have their sockets there; a namespace bound there must not outlive us.
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    (folder / "log").mkdir(exist_ok=True)
    run("mount", "--bind", str(folder / "log"), "/var/log")
    run("ip", "link", "set", "lo", "up")
    Path(FORWARD).write_text("1")
    (folder / "ready").touch()
    # Without it the kernel would reap for us, and so would lose the exit status that `nsenter` waits for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            # None yet: a signal, or the next process that is given to us, ends the pause.
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)


main()
