"""Which proxy is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from decco.errors import ConfigError
from decco.proxy import proxy_from_environment, proxy_url

GO: dict[str, Any] = json.loads((Path(__file__).parent / "golden/httpproxy/table.json").read_text())
"""What Go's own implementation answers; golden/httpproxy/main.go writes it."""
PROXY = "http://p:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("server", "no_proxy", "expected"),
    [
        ("https://api.example.com:6443", "", "http://proxy:3128"),
        ("https://api.example.com:6443", "example.com", None),
        ("https://api.example.com:6443", ".example.com,other", None),
        ("https://api.example.com:6443", "ample.com", "http://proxy:3128"),
        ("https://api.example.com:6443", "*", None),
        ("https://10.96.0.1", "10.0.0.0/8, 192.168.0.0/16", None),
        ("https://10.96.0.1", "10.96.0.1", None),
        ("https://10.96.0.1", "172.16.0.0/12", "http://proxy:3128"),
        ("https://[fd00::1]:6443", "fd00::/8", None),
        ("https://127.0.0.1:6443", "", None),
        ("https://localhost:6443", "", None),
        ("http://api.example.com", "", None),
    ],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, server: str, no_proxy: str, expected: str | None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_from_environment(server) == expected


@pytest.mark.parametrize("row", GO["rows"], ids=lambda row: row["noProxy"] or "empty")
def test_no_proxy_means_what_it_means_to_go(row: dict[str, Any]) -> None:
    environ = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": row["noProxy"]}
    direct = [server for server in GO["servers"] if proxy_from_environment(server, environ) is None]
    assert direct == row["direct"]


def test_a_proxy_is_written_as_for_go() -> None:
    found = {text: proxy_from_environment(GO["servers"][0], {"HTTPS_PROXY": text}) for text in GO["proxies"]}
    # Go prints the URL that it has parsed: its scheme in lower case.
    assert {text: (url or "").replace("HTTP://", "http://") for text, url in found.items()} == GO["proxies"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTPS_PROXY": "upper:1", "https_proxy": "lower:1"}, "http://lower:1"),
        ({"HTTPS_PROXY": "upper:1", "https_proxy": ""}, "http://upper:1"),
        ({"https_proxy": "p:1", "NO_PROXY": "example.com", "no_proxy": "other"}, "http://p:1"),
        ({"https_proxy": "p:1", "no_proxy": "example.com"}, None),
        ({"HTTP_PROXY": "p:1", "ALL_PROXY": "p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1\n"}, "http://p:1"),
        ({"HTTPS_PROXY": "p:1\r\n", "NO_PROXY": "example.com\r\n"}, None),
    ],
)
def test_lower_case_variables_win_and_line_ends_do_not_count(environ: dict[str, str], expected: str | None) -> None:
    assert proxy_from_environment("https://api.example.com", environ) == expected


@pytest.mark.parametrize(
    "url", ["socks5://p:1080", "http://a b:1", "http://p:1\nx", "http://p:port", "ftp://p", "http://p:99999"]
)
def test_a_proxy_that_cannot_work_is_reported_with_its_variable_and_not_its_value(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY of the environment must be") as caught:
        proxy_from_environment("https://api.example.com", {"HTTPS_PROXY": url})
    assert "p:" not in str(caught.value).replace("http:", "")


def test_a_proxy_may_be_named_without_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert proxy_from_environment("https://api.example.com") == "http://proxy:3128"


def test_a_line_break_at_the_end_of_a_proxy_url_does_not_count() -> None:
    assert proxy_url("http://proxy:3128\n", "here") == "http://proxy:3128"


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "proxy:3128", 8080, "http://[::1", "http://p:99999"])
def test_other_proxies_are_refused(url: object) -> None:
    with pytest.raises(ConfigError, match="proxy-url of here must be an http or https URL"):
        proxy_url(url, "here")
