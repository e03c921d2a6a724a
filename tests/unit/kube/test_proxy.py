"""Which proxy is used."""

from __future__ import annotations

import pytest

from decco.errors import ConfigError
from decco.kube.proxy import proxy_from_environment, proxy_url


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


def test_a_proxy_may_be_named_without_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert proxy_from_environment("https://api.example.com") == "http://proxy:3128"


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "proxy:3128", 8080])
def test_other_proxies_are_refused(url: object) -> None:
    with pytest.raises(ConfigError, match="proxy-url of here must be an http or https URL"):
        proxy_url(url, "here")
