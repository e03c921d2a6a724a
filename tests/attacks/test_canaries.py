"""No byte of a Secret is anywhere but in the Secret and its permitted copies, after a life with attacks and errors."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from testbed.keyspace import stored
from tests.attacks.attempts import Obj
from tests.attacks.canaries import PART, Canaries
from tests.attacks.life import SECRETS, Life


def test_no_secret_is_anywhere_else(life: Life) -> None:
    """All values that etcd has ever stored in this life, the log with all debug lines, and the metrics."""
    texts = list(life.searched())
    assert any(where == "log" and b'"debug"' in text for where, text in texts)
    assert {where for where, _ in texts} > {"log", "metrics"}
    assert life.canaries.found(texts) == []


def test_every_canary_was_seen_where_it_may_be(life: Life) -> None:
    """Otherwise the search would not find it anywhere."""
    unrestricted = Canaries([type(each)(each.name, each.value, ()) for each in life.canaries.all])
    found = unrestricted.found(life.history.values)
    assert {line.partition(" in ")[0] for line in found} == {each.name for each in life.canaries.all}
    assert any(line.endswith("/registry/secrets/bank/bank-tls") for line in found), "a copy"


FORMS: dict[str, Callable[[bytes], str]] = {
    "whole": bytes.decode,
    "the last part": lambda value: value[-PART:].decode(),
    "base64": lambda value: base64.b64encode(value).decode(),
    "base64 of a part within a text": lambda value: base64.b64encode(b"x" + value[7 : 7 + PART] + b"yz").decode(),
    "hexadecimal": lambda value: value[3 : 3 + PART].hex(),
}


SAMPLE = "base64 of a part within a text"


@pytest.mark.parametrize(
    "form", [pytest.param(each, marks=[] if each == SAMPLE else pytest.mark.full) for each in FORMS]
)
def test_a_leak_is_found(life: Life, form: str) -> None:
    """Planted in an object as a careless operator would have written it."""
    [canary] = [each for each in life.canaries.all if each.name == "private-tls note"]
    leak: Obj = {
        "metadata": {"generateName": "leak-"},
        "data": {"said": f"cannot use {FORMS[form](canary.value)}: wrong"},
    }
    made = life.cp.create("/api/v1/namespaces/edge/configmaps", leak)
    path = f"/api/v1/namespaces/edge/configmaps/{made['metadata']['name']}"
    try:
        found = life.canaries.found(stored(life.cp.etcd_url).items())
        assert found == [f"private-tls note in /registry/configmaps/edge/{made['metadata']['name']}"]
    finally:
        assert life.cp.request("DELETE", path).status == 200


def test_a_leak_that_is_corrected_at_once_is_found(life: Life) -> None:
    """A copy in a Space that is not permitted, for a moment."""
    [canary] = [each for each in life.canaries.all if each.name == "private-tls note"]
    life.cp.create(
        SECRETS.format("edge"), {"metadata": {"name": "moment"}, "data": {"a": base64.b64encode(canary.value).decode()}}
    )
    assert life.cp.request("DELETE", f"{SECRETS.format('edge')}/moment").status == 200
    where = "/registry/secrets/edge/moment"
    planted = [each for each in life.history.values if each[0] == where]
    assert life.canaries.found(planted) == [f"private-tls note in {where}"]
    life.history.values[:] = [each for each in life.history.values if each[0] != where]
