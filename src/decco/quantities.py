"""Amounts as Kubernetes writes them: 500m, 1.5Gi, 1e3.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from decco.frozen import frozen

_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,2})|([KMGTPE]i|[numkMGTPE]?))")
_LONGEST = 40
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)}


@frozen
class Quantity:
    """An amount in its base unit (cores, bytes), and its original text."""

    amount: Decimal
    text: str

    @property
    def readable(self) -> str:
        """The text, or a shorter one for a plain number of bytes: 128Mi for 134217728."""
        if not self.text.isdecimal():
            return self.text
        units = (
            unit for unit in reversed(_BINARY) if unit != "Ki" and self.amount and self.amount % _BINARY[unit] == 0
        )
        return next((f"{self.amount / _BINARY[unit]:f}{unit}" for unit in units), self.text)


def quantity(value: Any) -> Quantity | None:
    """Parses ``value``, which is not validated yet, as a quantity; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _FORM.fullmatch(str(value)) if len(str(value)) <= _LONGEST else None
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    if suffix in _BINARY:
        return Quantity(Decimal(number) * _BINARY[suffix], str(value))
    return Quantity(Decimal(number).scaleb(int(exponent) if exponent else _DECIMAL[suffix or ""]), str(value))


def divided(dividend: Quantity, divisor: Quantity, *, milli: bool) -> Quantity:
    """The quotient, rounded up to a thousandth (``milli``, for CPU) or to a whole unit."""
    exact = dividend.amount / divisor.amount
    if milli:
        thousandths = (exact * 1000).to_integral_value(ROUND_CEILING)
        return Quantity(thousandths / 1000, f"{thousandths}m")
    whole = exact.to_integral_value(ROUND_CEILING)
    return Quantity(whole, str(whole))
