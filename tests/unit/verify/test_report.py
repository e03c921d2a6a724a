"""The report: what failed, with code and hint; what was skipped, with the reason; never a skipped one as passed."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from decco.verify import report
from decco.verify.outcome import Outcome
from decco.verify.probe import Probe, Result
from decco.verify.session import Report
from decco.views.findings import Finding


async def _nothing(_: object) -> None:
    return


def result(name: str, outcome: Outcome, text: str = "") -> Result:
    return Result(Probe(name, "it holds", "verify-route", _nothing), outcome, text, 1.5)


def made(*results: Result, left: tuple[str, ...] = ()) -> Report:
    return Report(list(results), [Finding("policies", "binding missing", "policy-missing")], list(left), 61.0)


RESULTS = (
    result("routing/a", Outcome.PASSED),
    result("routing/b", Outcome.FAILED, "answers 503 <&\x1b[31m"),
    result("dns/a", Outcome.SKIPPED, "no provider"),
    result("dns/b", Outcome.SKIPPED, "no provider"),
)


def test_text() -> None:
    text = report.text(made(*RESULTS, left=("Space x",)))
    assert "FAILED  routing/b (DECCO-0806): it holds" in text
    assert "hint: " in text
    assert "SKIPPED dns/a, dns/b: no provider" in text
    assert "DOCTOR  policies" in text
    assert "LEFT    Space x" in text
    assert text.splitlines()[-1] == "4 probes in 61 s: 1 passed, 1 failed, 2 skipped"
    assert "\x1b" not in text


def test_json() -> None:
    data = json.loads(report.as_json(made(*RESULTS)))
    assert data["passed"] is False
    assert data["counts"] == {"passed": 1, "failed": 1, "skipped": 2}
    failed = data["probes"][1]
    assert (failed["code"], failed["outcome"]) == ("DECCO-0806", "failed")
    assert failed["hint"]
    assert "code" not in data["probes"][0]
    assert "hint" not in data["probes"][2]


def test_junit() -> None:
    root = ET.fromstring(report.as_junit(made(*RESULTS)))
    suites = {suite.get("name"): suite for suite in root}
    counts = [suites["routing"].get(key) for key in ("tests", "failures", "skipped", "errors")]
    assert counts == ["2", "1", "0", "0"]
    [failure] = suites["routing"].iter("failure")
    assert failure.get("type") == "DECCO-0806"
    assert "503 <&" in str(failure.get("message"))
    assert [each.get("message") for each in suites["dns"].iter("skipped")] == ["no provider", "no provider"]


def test_skipped_is_not_failed_and_something_left_is() -> None:
    assert made(RESULTS[0], RESULTS[2]).passed
    assert not made(RESULTS[0], left=("Space x",)).passed
    assert not made(*RESULTS).passed


def test_progress() -> None:
    line = report.line(RESULTS[1], 7, 200)
    assert line.startswith("  7/200 failed  routing/b 1.5 s DECCO-0806: answers 503")
