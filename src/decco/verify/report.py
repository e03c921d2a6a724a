"""A report for people, as JSON, and as JUnit's XML for CI."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

from decco.verify.outcome import Outcome
from decco.verify.plan import PROBES
from decco.verify.probe import Result
from decco.verify.session import Report


def line(result: Result, number: int, total: int) -> str:
    """One line of progress."""
    code = f" {result.code}" if result.code else ""
    text = f": {result.text}" if result.text else ""
    count = f"{number:>{len(str(total))}}/{total}"
    return f"{count} {result.outcome:<7} {result.probe.name} {result.seconds:.1f} s{code}{text}"


def listing() -> str:
    """All probes with the codes of their messages."""
    width = max(len(probe.name) for probe in PROBES)
    return "".join(f"{probe.code}  {probe.name:<{width}}  {probe.text}\n" for probe in PROBES)


def listing_as_json() -> str:
    return _json([{"name": probe.name, "promise": probe.text, "code": probe.code} for probe in PROBES])


def text(report: Report) -> str:
    """Failures with hints, what was skipped by its reason, and the sum."""
    lines: list[str] = []
    for result in report.results:
        if result.outcome is Outcome.FAILED:
            lines += [
                f"FAILED  {result.probe.name} ({result.code}): {result.probe.text}",
                f"        found: {result.text}",
                f"        hint: {result.hint}",
            ]
    skipped: dict[str, list[str]] = {}
    for result in report.results:
        if result.outcome is Outcome.SKIPPED:
            skipped.setdefault(result.text, []).append(result.probe.name)
    lines += [f"SKIPPED {', '.join(names)}: {reason}" for reason, names in skipped.items()]
    lines += [f"DOCTOR  {finding.about} ({finding.code}): {finding.text}" for finding in report.findings]
    lines += [f"LEFT    {each}: the next run removes it" for each in report.left]
    return "".join(f"{_clean(each)}\n" for each in (*lines, summary(report)))


def summary(report: Report) -> str:
    counts = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in Outcome)
    return f"{len(report.results)} probes in {report.seconds:.0f} s: {counts}"


def as_json(report: Report) -> str:
    data: dict[str, Any] = {
        "passed": report.passed,
        "seconds": round(report.seconds, 1),
        "counts": {str(outcome): report.count(outcome) for outcome in Outcome},
        "probes": [_data(result) for result in report.results],
        "doctor": [{"about": each.about, "code": each.code, "text": each.text} for each in report.findings],
        "left": report.left,
    }
    return _json(data)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _data(result: Result) -> dict[str, Any]:
    found = {
        "name": result.probe.name,
        "promise": result.probe.text,
        "outcome": str(result.outcome),
        "seconds": round(result.seconds, 2),
        "code": result.code,
        "text": result.text,
        "hint": result.hint,
    }
    return {key: value for key, value in found.items() if value != ""}


def as_junit(report: Report) -> str:
    """One suite for each group."""
    root = ET.Element("testsuites", name="decco verify", time=f"{report.seconds:.2f}")
    groups: dict[str, list[Result]] = {}
    for result in report.results:
        groups.setdefault(result.probe.group, []).append(result)
    for group, results in groups.items():
        counts = {outcome: str(sum(each.outcome is outcome for each in results)) for outcome in Outcome}
        suite = ET.SubElement(
            root,
            "testsuite",
            name=group,
            tests=str(len(results)),
            failures=counts[Outcome.FAILED],
            skipped=counts[Outcome.SKIPPED],
            errors="0",
        )
        for result in results:
            case = ET.SubElement(
                suite, "testcase", classname=f"decco.{group}", name=result.probe.name, time=f"{result.seconds:.2f}"
            )
            if result.outcome is Outcome.FAILED:
                failure = ET.SubElement(case, "failure", type=result.code, message=_clean(result.text))
                failure.text = _clean(f"{result.probe.text}\n{result.hint}")
            elif result.outcome is Outcome.SKIPPED:
                ET.SubElement(case, "skipped", message=_clean(result.text))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """Without control characters: texts of the cluster are untrusted, and XML cannot have them."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)
