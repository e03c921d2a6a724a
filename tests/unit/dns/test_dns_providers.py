"""A provider is one package: nothing else of decco names it, and its credentials are always refreshed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Literal

import pytest

from decco.dns import providers
from decco.dns.factory import ProviderEnvironment, refreshing
from decco.dns.provider_settings import ProviderSettings
from decco.dns.wrappers.credential_refresh import CredentialRefresh

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = '''
from typing import Literal
from decco.dns.provider_settings import ProviderSettings


class Settings(ProviderSettings):
    """A provider for tests. The Secret holds ``token``."""

    platform_credentials = False

    type: Literal["dummy"] = "dummy"
    colour: Literal["red", "blue"] = "red"
    """What the records look like."""
'''
CLIENT = """
from decco.dns.errors import ProviderRefused
from decco.dns.provider import ProviderBase


class Dummy(ProviderBase):
    def __init__(self, settings, token):
        super().__init__(settings.label, settings.zones)
        self.token = token
        self.found = []

    async def records(self, zone, names=None):
        if self.token != "new":
            raise ProviderRefused("an old token")
        return [record for record in self.found if names is None or record.name in names]

    def fit(self, zone, changes):
        return 1

    async def apply(self, zone, changes):
        self.found += changes[0].after
        return [None]


def make(settings, context):
    return Dummy(settings, context.credentials.access_key("token"))
"""
PROGRAM = """
import asyncio, json, sys

from decco.dns import providers

providers.__path__.append(sys.argv[1])

from decco.settings.load import ConfigText, WrongSettings, load

clients = [name for name in sys.modules if name.startswith(("decco.dns.providers.", "aiobotocore", "google"))]
imported = [name for name in clients if not name.endswith("settings") and name.count(".") > 3]

from decco.dns.factory import ProviderEnvironment, make_dns
from decco.dns.records import DesiredRecord
from tools.settings_page import page
from tools.dns_page import guides


def configured(provider):
    return load({}, {}, ConfigText(json.dumps({"dns": {"providers": [provider]}}), "decco.yaml")).dns


async def main():
    settings = configured({"type": "dummy", "zones": ["a.test"], "secretName": "key"})
    reads = []

    async def read(name):
        reads.append(name)
        return {"token": b"new"}

    dns = make_dns(settings, "here", ProviderEnvironment({"key": {"token": b"old"}}, read_secret=read), lambda *_: None)
    ready = asyncio.Event()
    dns.subscribe(lambda uid: ready.set() if dns.state(uid).ready else None)
    dns.ensure("uid", [DesiredRecord("x.a.test", frozenset({"192.0.2.1"}))])
    task = asyncio.create_task(dns.run())
    await ready.wait()
    task.cancel()
    return reads


try:
    configured({"type": "dummy", "zones": ["a.test"], "colour": "green"})
except WrongSettings as error:
    mistake = str(error)
found = {
    "imported": imported,
    "reads": asyncio.run(main()),
    "mistake": mistake,
    "page": [line for line in page().splitlines() if "of type `dummy`" in line or "`colour`" in line],
    "guide": "### dummy" in guides(),
}
print(json.dumps(found))
"""


@pytest.mark.thorough
def test_a_new_provider_is_one_package(tmp_path: Path) -> None:
    package = tmp_path / "dummy"
    package.mkdir()
    for name, text in {
        "__init__.py": "",
        "settings.py": SETTINGS,
        "client.py": CLIENT,
        "guide.md": "### dummy\n",
    }.items():
        (package / name).write_text(text)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found == {
        "imported": [],
        "reads": ["key"],
        "mistake": 'decco.yaml:1: dns.providers[0].colour: "green" must be red or blue',
        "page": [
            "#### `dns.providers[]` of type `dummy`",
            "| `colour` | red or blue | `red` | What the records look like. |",
        ],
        "guide": True,
    }


@pytest.mark.parametrize("name", providers.names())
def test_a_package_is_complete(name: str) -> None:
    model = providers.settings_models()[name]
    assert model.model_fields["type"].default == name
    assert isinstance(model.platform_credentials, bool)
    assert model.__doc__
    assert callable(providers.client(name).make)
    guide = (resources.files(f"{providers.__name__}.{name}") / "guide.md").read_text()
    assert guide.startswith(f"### {name}")
    assert name == "none" or (ROOT / "tests" / "dns" / "backends" / f"{name}.py").exists()


def test_credentials_are_always_refreshed() -> None:
    for name, model in providers.settings_models().items():
        if name in {"memory", "none"}:
            assert isinstance(refreshing(model(zones=("a.test",)), ProviderEnvironment()), CredentialRefresh)

    class Forgetful(ProviderSettings):
        type: Literal["memory"] = "memory"

    with pytest.raises(AttributeError, match="platform_credentials"):
        refreshing(Forgetful(zones=("a.test",)), ProviderEnvironment())
