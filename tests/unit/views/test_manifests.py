"""How a difference is shown."""

from __future__ import annotations

from decco.objects import DEPLOYMENTS, SECRETS, Key, Obj, Resource
from decco.views.dry_run_client import Write
from decco.views.manifests import is_change, shown, unified

HASH = "decco.platform9.com/hash"


def write(before: Obj | None, after: Obj | None, resource: Resource = DEPLOYMENTS) -> Write:
    def whole(obj: Obj | None) -> Obj | None:
        return None if obj is None else {**obj, "metadata": {"name": "x", "namespace": "n", **obj.get("metadata", {})}}

    return Write(resource, Key("n", "x"), whole(before), whole(after))


def test_what_the_server_counts_is_no_news() -> None:
    before = {"metadata": {"resourceVersion": "1", "uid": "a", "generation": 1}, "spec": {"a": 1}, "status": {"x": 1}}
    after = {"metadata": {"resourceVersion": "2", "uid": "b", "generation": 2}, "spec": {"a": 1}}
    assert not is_change(write(before, after))
    assert is_change(write(before, {**after, "spec": {"a": 2}}))


def test_the_digest_is_shown_only_if_nothing_else_changes() -> None:
    before = {"metadata": {"annotations": {HASH: "1"}}, "spec": {"a": 1}}
    only = write(before, {"metadata": {"annotations": {HASH: "2"}}, "spec": {"a": 1}})
    assert is_change(only)
    assert f"+    {HASH}: '2'" in list(unified(only))
    more = write(before, {"metadata": {"annotations": {HASH: "2"}}, "spec": {"a": 2}})
    assert list(unified(more))[-2:] == ["-  a: 1", "+  a: 2"]
    assert HASH not in "\n".join(unified(more))


def test_the_content_of_secrets_is_never_shown() -> None:
    before, after = {"data": {"key": "c2VjcmV0", "same": "c2FtZQ=="}}, {"data": {"key": "b3RoZXI=", "same": "c2FtZQ=="}}
    text = "\n".join(unified(write(before, after, SECRETS)))
    assert "c2VjcmV0" not in text
    assert "b3RoZXI=" not in text
    assert "-  key: '*** (before)'\n+  key: '*** (after)'" in text
    assert "c2FtZQ" not in str(shown(write(before, after, SECRETS)))


def test_an_object_that_comes_or_goes_is_shown_whole() -> None:
    lines = list(unified(write(None, {"spec": {"a": 1}})))
    assert lines[:2] == ["--- nothing", "+++ decco Deployment n/x"]
    lines = list(unified(write({"spec": {"a": 1}}, None)))
    assert lines[:2] == ["--- live Deployment n/x", "+++ nothing"]
    assert all(line.startswith("-") for line in lines[3:])
