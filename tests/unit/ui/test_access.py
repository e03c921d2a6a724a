"""Who may read the page."""

from __future__ import annotations

import pytest

from decco.ui.access import HEADERS, is_allowed, new_token, refusal


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.1", "localhost:1", "LOCALHOST:80", "[::1]:80", "[::1]"])
def test_names_of_loopback(host: str) -> None:
    assert refusal(host, None, None) is None
    assert refusal(host, f"http://{host.lower()}", "same-origin") is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "127.0.0.1:8000@evil.example",
        "localhost.evil.example:80",
        "10.0.0.1:8000",
        "0.0.0.0:8000",
        "127.0.0.1:",
        "127.0.0.1:80a",
        "::1",
    ],
)
def test_a_name_that_is_made_to_lead_here_is_refused(host: str | None) -> None:
    assert refusal(host, None, None) is not None


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9000", "https://127.0.0.1:8000", ""]
)
def test_other_origins_are_refused(origin: str) -> None:
    assert refusal("127.0.0.1:8000", origin, None) is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_other_sites_are_refused(site: str) -> None:
    """Another port of loopback is the same site, and may be another user's server."""
    assert refusal("127.0.0.1:8000", None, site) is not None


def test_the_token() -> None:
    token = new_token()
    assert len(token) >= 40
    assert token != new_token()
    assert is_allowed(f"Bearer {token}", token)
    for wrong in (None, "", token, "Bearer ", f"Bearer {token}x", f"Bearer {token[:-1]}", f"Basic {token}", "Bearer é"):
        assert not is_allowed(wrong, token), wrong


def test_the_policy_of_the_page() -> None:
    policy = dict(each.strip().split(" ", 1) for each in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert {policy[name] for name in ("frame-ancestors", "base-uri", "form-action")} == {"'none'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
