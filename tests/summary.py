"""Adds up the reports of several pytest runs into the one line that ends ``make test``: ``N passed, N failed``."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def summarize(reports: list[Path]) -> tuple[int, int, int]:
    """How many tests passed, failed (or broke) and were skipped, according to JUnit reports."""
    tests = failed = skipped = 0
    for report in reports:
        for suite in ET.parse(report).getroot().iter("testsuite"):
            tests += int(suite.attrib["tests"])
            failed += int(suite.attrib["failures"]) + int(suite.attrib["errors"])
            skipped += int(suite.attrib["skipped"])
    return tests - failed - skipped, failed, skipped


if __name__ == "__main__":
    passed, failed, skipped = summarize([Path(name) for name in sys.argv[1:] if Path(name).is_file()])
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)
