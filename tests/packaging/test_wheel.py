"""The wheel: it has the package and nothing else of the repository, and it runs without tools/, tests/ and testbed/."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from testbed.manifests import MANIFESTS

CHECKOUT = MANIFESTS.parent
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "src")
NOT_IN_IT = ("tools", "tests", "testbed", "bench")
START = """
import sys
sys.path[:0] = {path!r}
"""
EVERY_MODULE = """
import importlib, pkgutil
import decco
for module in pkgutil.walk_packages(decco.__path__, "decco."):
    importlib.import_module(module.name)
print(decco.__file__, sorted({{*{absent!r}}} & {{name.partition(".")[0] for name in sys.modules}}))
"""
COMMAND = """
from {module} import main
sys.exit(main({arguments!r}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the content of the wheel, which is built from a copy without the rest of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / "source" / name)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True, env=_environment())
    [built] = (folder / "dist").iterdir()
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "content")
    return folder / "content"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(wheel: Path, code: str, cwd: Path) -> str:
    """What the code prints in a Python that has the wheel's content and the installed packages, but not the checkout:
    without ``site``, the file of the editable installation is not read.
    """
    code = START.format(path=[str(wheel), *site.getsitepackages()]) + code
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_only_the_package(wheel: Path) -> None:
    folders = {path.name for path in wheel.iterdir()}
    assert "decco" in folders
    assert all(name == "decco" or name.startswith("decco-") for name in folders), folders
    assert (wheel / "decco/py.typed").exists() == (CHECKOUT / "src/decco/py.typed").exists()


def test_every_module_is_imported_without_the_rest_of_the_repository(wheel: Path, tmp_path: Path) -> None:
    said = run(wheel, EVERY_MODULE.format(absent=NOT_IN_IT), tmp_path)
    assert said == f"{wheel}/decco/__init__.py []\n"


def test_the_commands_run(wheel: Path, tmp_path: Path) -> None:
    controller = COMMAND.format(module="decco.cli.controller", arguments=["--print-config"])
    assert run(wheel, controller, tmp_path).startswith("namespace: decco\n")
    crds = run(wheel, COMMAND.format(module="decco.cli.main", arguments=["crds"]), tmp_path)
    assert crds == (CHECKOUT / "src/decco/api/crds.yaml").read_text()
    examples = str(MANIFESTS / "examples")
    rendered = run(wheel, COMMAND.format(module="decco.cli.main", arguments=["render", examples]), tmp_path)
    assert "kind: NetworkPolicy" in rendered
