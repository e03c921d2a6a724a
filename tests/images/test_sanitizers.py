"""The entry point under AddressSanitizer and UndefinedBehaviorSanitizer: all its ways, and hostile texts."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from images.stunnel import build_root
from tests.images.pki import Authority
from tests.images.rig import LOADED, PATIENCE, App, Pod, Sidecar, ask, ask_plain, egress, free_ports, server

SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TEXT = """foreground = yes
debug = notice

[one]
accept = :::443
connect = 127.0.0.1:80
connect = ::1:80
cert = /etc/decco/tls/own/tls.crt
key = /etc/decco/tls/own/tls.key
CAfile = /etc/decco/tls/own/ca.crt
checkHost = a.test

[localhost:5432]
client = yes
accept = 127.0.0.1:5432
connect = db.test:443
checkHost = db.test
"""
PIECES = [
    "[",
    "]",
    "\n",
    "=",
    " ",
    "\t",
    ";",
    "#",
    ":",
    "accept",
    "accept = ",
    "checkHost=",
    "connect = ::1:",
    "client = yes\n",
    "cert=",
    "[x]\n",
    "\r",
    "\0",
    "é",
    "9" * 30,
]


def test_all_its_ways_are_clean(
    build: Callable[..., Path], pod: Pod, authority: Authority, apps: tuple[App, App]
) -> None:
    first, second, local = free_ports(3)
    lead = egress(local, second, "server.test")
    pod.write(server("one", first, apps[0]), server("two", second, apps[1]), lead)
    with Sidecar([build(*SANITIZED, "-DSETTLE_MS=20", "-DPOLL_MS=100"), pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change():
            pod.renew("own", authority.leaf("server.test"))
        with sidecar.change():
            pod.write(server("two", second, apps[1]), server("one", first, apps[0]), server("new", 1, apps[0]))
        with sidecar.change(), sidecar.change("stunnel refuses the new configuration"):
            pod.write_text(pod.text(server("two", second, apps[1])) + "nonsense\n")
        with sidecar.change(), sidecar.change("the last good configuration stays"):
            pod.write_text("[a]\n")
        with sidecar.change("stunnel refuses the files"):
            pod.secrets["own"].write({"tls.crt": b"", "tls.key": b"", "ca.crt": b""})
        assert (ask(first)[0], ask(second)[0], ask_plain(local)) == ("one", "two", "two")
        assert sidecar.end() == 0, sidecar.log
        assert "Sanitizer" not in sidecar.log
        assert "runtime error" not in sidecar.log


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("parse") / "parse"
    sources = [
        Path(__file__).with_name("parse.c"),
        *(build_root.HERE / name for name in ("config.c", "expand.c", "log.c")),
    ]
    flags = [*build_root.WARNINGS, *SANITIZED, f"-I{build_root.HERE}"]
    subprocess.run(["gcc", *flags, "-o", program, *sources], check=True, timeout=60)
    return program


def mutated(random: random.Random) -> bytes:
    text = TEXT
    for _ in range(random.randint(1, 6)):
        at, length = random.randrange(len(text) + 1), random.choice([0, 0, 1, 5, 40])
        text = text[:at] + random.choice(PIECES) + text[at + length :]
    return text.encode()


def test_no_text_breaks_the_parser(parse: Path, tmp_path: Path) -> None:
    """Each is read, and merged with the one before it; all listeners of that one must be in what comes out."""
    chance = random.Random(4)  # the same texts each time
    texts = [
        b"",
        b"\n",
        b"[x]",
        TEXT.encode(),
        TEXT.encode() * 50,
        b"a" * 20_000,
        b"[x]\naccept = :::1" + b"\0" * (1 << 20),
    ]
    texts += [TEXT.replace("443", port).encode() for port in ("", "0", "-1", "65536", "9" * 400)]
    texts += [TEXT.replace(":::443", address).encode() for address in ("443", ":443", "[::]:443", "::1:443", ":" * 300)]
    texts += [mutated(chance) for _ in range(400)]
    files = []
    for number, text in enumerate(texts):
        files.append(tmp_path / f"{number}.conf")
        files[-1].write_bytes(text)
    done = subprocess.run([parse, *files], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(texts)
    assert sum(line.endswith("sections") for line in said) > 100
    assert sum(line.startswith("refused") for line in said) > 100
