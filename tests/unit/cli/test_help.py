"""``decco help``: the catalogue by code, without a cluster."""

from __future__ import annotations

import pytest

from decco.cli import output
from decco.cli.commands.help import normalized
from decco.cli.main import main
from decco.messages.remedies import known, page
from decco.views.findings import Finding


@pytest.mark.parametrize("given", ["DECCO-0140", "decco-0140", "decco-140", "140", "0140"])
def test_ways_to_write_a_code(given: str) -> None:
    assert normalized(given) == "DECCO-0140"


def test_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "140"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("DECCO-0140  SecretMissing  (failure)\n")
    for part in ("  means: No Secret of this name", "  cause: ", "  what to do: ", "  look:\n", "  cure:\n"):
        assert part in said
    assert said.endswith(f"  {page('DECCO-0140')}\n")


def test_without_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert "COMMAND" in capsys.readouterr().out


def test_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [message.code for _, message in known()]
    assert main(["help", *codes]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line[:10] for line in said.out.splitlines() if line.startswith("DECCO-")] == codes


def test_a_code_of_an_admission_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "DECCO-0656"]) == 0
    assert "An admission policy refuses" in capsys.readouterr().out


def test_an_unknown_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "DECCO-014O", "140"]) == 2
    said = capsys.readouterr()
    assert said.err == "decco: 'DECCO-014O' is not a message code; an example is DECCO-0140\n"
    assert said.out.startswith("DECCO-0140")


def test_tables_name_the_pages_of_failures() -> None:
    findings = [
        Finding("a", "all is well"),
        Finding("b", "a copy is missing", "SecretMissing"),
        Finding("c", "slow", "WaitingForDNS"),
        Finding("d", "another is missing", "SecretMissing"),
    ]
    table = output.findings_table(findings, "ABOUT", output.Style(False))
    assert table.endswith(f"\n\nCauses and cures: decco help DECCO-0140\n  {page('DECCO-0140')}\n")
    assert "Causes" not in output.findings_table(findings[:1], "ABOUT", output.Style(False))
    [well, failure, *_] = output.findings_data(findings, "about")
    assert "help" not in well
    assert failure["help"] == page("DECCO-0140")
