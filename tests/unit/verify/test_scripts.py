"""The scripts of the pods, run by the busybox of this machine on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from decco.verify import pods
from testbed import prerequisites
from testbed.packages import path_of
from tests.promises import PATIENCE
from tests.unit.verify.waiting import until

pytestmark = pytest.mark.thorough

SHELL = path_of("busybox")


@pytest.fixture
def shell() -> Path:
    if SHELL is None:
        pytest.skip(f"{prerequisites.SKIP}busybox")
    return SHELL


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def here(script: str, folder: Path) -> str:
    """The script with its paths below a folder of the test."""
    return script.replace("/tmp", str(folder)).replace("/dev/termination-log", f"{folder}/log")


def test_server_and_client(shell: Path, tmp_path: Path) -> None:
    first, second, closed = free_port(), free_port(), free_port()
    path = {"PATH": os.environ["PATH"]}
    # busybox would run as many servers as ports: they end with their group.
    server = subprocess.Popen(
        [shell, "sh", "-c", here(pods.SERVE, tmp_path)],
        env={**path, "NAME": "a/web", "PORTS": f"{first} {second}", "PATHS": "verify verify/longer"},
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{first}"
        assert until(lambda: read(f"{url}/who"), PATIENCE) == f"a/web {first}\n"
        assert read(f"{url}/verify/longer/who") == f"a/web {first}\n"
        assert read(f"{url}/cgi-bin/echo?x=1", b"body").startswith(f"POST /cgi-bin/echo?x=1 127.0.0.1:{first}\nbody")
        assert until(lambda: read(f"{url}{pods.SLOW}"), PATIENCE) == "slow\n"
        assert until(lambda: read(f"{url}{pods.DRIPS}"), PATIENCE) == "\n" * 7 + "end\n"
        targets = [
            pods.PortCheck("open", True, ("tcp", "127.0.0.1", str(second))),
            pods.PortCheck("answers", True, ("http", "127.0.0.1", str(first), f"a/web.{first}")),
            pods.PortCheck("reached", False, ("tcp", "127.0.0.1", str(first))),
            pods.PortCheck("closed", False, ("tcp", "127.0.0.1", str(closed))),
        ]
        lines = "\n".join(each.line for each in targets)
        argv = [shell, "sh", "-c", here(pods.CLIENT, tmp_path)]
        subprocess.run(argv, env={**path, "TARGETS": lines}, check=True, timeout=60)
    finally:
        os.killpg(server.pid, 15)
        server.wait()
        end_of([first, second])
    ended = {"name": "verify", "state": {"terminated": {"message": (tmp_path / "log").read_text()}}}
    found = pods.results({"status": {"containerStatuses": [ended]}})
    assert found == {"open": True, "answers": True, "reached": True, "closed": False}


def read(url: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(url, body, timeout=5) as answer:
        return str(answer.read().decode())


def end_of(ports: list[int]) -> None:
    """httpd makes itself a daemon outside of the group: it ends by its number, found by its own arguments."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"httpd" in words[:2] and any(str(port).encode() in words for port in ports):
            os.kill(int(folder.name), 15)
