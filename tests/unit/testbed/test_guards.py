"""What watches over the tests themselves: it must catch what it is there for."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError

import decco
from tests.summary import summarize

ROOT = Path(__file__).parents[3]


def code_of_decco(source: str) -> dict[str, object]:
    """Runs source as if it stood in a file of decco."""
    names: dict[str, object] = {"time": time}
    exec(compile(source, str(Path(decco.__file__).parent / "imagined.py"), "exec"), names)
    return names


async def test_decco_blocks_the_event_loop() -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        code_of_decco("time.sleep(0)")


async def test_others_may_block_the_event_loop(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert (tmp_path / "file").read_text() == "x"


def test_decco_may_block_without_an_event_loop() -> None:
    code_of_decco("time.sleep(0)")


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "2001:db8::1"])
async def test_another_machine_is_out_of_reach(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(RuntimeError, match="this machine only"):
        sock.connect((host, 9))


async def test_loopback_is_within_reach() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


def test_the_summary_adds_up_the_reports(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.xml").write_text(
            '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>'
        )
    assert summarize(sorted(tmp_path.iterdir())) == (8, 6, 6)


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_lock_files_name_versions_and_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"#.*", "", text)
    entries = re.findall(r"^([a-z0-9][\w.\[\]-]*)(==\S+)?[^\n]*?(\\?)$", text, re.MULTILINE)
    assert len(entries) > 20
    for package, version, continued in entries:
        assert version, f"{package} is not pinned"
        assert continued, f"{package} has no hash"


def test_the_lock_file_of_the_checks_agrees_with_that_of_the_program() -> None:
    pins = {
        name: dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))
        for name in ("runtime", "dev")
    }
    assert pins["runtime"].items() <= pins["dev"].items()


def test_bare_make_explains_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^  {target} +\S", done.stdout, re.MULTILINE), target
