"""Credentials from Secrets, files and environment variables: read, cleaned and validated.

A line break at the end, which ``echo`` and editors add, is ignored, as in kubectl and cert-manager. A value that cannot
be a credential raises a ConfigError that names its location and the defect and never contains the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path

from pydantic.alias_generators import to_camel

from decco.dns.provider_settings import ProviderSettings
from decco.errors import ConfigError
from decco.frozen import frozen

Secrets = Mapping[str, Mapping[str, bytes]]
"""Content of Secrets in decco's namespace, decoded, by name and key."""


@frozen
class Credentials:
    """All credentials of a provider: the content of its Secret, or of its files under the keys that it declares."""

    content: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    where: str = ""
    """The location, for messages: ``the Secret <name> of <provider>``."""

    def access_key(self, key: str) -> str:
        return access_key(self.content.get(key, b""), f"dns.providers: {key} in {self.where}")

    def password(self, key: str) -> str:
        return password(self.content.get(key, b""), f"dns.providers: {key} in {self.where}")

    def pem(self, key: str) -> bytes:
        """Certificates or keys without a byte order mark, which some editors add and OpenSSL rejects."""
        return self.content.get(key, b"").removeprefix(b"\xef\xbb\xbf")


def read_credentials(settings: ProviderSettings, secrets: Secrets) -> Credentials:
    """Blocking if the provider has them in files. Raises ConfigError if the Secret or a file is missing."""
    name, secret = settings.label, settings.secret_name
    if secret is not None:
        if secret not in secrets:
            raise ConfigError(
                f"dns.providers: {name} names the Secret {secret}, which decco's namespace lacks: create it there"
            )
        return Credentials(secrets[secret], f"the Secret {secret} of {name}")
    files = {}
    where = ""
    for key, field_name in settings.credential_files.items():
        if (path := getattr(settings, field_name)) is None:
            continue
        where = f"the {to_camel(field_name)} of {name}"
        try:
            files[key] = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"dns.providers: {where} cannot be read ({error.strerror}): "
                "correct the path, or the volume that is mounted there"
            ) from error
    return Credentials(files, where)


def access_key(value: bytes | str, where: str) -> str:
    """An access key, token or name without surrounding white space; may be "". ``where`` is its location."""
    text = _text(value, where).strip()
    if any(character.isspace() for character in text):
        raise ConfigError(f"{where} has a space or line break in it: write it as one word")
    if text[:1] in {'"', "'"} or text[-1:] in {'"', "'"}:
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
