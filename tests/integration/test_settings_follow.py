"""A running controller whose settings file changes: another level without a restart, mistakes without effect."""

from __future__ import annotations

from pathlib import Path

from decco.settings.live import CHECK_SECONDS
from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco, eventually
from tests.integration.logs import Line, lines

SEEN_SECONDS = CHECK_SECONDS + 10


def replace(file: Path, text: str) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.rename(file)


def said(decco: Decco, event: str) -> list[Line]:
    return [line for line in lines(decco) if line.get("event") == event]


def test_another_level_without_a_restart(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    cluster = Cluster(control_plane)
    file = tmp_path / "decco.yaml"
    file.write_text("logLevel: info\n")
    decco = Decco(control_plane, tmp_path).start(level="", flags=(f"--config={file}",))
    try:
        cluster.make_space(f"{name}-quiet")
        assert lines(decco, "debug") == []
        replace(file, "logLevel: debug\nclusterId: east\n")
        [line] = eventually(lambda: said(decco, "the log level is changed"), SEEN_SECONDS)
        assert (line["before"], line["after"]) == ("info", "debug")
        cluster.make_space(f"{name}-loud")
        assert eventually(lambda: [line for line in lines(decco, "debug") if line.get("space") == f"{name}-loud"])
        [line] = said(decco, "changed settings wait for a restart")
        assert line["settings"] == ["clusterId"]

        replace(file, "logLevel: debug\nclusterID: east\n")
        [line] = eventually(lambda: lines(decco, "error"), SEEN_SECONDS)
        assert line["mistake"].startswith(f"{file}:2: clusterID: unknown setting")
        assert decco.get("/healthz").startswith("ok")
        assert decco.stop() == 0
    finally:
        decco.kill()
