"""The tutorial as a reader types it: every block in one shell, each output as the page shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed import assets
from testbed.cluster import Cluster
from testbed.versions import kubernetes_version
from tests.e2e.world import World

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(?P<info>sh run|text output)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
END = "-- end of block"
REFUSED = "is invalid"
"""In the output of the one command that fails on purpose."""
MINUTES = 20


def blocks(text: str) -> list[tuple[str, str]]:
    """Commands, each with the output that the page shows; empty where it shows none."""
    found: list[tuple[str, str]] = []
    for each in BLOCK.finditer(text):
        if each["info"] == "sh run":
            found.append((each["text"], ""))
        else:
            found[-1] = (found[-1][0], each["text"])
    return found


def as_shown(said: str, shown: str) -> bool:
    """Whether lines are those of the page, where ``...`` stands for anything."""
    pattern = re.escape(shown.strip()).replace(re.escape("..."), ".*?")
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def test_every_block_has_a_test_or_is_for_the_trial_cluster() -> None:
    marked = [line for line in PAGE.read_text().splitlines() if line.startswith("```") and line != "```"]
    assert set(marked) == {"```sh run", "```text output"}
    assert PAGE.read_text().count("\n```\n") == len(marked) + 2 * 2


@pytest.mark.full
def test_the_tutorial(world: World, cluster: Cluster, tmp_path: Path) -> None:
    del world
    kubectl = assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"]
    path = os.pathsep.join([str(kubectl.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    shell = subprocess.Popen(
        ["bash", "-u"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = time.monotonic()
    try:
        wrong = [said for commands, shown in blocks(PAGE.read_text()) if (said := _run(shell, commands, shown))]
    finally:
        shell.kill()
        shell.communicate()
    assert not wrong, "\n".join(wrong)
    assert time.monotonic() - started < MINUTES * 60


def _run(shell: subprocess.Popen[str], commands: str, shown: str) -> str:
    """What is wrong with a block, which is run in a shell that goes on: later blocks use its variables."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    # Without `set -e`, which would end the shell and hide what the next blocks do.
    shell.stdin.write(f"{commands}\necho '{END}' $?\n")
    shell.stdin.flush()
    said = []
    for line in shell.stdout:
        if line.startswith(END):
            break
        said.append(line)
    else:
        raise AssertionError(f"the shell ended:\n{commands}\n{''.join(said)}")
    if shown and not as_shown("".join(said), shown):
        return f"{commands}\n{''.join(said)}\nis not\n{shown}"
    status = int(line.removeprefix(END))
    return f"status {status}:\n{commands}\n{''.join(said)}" if status and REFUSED not in shown else ""
