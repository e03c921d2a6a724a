"""Builds programs from Go modules, and takes files out of them.

The modules' checksums are committed, so it is the same source everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from testbed.versions import Module

TAIL_LINES = 12


class GoFailed(RuntimeError):
    """There is no Go, or it could not build; the message says what to do."""


def go(arguments: list[str], folder: Path, *, cgo: bool = False) -> str:
    """Runs the go command in a folder and returns what it printed.

    Raises:
        GoFailed: there is none, or it failed; the message holds its last lines.
    """
    program = shutil.which("go")
    if program is None:
        raise GoFailed("there is no `go` on PATH: install Go 1.26 or later")
    # Of no effect on the result but that it is the same everywhere: no workspace around us, no C compiler needed unless
    # the program has parts in C.
    env = {**os.environ, "CGO_ENABLED": str(int(cgo)), "GOWORK": "off"}
    done = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-TAIL_LINES:]
        raise GoFailed("\n    ".join([f"`go {' '.join(arguments[:2])} ...` failed in {folder}:", *said]))
    return done.stdout


def build(folder: Path, package: str, target: Path, linker: str = "", *, c_tags: str = "") -> None:
    """Builds one program.

    Args:
        folder: holds the go.mod and go.sum that have the package as a tool.
        package: import path of the program.
        target: the file to write.
        linker: flags for the linker beside those that leave out debug information.
        c_tags: tags of a program with parts in C, which needs a C compiler; "" for all others.
    """
    flags = f"-s -w {linker}".strip()
    how = ["-trimpath", "-buildvcs=false", "-ldflags", flags, *(["-tags", c_tags] if c_tags else [])]
    go(["build", *how, "-o", str(target), package], folder, cgo=bool(c_tags))


def module_folder(module: Module, folder: Path) -> Path:
    """Downloads a module into Go's own cache and returns its read-only folder there.

    Args:
        module: what to download.
        folder: any folder to run in.

    Raises:
        GoFailed: it cannot be had, or its files are not those that the checksum says.
    """
    got = json.loads(go(["mod", "download", "-json", f"{module.path}@{module.version}"], folder))
    if got["Sum"] != module.checksum:
        raise GoFailed(f"{module.path} {module.version} has checksum {got['Sum']}, expected {module.checksum}")
    return Path(got["Dir"])
