"""``make test-fresh-machine``: what the prerequisites are worth, on a Debian that has only what README names.

A bare Debian by debootstrap, in which this commit is checked out: make, Python and Go are there, nothing else. Without
root ``make test`` and ``make test-images`` must end at once with one command. As root ``make test-images`` must install
what it needs, and skip no test for want of it, and ``make demo`` must hold, without and with a node.

With ``ARGS=--whole`` README's test command runs there too, which takes the time of ``make test``.

The cache of programs and Go's modules are this machine's, so that nothing is built again. Needs root and Linux.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from testbed import bareroot, cache, golang
from testbed.bareroot import StepFailed
from testbed.found import AssetsMissing
from testbed.progress import say, step

CHECKOUT = Path(__file__).resolve().parent.parent
README = ("make", "python3", "git", "ca-certificates")
"""What README asks for, of Debian's packages; ca-certificates is what git and Python need for TLS."""
COMMAND = re.compile(r"sudo apt-get install .*")
SKIPS = re.compile(r"^SKIPPED .*$", re.MULTILINE)
SOON_SECONDS = 30.0
NOBODY = "nobody:nogroup"


class NotSeen(RuntimeError):
    """Something that README promises did not happen."""


class Machine:
    """A bare Debian in a folder, with parts of this machine mounted into it while a command runs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._variables = bareroot.copy_to(self.root)
        (self.root / "decco").mkdir()
        go_root, modules, built = golang.go(["env", "GOROOT", "GOMODCACHE", "GOCACHE"], CHECKOUT).split()
        self._mounts = {
            go_root: "usr/local/go",
            modules: "root/go/pkg/mod",
            built: "root/.cache/go-build",
            str(cache.root()): "root/.cache/decco",
        }
        for target in self._mounts.values():
            (self.root / target).mkdir(parents=True, exist_ok=True)

    def run(self, command: str, user: str = "root:root") -> tuple[int, str]:
        """Runs a shell command in the checkout; returns its status and what it printed."""
        binds = [
            f"mount --rbind {source} {self.root / target}"
            for source, target in {"/dev": "dev", "/sys": "sys", **self._mounts}.items()
        ]
        binds.insert(0, f"mount --bind {self.root} {self.root}")
        # A mount namespace of its own: however it ends, nothing stays mounted. A changed root alone is not enough:
        # tests start programs in mount namespaces of theirs, and ask /proc where these have their root.
        turn = f"mount -t proc proc {self.root}/proc; cd {self.root}; pivot_root . mnt; umount -l /mnt"
        enter = f'{turn}; exec chroot --userspec={user} / sh -c "$0"'
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", "; ".join([*binds, enter])]
        path = f"/usr/local/go/bin:{bareroot.PATH}"
        environment = {"PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8", **self._variables}
        done = bareroot.output_of([*argv, f"cd /decco && {command}"], environment)
        return done.returncode, done.stdout


def refuses(machine: Machine, target: str) -> None:
    """Without root, a target ends at once, with one command that installs everything, and has built nothing."""
    started = time.monotonic()
    status, said = machine.run(f"HOME=/tmp make {target}", NOBODY)
    took = time.monotonic() - started
    commands = COMMAND.findall(said)
    say(f"as nobody, make {target}: status {status} after {took:.1f} s: {' | '.join(commands)}")
    built = (machine.root / "decco" / ".venv").exists()
    if status == 0 or took > SOON_SECONDS or len(commands) != 1 or built:
        raise NotSeen(f"make {target} was to end within {SOON_SECONDS:.0f} s with one command:\n{said}")


def tests(machine: Machine, target: str, report: str) -> None:
    """As root, a target installs what it needs; all its tests pass, and none is skipped for a package."""
    with step(f"as root, make {target}"):
        status, said = machine.run(f"make {target}")
    path = machine.root / "decco" / "build" / "tests" / report
    suite = next(ET.parse(path).getroot().iter("testsuite")).attrib if path.is_file() else {}
    skips = SKIPS.findall(said)
    if status != 0 or int(suite.get("tests", 0)) < 2 or any("MISSING" in line for line in skips):
        raise NotSeen(f"make {target} ended with status {status}:\n{said[-6000:]}")
    say(f"make {target}: {suite['tests']} tests, {suite['failures']} failed, {suite['skipped']} skipped")
    for line in skips:
        say(f"  {line}")


def demo(machine: Machine, *variables: str) -> None:
    """As root, README's first command creates and repairs what it says, and ends by itself."""
    command = " ".join(["make demo ONCE=1", *variables])
    with step(f"as root, {command}"):
        status, said = machine.run(command)
    if status != 0 or "All of it held" not in said:
        raise NotSeen(f"{command} ended with status {status}:\n{said[-6000:]}")


def whole(machine: Machine) -> None:
    """As root, README's test command installs what it needs and passes; what it prints is in a file meanwhile."""
    log = machine.root / "whole.log"
    with step(f"as root, make test, see {log}"):
        status, said = machine.run("make test > /whole.log 2>&1")
    said += log.read_text(errors="replace")
    last = said.rstrip().rpartition("\n")[2]
    say(f"make test: status {status}: {last}")
    missing = [line for line in SKIPS.findall(said) if "MISSING" in line]
    if status != 0 or missing:
        raise NotSeen("\n".join(["make test was to pass:", *missing, said[-6000:]]))


def main() -> int:
    """Exit status 1 if a promise was not kept, 2 if this machine cannot try."""
    parser = argparse.ArgumentParser(prog="python -m testbed.fresh_machine", description="README on a bare Debian.")
    parser.add_argument("--whole", action="store_true", help="run make test there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="decco-fresh-", ignore_cleanup_errors=True) as folder:
        try:
            machine = Machine(Path(folder))
            with step(f"installing {' '.join(README)} and checking this commit out"):
                install = f"apt-get install -q -y --no-install-recommends {' '.join(README)}"
                status, said = machine.run(f"apt-get update -q && {install}")
                if status != 0:
                    raise StepFailed(said)
                bareroot.run(["git", "clone", "--quiet", "--no-hardlinks", str(CHECKOUT), str(machine.root / "decco")])
            for each in ("test-images", "test"):
                refuses(machine, each)
            tests(machine, "test-images", "images.xml")
            tests(machine, "unit", "unit.xml")
            demo(machine)
            demo(machine, "NODE=1")
            if arguments.whole:
                whole(machine)
        except NotSeen as error:
            say(f"testbed: {error}")
            return 1
        except (AssetsMissing, StepFailed, golang.GoFailed) as error:
            say(f"testbed: {error}")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
