"""Cleaning and validation of credentials from files, Secrets and environment variables.

A line break at the end, which ``echo`` and editors add, is ignored, as in kubectl and cert-manager. A value that cannot
be a credential raises a ConfigError that names its location and the defect and never contains the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from decco.errors import ConfigError


def access_key(value: bytes | str, where: str) -> str:
    """An access key, token or name without surrounding white space; may be "".

    Args:
        value: the raw value.
        where: name and location of the value, for the error.
    """
    text = _text(value, where).strip()
    if not text:
        return ""
    if any(character.isspace() for character in text):
        raise ConfigError(f"{where} has a space or line break in it: write it as one word")
    if text[0] in "\"'" or text[-1] in "\"'":
        raise ConfigError(f"{where} is in quotation marks, which are not part of it: remove them")
    if not (text.isascii() and text.isprintable()):
        raise ConfigError(f"{where} has characters that no such value has: is it the right one?")
    return text


def password(value: bytes | str, where: str) -> str:
    """A user name or password: only line breaks at the end are removed, since it may contain spaces."""
    text = _text(value, where).rstrip("\r\n")
    if not text.isprintable():
        raise ConfigError(f"{where} has a line break or another control character in it: write it in one line")
    return text


def pem(value: bytes) -> bytes:
    """Certificates or keys without a byte order mark, which some editors add and OpenSSL rejects."""
    return value.removeprefix(b"\xef\xbb\xbf")


def aws_environment(environ: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Access key, secret and session token of the environment, cleaned; None if they are absent or already clean.

    With None, AWS's default chain is used. It would send a line break unchanged.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    raw = [environ.get(name, "") for name in names]
    key, secret, token = (access_key(value, f"the variable {name}") for name, value in zip(names, raw, strict=True))
    return (key, secret, token) if key and secret and raw != [key, secret, token] else None


def check_environment(environ: Mapping[str, str], names: Iterable[str]) -> None:
    """Raises ConfigError if a variable that a provider's library reads begins or ends in white space."""
    for name in names:
        value = environ.get(name, "")
        if value != value.strip():
            raise ConfigError(f"the variable {name} begins or ends in a line break or space: remove it")


def _text(value: bytes | str, where: str) -> str:
    if isinstance(value, str):
        return value.removeprefix("\ufeff")
    try:
        return value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} must be text in UTF-8: byte {error.start + 1} is not") from error
