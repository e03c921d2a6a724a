"""Settings of the provider ``rfc2136``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from decco.dns.provider_settings import ProviderSettings, ZoneName
from decco.forms import NonEmpty


class TsigAlgorithm(StrEnum):
    SHA256 = "hmac-sha256"
    SHA384 = "hmac-sha384"
    SHA512 = "hmac-sha512"
    SHA1 = "hmac-sha1"
    MD5 = "hmac-md5.sig-alg.reg.int"


def algorithm_name(text: str) -> str:
    """An algorithm by its name in RFC 8945: ``HMACSHA256``, ``HMAC_SHA256.`` and ``hmac-sha256`` are equal."""
    plain = text.strip().lower().rstrip(".").replace("_", "-")
    if plain.startswith("hmac") and not plain.startswith("hmac-"):
        plain = f"hmac-{plain[4:]}"
    return "hmac-md5.sig-alg.reg.int" if plain == "hmac-md5" else plain


def _algorithm(text: object) -> object:
    known = algorithm_name(text) if isinstance(text, str) else text
    return known if known in tuple(TsigAlgorithm) else text  # a wrong one is shown as it was written


class Settings(ProviderSettings):
    """BIND, Knot, PowerDNS, Windows. The Secret holds ``secret``, the TSIG key in base64 or as tsig-keygen writes it,
    and may hold ``keyName``.
    """

    platform_credentials = False
    credential_files: ClassVar[Mapping[str, str]] = {"secret": "tsig_secret_file"}

    type: Literal["rfc2136"] = "rfc2136"
    host: NonEmpty
    """Primary server: address or name."""
    port: Annotated[int, Field(ge=1, le=65535)] = 53
    """TCP port for updates and transfers."""
    tsig_key_name: ZoneName | None = None
    """Name of the TSIG key, where the key's text has none or several; without a key nothing is signed, which only a
    server that trusts our address accepts.
    """
    tsig_algorithm: Annotated[TsigAlgorithm, BeforeValidator(_algorithm)] = TsigAlgorithm.SHA256
    """Algorithm of the TSIG key, where the key's text does not say it."""
    tsig_secret_file: NonEmpty | None = None
    """File with the key, in place of ``secretName``: in base64, as tsig-keygen and rndc-confgen write it, as
    dnssec-keygen writes it, or as ``algorithm:name:secret``.
    """

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if self.secret_name and self.tsig_secret_file:
            raise ValueError("give the TSIG key by secretName or by tsigSecretFile, not by both")
        if self.tsig_key_name and not (self.secret_name or self.tsig_secret_file):
            raise ValueError("tsigKeyName needs the key itself: secretName or tsigSecretFile")
        return self
