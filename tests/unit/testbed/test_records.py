"""What the testbed reads of the API server's metrics and audit log."""

from __future__ import annotations

import json
from pathlib import Path

from testbed.audit import AuditEvent, read_events
from testbed.request_counts import RequestKey, parse_request_total

METRICS = """\
# HELP apiserver_request_total [STABLE] Counter of apiserver requests
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="cluster",subresource="",verb="LIST",version="v1"} 3
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1"} 1e+02
apiserver_request_total{code="409",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="status",verb="PUT",version="v1"} 2
apiserver_request_total_other{code="200"} 7
apiserver_watch_cache_events{resource="a\\"b"} 1
"""  # noqa: E501


def test_request_counts_are_added_up_over_scopes() -> None:
    assert parse_request_total(METRICS) == {
        RequestKey("LIST", "pods", "", "200"): 103,
        RequestKey("PUT", "deployments", "status", "409"): 2,
    }


def test_only_changes_are_writes() -> None:
    verbs = ["GET", "LIST", "WATCH", "CONNECT", "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"]
    assert [verb for verb in verbs if RequestKey(verb, "pods", "", "200").writes] == verbs[4:]


def event(**fields: object) -> bytes:
    base = {"verb": "create", "stage": "ResponseComplete", "requestURI": "/api/v1/x", "user": {"username": "decco"}}
    return json.dumps({**base, **fields}).encode() + b"\n"


def test_audit_events_are_read_from_a_place_on_and_only_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    first = event(verb="get")
    second = event(
        objectRef={"resource": "deployments", "subresource": "scale", "namespace": "s", "name": "a"},
        responseStatus={"code": 201},
        userAgent="decco/1",
    )
    log.write_bytes(first + second + b'{"verb": "delete", "sta')
    assert read_events(log, len(first)) == [
        AuditEvent("create", "deployments", "scale", "s", "a", 201, "ResponseComplete", "decco", "decco/1", "/api/v1/x")
    ]
    assert [found.verb for found in read_events(log)] == ["get", "create"]
    assert [found.writes for found in read_events(log)] == [False, True]


def test_an_audit_event_knows_a_refusal_by_the_authorizer_from_one_by_admission(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    refused = {"responseStatus": {"code": 403}}
    decisions = [{"authorization.k8s.io/decision": decision} for decision in ("forbid", "allow")]
    log.write_bytes(b"".join(event(**refused, annotations=decision) for decision in decisions) + event(**refused))
    assert [found.forbidden for found in read_events(log)] == [True, False, False]


def test_no_log_is_an_empty_record(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none") == []
